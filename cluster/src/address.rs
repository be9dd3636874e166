//! The address of a scheduler.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// Port of a scheduler that gives none; Ballista's own.
const DEFAULT_PORT: u16 = 50050;

/// Where a scheduler is reached: `df://host:50050`, or `host:50050`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    host: Host<String>,
    port: u16,
}

impl Address {
    /// The address as gRPC takes it, with `http` or `https`.
    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}:{}", self.host, self.port)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "df://{}:{}", self.host, self.port)
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not the address of a scheduler, such as df://localhost:50050");
        let url = if text.contains("://") { text.to_owned() } else { format!("df://{text}") };
        let url = Url::parse(&url).map_err(|_| wrong())?;
        let has_more = !matches!(url.path(), "" | "/") || url.query().is_some() || !url.username().is_empty();
        match url.host_str().map(Host::parse) {
            Some(Ok(host)) if url.scheme() == "df" && !has_more => {
                Ok(Self { host, port: url.port().unwrap_or(DEFAULT_PORT) })
            }
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_and_ports_may_be_left_out() {
        let parsed = |text: &str| text.parse::<Address>().map(|address| address.to_string());
        assert_eq!(parsed("df://gpu-1:7"), Ok("df://gpu-1:7".to_owned()));
        assert_eq!(parsed("localhost"), Ok("df://localhost:50050".to_owned()));
        assert_eq!(parsed("10.0.0.1:80"), Ok("df://10.0.0.1:80".to_owned()));
        assert_eq!(parsed("[::1]:80"), Ok("df://[::1]:80".to_owned()));
    }

    #[test]
    fn other_urls_are_refused() {
        for text in ["", "http://host:1", "df://", "host:many", "df://host/photos", "df://me@host"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
