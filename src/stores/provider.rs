//! Opens stores: the provider of a URL, and its settings from the environment and from OPTIONS.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::{ClientConfigKey, ClientOptions, ObjectStore, RetryConfig};
use url::{Position, Url};

use super::explained::ExplainedStore;
use crate::{Error, Result};

/// Option of every provider: the number of retries after a server or network error.
const MAX_RETRIES: &str = "max_retries";
/// Why a URL with a password is refused.
pub(crate) const PASSWORD_IN_URL: &str = "a user and password in a URL are not sent, since every path would show them; set the \
                                          store's credentials in the environment or in OPTIONS";
/// Retries of requests for the machine's credentials: if it has none, no request succeeds.
const INSTANCE_RETRIES: usize = 1;

/// The service behind a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provider {
    S3,
    Gcs,
    Azure,
    Http,
}

impl Provider {
    /// The provider for a URL's scheme.
    pub(super) fn of(url: &Url) -> Option<Self> {
        match url.scheme() {
            "s3" | "s3a" => Some(Self::S3),
            "gs" | "gcs" => Some(Self::Gcs),
            "az" | "azure" | "adl" | "abfs" | "abfss" => Some(Self::Azure),
            "http" | "https" => Some(Self::Http),
            _ => None,
        }
    }

    /// The prefix of its options, before the dot.
    pub(super) fn namespace(self) -> &'static str {
        match self {
            Self::S3 => "aws",
            Self::Gcs => "gcp",
            Self::Azure => "azure",
            Self::Http => "http",
        }
    }

    /// Whether `option` belongs to any provider.
    pub(super) fn owns(option: &str) -> bool {
        let namespace = option.split_once('.').map(|(namespace, _)| namespace);
        [Self::S3, Self::Gcs, Self::Azure, Self::Http]
            .iter()
            .any(|provider| namespace == Some(provider.namespace()))
    }

    /// How to set credentials.
    pub(super) fn credentials_advice(self) -> &'static str {
        match self {
            Self::S3 => {
                "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for temporary ones, AWS_SESSION_TOKEN (`aws configure \
                 export-credentials --format env` prints those of a profile), or OPTIONS ('aws.access_key_id' …, \
                 'aws.secret_access_key' …); for a public bucket AWS_SKIP_SIGNATURE=true or 'aws.skip_signature' 'true'"
            }
            Self::Gcs => {
                "set GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT to a file of credentials, or OPTIONS \
                 ('gcp.service_account_path' …); for a public bucket GOOGLE_SKIP_SIGNATURE=true or \
                 'gcp.skip_signature' 'true'"
            }
            Self::Azure => {
                "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, or OPTIONS \
                 ('azure.account_name' …, 'azure.access_key' …); for a public container 'azure.skip_signature' 'true'"
            }
            Self::Http => "the server requires credentials, which Seequel does not support over HTTP",
        }
    }
}

/// A store's name in errors: scheme and bucket, without user and password.
pub(super) fn name_of(url: &Url) -> String {
    format!("{}://{}", url.scheme(), &url[Position::BeforeHost..Position::AfterPort])
}

/// Whether a URL has a password, or a token in the place of the user; a container of Azure before its account is neither.
pub(crate) fn has_password(url: &Url) -> bool {
    let may_be_token = Provider::of(url) == Some(Provider::Http);
    url.password().is_some() || may_be_token && !url.username().is_empty()
}

