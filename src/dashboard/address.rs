//! Where a dashboard listens.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// The port of a dashboard whose address names none.
const PORT: u16 = 8265;

/// Where a dashboard listens: `127.0.0.1:8265` by default, which only this machine can reach.
///
/// ```
/// use seequel::dashboard::DashboardAddress;
///
/// # fn main() -> Result<(), String> {
/// let address: DashboardAddress = "0.0.0.0:9000".parse()?;
/// assert!(!address.is_local());
/// assert_eq!("9000".parse::<DashboardAddress>()?.to_string(), "127.0.0.1:9000");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DashboardAddress(pub(super) SocketAddr);

impl DashboardAddress {
    /// Whether only this machine can reach it. Any other asks for a token.
    #[must_use]
    pub fn is_local(self) -> bool {
        self.0.ip().to_canonical().is_loopback()
    }
}

impl Default for DashboardAddress {
    fn default() -> Self {
        Self(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)))
    }
}

/// An address with a port, an address, or a port of this machine; `localhost` is `127.0.0.1`.
impl FromStr for DashboardAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = text.strip_prefix("localhost").filter(|rest| rest.is_empty() || rest.starts_with(':'));
        let text = &named.map_or_else(|| text.to_owned(), |rest| format!("{}{rest}", Ipv4Addr::LOCALHOST));
        let port = |text: &str| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, text.parse::<u16>().ok()?)));
        let ip = |text: &str| Some(SocketAddr::from((text.parse::<IpAddr>().ok()?, PORT)));
        let address = text.parse().ok().or_else(|| port(text)).or_else(|| ip(text));
        address
            .map(Self)
            .ok_or_else(|| "write an address with a port, such as 127.0.0.1:8265, or a port".to_owned())
    }
}

impl fmt::Display for DashboardAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_a_port_or_both_can_be_given() {
        let parsed = |text: &str| text.parse::<DashboardAddress>().map(|address| address.to_string()).ok();
        for (text, address) in [
            ("9000", "127.0.0.1:9000"),
            ("localhost", "127.0.0.1:8265"),
            ("localhost:1", "127.0.0.1:1"),
            ("0.0.0.0", "0.0.0.0:8265"),
            ("[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(parsed(text).as_deref(), Some(address));
        }
        for wrong in ["", "photos.sql", "localhostile", "1.2.3", "70000"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_loopback_addresses_are_local() {
        let is_local = |text: &str| text.parse().map(DashboardAddress::is_local);
        assert_eq!(
            ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"].map(is_local),
            [Ok(true), Ok(true), Ok(true), Ok(true)]
        );
        assert_eq!(["0.0.0.0", "10.0.0.1", "::"].map(is_local), [Ok(false), Ok(false), Ok(false)]);
    }
}
