//! A store whose errors name the bucket and the settings to change.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::provider::Provider;

/// Parts of the addresses that serve credentials to cloud machines; they are requested if no credentials are given.
const INSTANCE_CREDENTIALS: [&str; 4] =
    ["/latest/api/token", "/latest/meta-data", "computeMetadata", "/metadata/identity"];

/// An error of a store, and its remedy.
#[derive(Debug)]
struct Explanation {
    store: String,
    advice: String,
    source: Box<dyn StdError + Send + Sync>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = self.source.to_string();
        write!(f, "{}: {} ({source}", self.store, self.advice)?;
        // Such as a time-out, which the message of a request that failed leaves out.
        let mut cause = self.source.source();
        while let Some(deeper) = cause.and_then(StdError::source) {
            cause = Some(deeper);
        }
        match cause.map(ToString::to_string) {
            Some(cause) if !source.contains(&cause) => write!(f, ": {cause})"),
            _ => f.write_str(")"),
        }
    }
}

impl StdError for Explanation {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.source.as_ref())
    }
}

/// The message of a store's error: only the explanation, if there is one.
pub(crate) fn explain(error: &Error) -> String {
    let explanation = error.source().and_then(|source| source.downcast_ref::<Explanation>());
    explanation.map_or_else(|| error.to_string(), ToString::to_string)
}

/// A store that adds an explanation to its errors.
#[derive(Clone, Debug)]
pub(super) struct ExplainedStore {
    inner: Arc<dyn ObjectStore>,
    provider: Provider,
    name: String,
}

impl ExplainedStore {
    /// `name` is the store's name in error messages.
    pub(super) fn new(inner: Arc<dyn ObjectStore>, provider: Provider, name: String) -> Self {
        Self { inner, provider, name }
    }

    fn explained(&self, error: Error) -> Error {
        let Some(advice) = self.advice(&error) else { return error };
        let wrap = |source| -> Box<dyn StdError + Send + Sync> {
            Box::new(Explanation { store: self.name.clone(), advice, source })
        };
        match error {
            Error::Generic { store, source } => Error::Generic { store, source: wrap(source) },
            Error::NotFound { path, source } => Error::NotFound { path, source: wrap(source) },
            Error::PermissionDenied { path, source } => {
                Error::PermissionDenied { path, source: wrap(source) }
            }
            Error::Unauthenticated { path, source } => Error::Unauthenticated { path, source: wrap(source) },
            error => error,
        }
    }

    fn advice(&self, error: &Error) -> Option<String> {
        match error {
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => Some(self.denied()),
            Error::NotFound { source, .. } if !source.to_string().contains("NoSuchBucket") => {
                Some("there is no such object".to_owned())
            }
            Error::NotFound { source, .. } | Error::Generic { source, .. } => {
                Some(self.advice_by_text(&source.to_string()))
            }
            _ => None,
        }
    }

    /// Errors of listings can be distinguished only by their text.
    fn advice_by_text(&self, text: &str) -> String {
        let contains = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
        if contains(&["status code: 401", "status code: 403", "ExpiredToken"]) {
            return self.denied();
        }
        if contains(&["NoSuchBucket", "ContainerNotFound"]) {
            return "there is no such bucket; check its name, and the endpoint if one is set".to_owned();
        }
        if contains(&["incorrectly configured region"]) {
            return "the bucket is in another region; set AWS_REGION or OPTIONS ('aws.region' …)".to_owned();
        }
        if contains(&INSTANCE_CREDENTIALS) {
            let advice = self.provider.credentials_advice();
            return format!("no credentials were given, and this machine has none; {advice}");
        }
        "the request failed".to_owned()
    }

    fn denied(&self) -> String {
        format!("access was denied; {}", self.provider.credentials_advice())
    }

    fn no_listing(&self) -> Error {
        let reason = "nothing can be listed over HTTP; name each file, several as in 'photo-{000..099}.jpg'";
        Error::NotSupported { source: format!("{}: {reason}", self.name).into() }
    }
}

impl fmt::Display for ExplainedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for ExplainedStore {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(path, payload, options).await.map_err(|error| self.explained(error))
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await.map_err(|error| self.explained(error))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let mut result = self.inner.get_opts(path, options).await.map_err(|error| self.explained(error))?;
        if let GetResultPayload::Stream(body) = result.payload {
            let store = self.clone();
            let body = body.map(move |chunk| chunk.map_err(|error| store.explained(error)));
            result.payload = GetResultPayload::Stream(body.boxed());
        }
        Ok(result)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let deleted = self.inner.delete_stream(paths);
        deleted.map(move |path| path.map_err(|error| store.explained(error))).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        if self.provider == Provider::Http {
            return stream::iter([Err(self.no_listing())]).boxed();
        }
        let store = self.clone();
        self.inner.list(prefix).map(move |file| file.map_err(|error| store.explained(error))).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        if self.provider == Provider::Http {
            return Err(self.no_listing());
        }
        self.inner.list_with_delimiter(prefix).await.map_err(|error| self.explained(error))
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await.map_err(|error| self.explained(error))
    }
}