/// Opens the store of `url`; `options` are keys with their provider's namespace, as in OPTIONS.
///
/// # Errors
/// [`Error::Store`] for an unknown scheme, an option that is unknown or belongs to another provider, or conflicting
/// settings.
pub(super) fn open(url: &Url, options: &BTreeMap<String, String>) -> Result<Arc<dyn ObjectStore>> {
    let error = |reason: String| Error::Store { store: name_of(url), reason };
    if has_password(url) {
        return Err(error(PASSWORD_IN_URL.to_owned()));
    }
    let Some(provider) = Provider::of(url) else {
        return Err(error(
            "files are read from local folders, s3://, gs://, az://, abfss://, http:// and https://"
                .to_owned(),
        ));
    };
    let mut settings = own_options(provider, options).map_err(error)?;
    let retry = retry_config(&mut settings).map_err(error)?;
    let opened = match provider {
        Provider::S3 => open_s3(url, settings, retry),
        Provider::Gcs => open_gcs(url, settings, retry),
        Provider::Azure => open_azure(url, settings, retry),
        Provider::Http => open_http(url, settings, retry),
    };
    Ok(Arc::new(ExplainedStore::new(opened.map_err(error)?, provider, name_of(url))))
}

/// Settings, with names in the provider's namespace.
type Settings = Vec<(String, String)>;

fn own_options(provider: Provider, options: &BTreeMap<String, String>) -> Result<Settings, String> {
    let own = |(option, value): (&String, &String)| match option.split_once('.') {
        Some((namespace, key)) if namespace == provider.namespace() => Ok((key.to_owned(), value.clone())),
        _ => Err(format!(
            "option '{option}' does not apply to this location; its options start with '{}.'",
            provider.namespace()
        )),
    };
    options.iter().map(own).collect()
}

fn retry_config(settings: &mut Settings) -> Result<RetryConfig, String> {
    let mut retry = RetryConfig::default();
    if let Some(index) = settings.iter().position(|(key, _)| key == MAX_RETRIES) {
        let (_, value) = settings.swap_remove(index);
        retry.max_retries =
            value.parse().map_err(|_| format!("option '{MAX_RETRIES}' must be a number, not '{value}'"))?;
    }
    Ok(retry)
}

/// The key of a provider's builder for `name`.
fn key<K: FromStr>(provider: Provider, name: &str) -> Result<K, String> {
    // DataFusion's shell uses other names for some.
    let known = match name {
        "nosign" => "skip_signature",
        "application_credentials_path" => "application_credentials",
        name => name,
    };
    known.parse().map_err(|_| format!("unknown option '{}.{name}'", provider.namespace()))
}

fn open_s3(url: &Url, settings: Settings, retry: RetryConfig) -> Result<Arc<dyn ObjectStore>, String> {
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket(url)?);
    for (name, value) in settings {
        let key = key(Provider::S3, &name)?;
        if key == AmazonS3ConfigKey::Endpoint {
            // AWS_ENDPOINT_URL_S3 of the environment would take precedence.
            builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, &value);
        }
        builder = builder.with_config(key, value);
    }
    let is_set = |key| builder.get_config_value(&key).is_some_and(|value| value != "false");
    let endpoint = builder
        .get_config_value(&AmazonS3ConfigKey::S3Endpoint)
        .or_else(|| builder.get_config_value(&AmazonS3ConfigKey::Endpoint));
    if let Some(endpoint) = endpoint
        && endpoint.starts_with("http://")
        && !is_set(AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp))
    {
        return Err(format!(
            "the endpoint {endpoint} is not encrypted; if that is meant, set AWS_ALLOW_HTTP=true or 'aws.allow_http' 'true'"
        ));
    }
    let has_credentials = [
        AmazonS3ConfigKey::AccessKeyId,
        AmazonS3ConfigKey::SecretAccessKey,
        AmazonS3ConfigKey::WebIdentityTokenFile,
        AmazonS3ConfigKey::ContainerCredentialsRelativeUri,
        AmazonS3ConfigKey::ContainerCredentialsFullUri,
        AmazonS3ConfigKey::SkipSignature,
    ]
    .into_iter()
    .any(is_set);
    if !has_credentials {
        let instance = RetryConfig { max_retries: INSTANCE_RETRIES, ..RetryConfig::default() };
        let probe = builder.clone().with_retry(instance).build().map_err(|error| error.to_string())?;
        builder = builder.with_credentials(Arc::clone(probe.credentials()));
    }
    let store = builder.with_retry(retry).build().map_err(|error| error.to_string())?;
    Ok(Arc::new(store))
}

