//! What the processes of a cluster and its clients know each other by.
//!
//! ```text
//!  token  each request has it, in the header user-agent       else it is refused before its body is read
//!  TLS    a server has a certificate that the CA has signed   else a client sends it nothing
//! ```
//!
//! Ballista connects by itself. What it lets others change before is an [`Endpoint`], which has room for that one header.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, io};

use ballista_core::extension::{BallistaConfigGrpcEndpoint, EndpointOverrideFn};
use ballista_core::utils::{GrpcServerConfig, create_grpc_server};
use subtle::ConstantTimeEq;
use tonic::codegen::http::HeaderValue;
use tonic::service::Interceptor;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig};
use tonic::{Request, Status};

use super::patience::{CONNECTED_WITHIN, SILENCE, patient};
use crate::Error;
use crate::error::innermost;

/// The environment variable of a token.
const TOKEN: &str = "SEEQUEL_CLUSTER_TOKEN";
/// Characters that a token has at least: 96 bits, if they are of base 64.
const SHORTEST_TOKEN: usize = 16;
/// What is before the token in the header.
const PREFIX: &str = "seequel-token/";
/// Seconds that a server may take to begin an answer: reading a plan of a million files takes some.
const ANSWER_SECONDS: u64 = 300;

/// The token and the certificates of a cluster, which all of its processes and clients have.
#[derive(Clone, Default)]
pub struct Security {
    token: Option<Token>,
    tls: Option<Tls>,
}

#[derive(Clone)]
struct Token {
    text: Arc<str>,
    header: HeaderValue,
}

#[derive(Clone)]
struct Tls {
    /// Signs the certificates of servers.
    ca: Certificate,
    /// The certificate and key of a server.
    identity: Option<Identity>,
}

impl Security {
    /// The token of `token_file`, else of the environment variable `SEEQUEL_CLUSTER_TOKEN`, if there is one; and the
    /// certificates in the folder `tls`: `ca.crt`, and for a scheduler and executors `tls.crt` and `tls.key`.
    ///
    /// # Errors
    /// A file that can't be read, and a token that is too short.
    pub fn load(token_file: Option<&Path>, tls: Option<&Path>) -> Result<Self, Error> {
        let token = match (token_file, env::var(TOKEN)) {
            (Some(file), _) => Some(Token::new(&read(file)?, &file.display().to_string())?),
            (None, Ok(text)) => Some(Token::new(&text, TOKEN)?),
            (None, Err(env::VarError::NotPresent)) => None,
            (None, Err(env::VarError::NotUnicode(_))) => return Err(Token::wrong(TOKEN)),
        };
        Ok(Self { token, tls: tls.map(Tls::load).transpose()? })
    }

    /// Refuses an address that other machines can reach, if there is no token to ask them for.
    pub(crate) fn allows(&self, address: IpAddr) -> Result<(), Error> {
        if self.token.is_some() || address.to_canonical().is_loopback() {
            return Ok(());
        }
        Err(Error::Process(format!(
            "other machines can reach {address}, and could run queries here: give the cluster a token of {SHORTEST_TOKEN} \
             characters or more, the same for all of its processes and clients, in a file of --token-file or in {TOKEN}"
        )))
    }

    /// The scheme of the cluster's URLs.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.has_tls() { "https" } else { "http" }
    }

    pub(crate) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Adds the token and the CA to a connection that is not open yet.
    pub(crate) fn endpoint(&self, mut endpoint: Endpoint) -> Result<Endpoint, tonic::transport::Error> {
        if let Some(token) = &self.token {
            endpoint = endpoint.user_agent(token.header.clone())?;
        }
        match &self.tls {
            Some(tls) => {
                let config = ClientTlsConfig::new().ca_certificate(tls.ca.clone());
                endpoint.tls_config(config.timeout(CONNECTED_WITHIN))
            }
            None => Ok(endpoint),
        }
    }

    /// [`Self::endpoint`] for the connections that Ballista opens, which end after `silence`.
    pub(crate) fn endpoints(&self, silence: Duration) -> EndpointOverrideFn {
        let security = self.clone();
        Arc::new(move |endpoint| {
            // Ballista's settings of a session could ask for another, which would send the token in the clear.
            if security.has_tls() && endpoint.uri().scheme_str() != Some("https") {
                return Err("the cluster has TLS, and a connection without it was asked for".into());
            }
            Ok(security.endpoint(patient(endpoint, silence))?)
        })
    }

    /// [`Self::endpoints`] as Ballista's client of a query's rows takes it.
    pub(crate) fn results_endpoint(&self) -> Arc<BallistaConfigGrpcEndpoint> {
        Arc::new(BallistaConfigGrpcEndpoint::new(self.endpoints(SILENCE)))
    }

    /// A server with the certificate, if there is one. Its services need [`Self::guard`].
    pub(crate) fn server(&self) -> Result<Server, Error> {
        let settings = GrpcServerConfig { timeout_seconds: ANSWER_SECONDS, ..GrpcServerConfig::default() };
        let server = create_grpc_server(&settings);
        let Some(tls) = &self.tls else { return Ok(server) };
        let Some(identity) = &tls.identity else {
            let missing =
                "the folder of --tls has no tls.crt and tls.key, which a scheduler and executors need";
            return Err(Error::Process(missing.to_owned()));
        };
        let config = ServerTlsConfig::new().identity(identity.clone()).timeout(Duration::from_secs(10));
        server.tls_config(config).map_err(|error| {
            Error::Process(format!("tls.crt and tls.key can't be used: {}", innermost(&error)))
        })
    }

    /// Refuses the requests that have not the token.
    pub(crate) fn guard(&self) -> Guard {
        Guard(self.token.clone())
    }
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (token, tls) = (self.token.is_some(), self.has_tls());
        f.debug_struct("Security").field("token", &token).field("tls", &tls).finish()
    }
}

