//! Addresses, as users write them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
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
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Ok(Self { host: Host::Ipv6(address), port: DEFAULT_PORT });
        }
        let wrong = || {
            format!(
                "'{text}' is not the address of a scheduler, such as df://localhost:50050 or df://[::1]:50050"
            )
        };
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

/// Where a scheduler listens: `10.0.0.1:50050`, `[::1]:50050`, or without the port, which is 50050 then.
///
/// # Errors
/// What is no address, as the end of a sentence.
pub fn scheduler_bind(text: &str) -> Result<SocketAddr, String> {
    match (text.parse(), unbracketed(text).parse()) {
        (Ok(address), _) => Ok(address),
        (Err(_), Ok(address)) => Ok(SocketAddr::new(address, DEFAULT_PORT)),
        _ => Err("it is not an address of this machine and a port, such as 10.0.0.1:50050 or [::1]:50050"
            .to_owned()),
    }
}

/// Where an executor listens: `10.0.0.2`, `::1` or `[::1]`.
///
/// # Errors
/// What is no address, as the end of a sentence.
pub fn executor_bind(text: &str) -> Result<IpAddr, String> {
    if text.parse::<SocketAddr>().is_ok() {
        return Err("it has a port, which is an option of its own: --port".to_owned());
    }
    let address = unbracketed(text).parse();
    address.map_err(|_| "it is not an address of this machine, such as 10.0.0.2 or ::1".to_owned())
}

/// The name or address of a machine, as it is in a URL.
///
/// # Errors
/// A text that is neither.
pub(crate) fn host_in_url(text: &str) -> Result<String, String> {
    let host = match text.parse() {
        Ok(address) => Ok(Host::Ipv6(address)),
        Err(_) => Host::parse(text),
    };
    host.map(|host| host.to_string()).map_err(|_| {
        format!("'{text}' is not the name or address of a machine, such as gpu-2, 10.0.0.2 or ::1")
    })
}

/// An IPv6 address without the brackets that it has before a port.
fn unbracketed(text: &str) -> &str {
    text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text)
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
        assert_eq!(parsed("df://[::1]"), Ok("df://[::1]:50050".to_owned()));
        assert_eq!(parsed("::1"), Ok("df://[::1]:50050".to_owned()));
    }

    #[test]
    fn other_urls_are_refused() {
        for text in
            ["", "http://host:1", "df://", "host:many", "df://host/photos", "df://me@host", "df://::1"]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn brackets_and_the_port_may_be_left_out_where_processes_listen() {
        let scheduler = |text: &str| scheduler_bind(text).map(|address| address.to_string());
        for text in ["::1", "[::1]", "[::1]:50050"] {
            assert_eq!(scheduler(text), Ok("[::1]:50050".to_owned()));
        }
        assert_eq!(scheduler("10.0.0.1"), Ok("10.0.0.1:50050".to_owned()));
        assert_eq!(scheduler("10.0.0.1:0"), Ok("10.0.0.1:0".to_owned()));
        let executor = |text: &str| executor_bind(text).map(|address| address.to_string());
        assert_eq!((executor("::1"), executor("[::1]")), (Ok("::1".to_owned()), Ok("::1".to_owned())));
        assert!(executor("[::1]:7").unwrap_err().contains("--port"));
        for text in ["", "localhost", "::1:50050", "10.0.0.1:many"] {
            assert!(scheduler(text).is_err() && executor(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hosts_are_written_as_in_urls() {
        let hosts = ["::1", "[::1]", "10.0.0.2", "gpu-2"].map(|text| host_in_url(text).unwrap());
        assert_eq!(hosts, ["[::1]", "[::1]", "10.0.0.2", "gpu-2"]);
        for text in ["", "gpu-2:7", "http://gpu-2", "[::1]:7"] {
            assert!(host_in_url(text).is_err(), "{text}");
        }
    }
}