fn open_gcs(url: &Url, settings: Settings, retry: RetryConfig) -> Result<Arc<dyn ObjectStore>, String> {
    let mut builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket(url)?);
    for (name, value) in settings {
        builder = builder.with_config(key::<GoogleConfigKey>(Provider::Gcs, &name)?, value);
    }
    let store = builder.with_retry(retry).build().map_err(|error| error.to_string())?;
    Ok(Arc::new(store))
}

fn open_azure(url: &Url, settings: Settings, retry: RetryConfig) -> Result<Arc<dyn ObjectStore>, String> {
    let mut builder = MicrosoftAzureBuilder::from_env().with_url(url.as_str());
    for (name, value) in settings {
        builder = builder.with_config(key::<AzureConfigKey>(Provider::Azure, &name)?, value);
    }
    let store = builder.with_retry(retry).build().map_err(|error| error.to_string())?;
    Ok(Arc::new(store))
}

fn open_http(url: &Url, settings: Settings, retry: RetryConfig) -> Result<Arc<dyn ObjectStore>, String> {
    let mut client = ClientOptions::new().with_allow_http(true);
    for (name, value) in settings {
        client = client.with_config(key::<ClientConfigKey>(Provider::Http, &name)?, value);
    }
    let store = HttpBuilder::new()
        .with_url(&url[..Position::BeforePath])
        .with_client_options(client)
        .with_retry(retry)
        .build()
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(store))
}

fn bucket(url: &Url) -> Result<&str, String> {
    url.host_str().ok_or_else(|| format!("a bucket is missing: {}://bucket/folder/", url.scheme()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(url: &str, options: &[(&str, &str)]) -> Result<Arc<dyn ObjectStore>> {
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        open(&Url::parse(url).unwrap(), &options)
    }

    fn reason(url: &str, options: &[(&str, &str)]) -> String {
        opened(url, options).unwrap_err().to_string()
    }

    #[test]
    fn every_scheme_opens() {
        for (url, options) in [
            ("s3://bucket/a", &[("aws.region", "eu-central-1"), ("aws.nosign", "true")][..]),
            ("s3a://bucket/a", &[("aws.access_key_id", "a"), ("aws.secret_access_key", "b")]),
            ("gs://bucket/a", &[("gcp.skip_signature", "true"), ("gcp.max_retries", "3")]),
            ("az://container/a", &[("azure.account_name", "a"), ("azure.access_key", "aGVsbG8=")]),
            ("abfss://container@account.dfs.core.windows.net/a", &[("azure.skip_signature", "true")]),
            ("https://host:8080/a", &[("http.timeout", "10 seconds")]),
            ("http://host/a", &[]),
        ] {
            assert!(opened(url, options).is_ok(), "{url}: {}", reason(url, options));
        }
    }

    #[test]
    fn errors_name_invalid_options() {
        assert_eq!(reason("s3://b/a", &[("aws.regoin", "x")]), "s3://b: unknown option 'aws.regoin'");
        assert_eq!(
            reason("gs://b/a", &[("aws.region", "x")]),
            "gs://b: option 'aws.region' does not apply to this location; its options start with 'gcp.'"
        );
        assert_eq!(
            reason("s3://b/a", &[("aws.max_retries", "many")]),
            "s3://b: option 'max_retries' must be a number, not 'many'"
        );
        let unencrypted = reason("s3://b/a", &[("aws.endpoint", "http://localhost:9000")]);
        assert!(unencrypted.contains("'aws.allow_http' 'true'"), "{unencrypted}");
        let half = reason("s3://b/a", &[("aws.access_key_id", "a")]);
        assert!(half.starts_with("s3://b: "), "{half}");
    }
}