impl Token {
    fn new(text: &str, place: &str) -> Result<Self, Error> {
        let text = text.trim();
        let header = HeaderValue::from_str(&format!("{PREFIX}{text}")).ok();
        match header {
            Some(header)
                if text.len() >= SHORTEST_TOKEN && text.bytes().all(|byte| byte.is_ascii_graphic()) =>
            {
                Ok(Self { text: text.into(), header })
            }
            _ => Err(Self::wrong(place)),
        }
    }

    fn wrong(place: &str) -> Error {
        Error::Process(format!(
            "the token in {place} must be {SHORTEST_TOKEN} or more visible characters of ASCII without spaces; \
             `openssl rand -hex 24` makes one"
        ))
    }
}

impl Tls {
    fn load(folder: &Path) -> Result<Self, Error> {
        let ca = Certificate::from_pem(read(&folder.join("ca.crt"))?);
        let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
        let identity = match (read_if_there(&certificate)?, read_if_there(&key)?) {
            (Some(certificate), Some(key)) => Some(Identity::from_pem(certificate, key)),
            _ => None,
        };
        Ok(Self { ca, identity })
    }
}

fn read(file: &Path) -> Result<String, Error> {
    fs::read_to_string(file).map_err(|error| unreadable(file, &error))
}

fn read_if_there(file: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(file, &error)),
    }
}

fn unreadable(file: &Path, error: &io::Error) -> Error {
    Error::Process(format!("{} can't be read: {error}", file.display()))
}

/// Looks for the token in each request.
#[derive(Clone)]
pub(crate) struct Guard(Option<Token>);

impl Interceptor for Guard {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let Some(Token { text, .. }) = &self.0 else { return Ok(request) };
        let agent = request.metadata().get("user-agent").and_then(|agent| agent.to_str().ok());
        // The library that connects puts its own name after it.
        let given = agent.and_then(|agent| agent.strip_prefix(PREFIX)?.split(' ').next());
        match given {
            Some(given) if bool::from(given.as_bytes().ct_eq(text.as_bytes())) => Ok(request),
            Some(_) => Err(Status::unauthenticated("the token is not that of this cluster")),
            None => Err(Status::unauthenticated(format!(
                "the cluster asks for a token; give it in a file of --token-file, or in {TOKEN}"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn security(token: Option<&str>) -> Security {
        Security { token: token.map(|text| Token::new(text, "a test").unwrap()), tls: None }
    }

    fn admit(token: Option<&str>, agent: &str) -> Result<(), String> {
        let mut request = Request::new(());
        request.metadata_mut().insert("user-agent", agent.parse().unwrap());
        security(token).guard().call(request).map(drop).map_err(|status| status.message().to_owned())
    }

    #[test]
    fn only_the_token_admits() {
        let sent = format!("{PREFIX}{SECRET} tonic/1");
        assert_eq!(admit(Some(SECRET), &sent), Ok(()));
        assert_eq!(admit(None, &sent), Ok(()));
        assert_eq!(admit(None, "tonic/1"), Ok(()));
        for wrong in [&SECRET[1..], "", &format!("{SECRET}x"), &SECRET.to_uppercase()] {
            let refused = admit(Some(SECRET), &format!("{PREFIX}{wrong} tonic/1")).unwrap_err();
            assert_eq!(refused, "the token is not that of this cluster", "{wrong}");
        }
        for none in ["tonic/1", SECRET, &format!("tonic/1 {sent}")] {
            assert!(
                admit(Some(SECRET), none).unwrap_err().starts_with("the cluster asks for a token"),
                "{none}"
            );
        }
    }

    #[test]
    fn tokens_that_are_easily_guessed_are_refused() {
        for text in ["", "  \n", "secret", "a token of many words", "0123456789abcdeé"] {
            let error = Token::new(text, "the file").map(drop).unwrap_err().to_string();
            assert!(error.starts_with("the token in the file must be 16 or more"), "{text}: {error}");
            assert!(text.trim().is_empty() || !error.contains(text), "{error}");
        }
        assert_eq!(&*Token::new(&format!("{SECRET}\n"), "the file").unwrap().text, SECRET);
    }

    #[test]
    fn other_machines_need_a_token() {
        let reached = |address: &str, token| security(token).allows(address.parse().unwrap()).is_ok();
        assert!(reached("127.0.0.1", None) && reached("::1", None) && reached("10.0.0.1", Some(SECRET)));
        assert!(!reached("0.0.0.0", None) && !reached("10.0.0.1", None) && !reached("::", None));
    }

    #[test]
    fn the_token_is_not_printed() {
        assert_eq!(format!("{:?}", security(Some(SECRET))), "Security { token: true, tls: false }");
    }
}
