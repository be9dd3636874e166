//! Whom the dashboard refuses.

use super::client::endless_shell;
use crate::support::home_with_model;

#[test]
fn other_pages_and_changes_are_refused() {
    let home = home_with_model();
    let shell = endless_shell(home.path(), "127.0.0.1:0", &[]);
    let client = &shell.client;
    let id = client.query("running");
    let cancel = format!("/api/v1/queries/{id}/cancel");
    let own = format!("http://{}", client.address);
    for (method, path, header, status) in [
        ("GET", "/", ("Accept", "*/*"), 200),
        ("GET", "/", ("Origin", own.as_str()), 200),
        ("GET", "/api/v1/queries", ("Host", "evil.example"), 403),
        ("GET", "/api/v1/queries", ("Host", "10.1.2.3:8265"), 403),
        ("GET", "/api/v1/events", ("Origin", "http://evil.example"), 403),
        ("GET", "/metrics", ("Origin", "null"), 403),
        ("POST", cancel.as_str(), ("Origin", "https://evil.example"), 403),
        ("POST", cancel.as_str(), ("Origin", own.as_str()), 403),
        ("POST", "/api/v1/queries", ("Accept", "*/*"), 405),
        ("GET", cancel.as_str(), ("Accept", "*/*"), 405),
        ("GET", "/api/v1/../../etc/passwd", ("Accept", "*/*"), 404),
        ("GET", "/page/index.html", ("Accept", "*/*"), 404),
    ] {
        let answer = client.ask(method, path, &[header]);
        assert_eq!(answer.status, status, "{method} {path} {header:?}: {}", answer.text());
        let headers = &answer.headers;
        assert!(headers["content-security-policy"].contains("default-src 'none'"), "{headers:?}");
        assert!(headers["content-security-policy"].contains("frame-ancestors 'none'"), "{headers:?}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cache-control"], "no-store");
        assert!(!headers.contains_key("access-control-allow-origin"), "{headers:?}");
    }
    let refused = client.post(&cancel);
    assert!(refused.json()["error"].as_str().unwrap().contains("--dashboard-actions"), "{}", refused.text());
    assert_eq!(client.query("running"), id, "it still runs");
}

#[test]
fn an_address_that_others_reach_asks_for_its_token() {
    let home = home_with_model();
    let shell = endless_shell(home.path(), "0.0.0.0:0", &["--quiet"]);
    let client = &shell.client;
    let token = shell.url.split_once("/?token=").unwrap().1.to_owned();
    let wrong = format!("{}0", &token[1..]);
    for path in
        ["/", "/api/v1/queries", "/api/v1/events", "/metrics", &format!("/?token={wrong}"), "/?token="]
    {
        let answer = client.get(path);
        assert_eq!(answer.status, 401, "{path}");
        assert!(!answer.text().contains(&token));
    }
    let opened = client.get(&format!("/?token={token}"));
    assert_eq!((opened.status, opened.headers["location"].as_str()), (303, "/"));
    let cookie = &opened.headers["set-cookie"];
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    assert_eq!(client.ask("GET", "/", &[("Cookie", cookie)]).status, 200);
    assert_eq!(client.ask("GET", "/api/v1/queries", &[("Cookie", cookie)]).status, 200);
    assert_eq!(client.ask("GET", "/", &[("Cookie", &format!("seequel_token={wrong}"))]).status, 401);
    let bearer = format!("Bearer {token}");
    assert_eq!(client.ask("GET", "/metrics", &[("Authorization", &bearer)]).status, 200);
    let foreign = [("Cookie", cookie), ("Host", "evil.example")];
    assert_eq!(client.ask("GET", "/", &foreign).status, 403);
    assert!(!client.ask("GET", "/api/v1/process", &[("Cookie", cookie)]).text().contains(&token));
}
