//! Who may ask a dashboard, and what answers forbid the page.
//!
//! ```text
//!  Host   an address or localhost; a name of somebody's could point here (rebinding)    else 403
//!  Origin where there is one, the page's own                                            else 403
//!  token  unless only this machine can ask: of the link, the cookie, or Authorization   else 401
//! ```

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;
use url::form_urlencoded;

use super::shared::Shared;
use crate::{Error, Result};

/// Bytes of a token before they are written in base 16.
const TOKEN_BYTES: usize = 24;

const COOKIE: &str = "seequel_token";
const TOKEN: &str = "token";

/// What the page may load and do: its own files, nothing inline, nothing from elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Headers of every answer.
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Who may ask.
pub(super) struct Access {
    /// `None` if only this machine can ask.
    token: Option<String>,
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
enum Admission {
    Admitted,
    /// The link had the token: it goes on in a cookie, so that it does not stay in the address.
    WithCookie,
    Refused(StatusCode, &'static str),
}

impl Access {
    /// Access from this machine alone, or with a new token.
    ///
    /// # Errors
    /// A system without random numbers.
    pub(super) fn new(is_local: bool) -> Result<Self> {
        let token = (!is_local).then(token).transpose()?;
        Ok(Self { token })
    }

    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    fn admit(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Admission {
        let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or(""));
        let host = text(header::HOST).or_else(|| uri.authority().map(|authority| authority.as_str()));
        let Some(host) = host.filter(|host| self.is_ours(host)) else {
            let reason =
                "the Host of this request is not this machine's address; open the dashboard by its address";
            return Admission::Refused(StatusCode::FORBIDDEN, reason);
        };
        if text(header::ORIGIN).is_some_and(|origin| origin.strip_prefix("http://") != Some(host)) {
            return Admission::Refused(StatusCode::FORBIDDEN, "requests of other pages are refused");
        }
        let Some(token) = &self.token else { return Admission::Admitted };
        let is_token = |given: &str| bool::from(given.as_bytes().ct_eq(token.as_bytes()));
        let bearer = text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        if cookie(headers).is_some_and(is_token) || bearer.is_some_and(is_token) {
            return Admission::Admitted;
        }
        let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        let mut given = query.filter(|(key, _)| key == TOKEN).map(|(_, value)| value);
        if method == Method::GET && given.any(|given| is_token(&given)) {
            return Admission::WithCookie;
        }
        let reason = "this dashboard asks for a token: open the link that was shown when it started";
        Admission::Refused(StatusCode::UNAUTHORIZED, reason)
    }

    /// Whether `host`, with or without a port, is an address, and not a name that others could point here. Only
    /// addresses of this machine are ours if only this machine can ask.
    fn is_ours(&self, host: &str) -> bool {
        let host = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
            _ => host,
        };
        if host.eq_ignore_ascii_case("localhost") {
            return true;
        }
        let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let ip = host.parse::<IpAddr>();
        ip.is_ok_and(|ip| self.token.is_some() || ip.to_canonical().is_loopback())
    }
}

/// Lets through what may ask, and adds the headers of every answer.
pub(super) async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let access = &shared.access;
    let mut response = match access.admit(request.method(), request.uri(), request.headers()) {
        Admission::Admitted => next.run(request).await,
        Admission::WithCookie => with_cookie(request.uri(), access.token().unwrap_or_default()),
        Admission::Refused(status, reason) => (status, format!("{reason}\n")).into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The same address without the token, which is in a cookie from now on.
fn with_cookie(uri: &Uri, token: &str) -> Response {
    let cookie = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict");
    let answer = Response::builder()
        .status(StatusCode::SEE_OTHER)
        .header(header::LOCATION, uri.path())
        .header(header::SET_COOKIE, cookie)
        .body(Body::empty());
    answer.unwrap_or_else(|_| StatusCode::BAD_REQUEST.into_response())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

fn token() -> Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::getrandom(&mut bytes).map_err(|error| {
        Error::Dashboard(format!("the system has no random numbers for a token: {error}"))
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(access: &Access, uri: &str, headers: &[(&str, &str)]) -> Admission {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        access.admit(&Method::GET, &uri.parse().unwrap(), &headers.iter().map(pair).collect())
    }

    fn status(admission: &Admission) -> u16 {
        match admission {
            Admission::Admitted => 200,
            Admission::WithCookie => 303,
            Admission::Refused(status, _) => status.as_u16(),
        }
    }

    #[test]
    fn names_and_pages_of_others_are_refused() {
        let local = Access::new(true).unwrap();
        for (headers, expected) in [
            (vec![("host", "127.0.0.1:8265")], 200),
            (vec![("host", "localhost:9000")], 200),
            (vec![("host", "[::1]:8265")], 200),
            (vec![("host", "evil.example:8265")], 403),
            (vec![("host", "localhost.evil.example")], 403),
            (vec![("host", "10.0.0.1:8265")], 403),
            (vec![("host", "")], 403),
            (vec![], 403),
            (vec![("host", "127.0.0.1:8265"), ("origin", "http://127.0.0.1:8265")], 200),
            (vec![("host", "127.0.0.1:8265"), ("origin", "http://127.0.0.1:9999")], 403),
            (vec![("host", "127.0.0.1:8265"), ("origin", "https://evil.example")], 403),
            (vec![("host", "127.0.0.1:8265"), ("origin", "null")], 403),
        ] {
            assert_eq!(status(&admit(&local, "/", &headers)), expected, "{headers:?}");
        }
    }

    #[test]
    fn other_machines_need_the_token() {
        let access = Access::new(false).unwrap();
        let token = access.token().unwrap().to_owned();
        assert_eq!(token.len(), 2 * TOKEN_BYTES);
        let host = ("host", "10.0.0.1:8265");
        let cookie = format!("a=b; {COOKIE}={token}");
        let bearer = format!("Bearer {token}");
        let wrong = format!("Bearer {}x", &token[1..]);
        assert_eq!(status(&admit(&access, "/", &[host])), 401);
        assert_eq!(status(&admit(&access, "/?token=", &[host])), 401);
        assert_eq!(status(&admit(&access, &format!("/?token={token}x"), &[host])), 401);
        assert_eq!(status(&admit(&access, "/", &[host, ("authorization", &wrong)])), 401);
        assert_eq!(status(&admit(&access, &format!("/?token={token}"), &[host])), 303);
        assert_eq!(status(&admit(&access, "/", &[host, ("cookie", &cookie)])), 200);
        assert_eq!(status(&admit(&access, "/", &[host, ("authorization", &bearer)])), 200);
        assert_eq!(status(&admit(&access, "/", &[("host", "name.example"), ("cookie", &cookie)])), 403);
        assert_ne!(Access::new(false).unwrap().token(), Some(token.as_str()));
    }
}
