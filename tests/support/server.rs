//! A small local HTTP server for a hub or a web server, with redirects, tokens and lost connections.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// The response for a path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Page {
    pub(crate) body: Vec<u8>,
    /// The target of a redirect.
    pub(crate) redirect: Option<String>,
    /// The token that a request needs.
    pub(crate) token: Option<&'static str>,
    /// The number of bytes after which the first connection is closed.
    pub(crate) lost_after: Option<usize>,
}

/// A server that responds until the test ends.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// A received request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) token: Option<String>,
}

impl Page {
    pub(crate) fn of(body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }

    pub(crate) fn redirect(url: String) -> Self {
        Self { redirect: Some(url), ..Self::default() }
    }
}

impl Server {
    /// Listens on a free port; paths are without query.
    pub(crate) fn new(pages: impl IntoIterator<Item = (String, Page)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let pages = Arc::new(Mutex::new(pages.into_iter().collect::<HashMap<_, _>>()));
        let requests = Arc::new(Mutex::new(vec![]));
        let log = Arc::clone(&requests);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (pages, log) = (Arc::clone(&pages), Arc::clone(&log));
                thread::spawn(move || serve(&connection, &pages, &log));
            }
        });
        Self { url, requests }
    }

    /// The requests since the last call.
    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }

    /// The requested paths since the last call.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.path).collect()
    }
}

/// Responds to one request; a client that disconnects is ignored.
fn serve(mut connection: &TcpStream, pages: &Mutex<HashMap<String, Page>>, log: &Mutex<Vec<Request>>) {
    let Some(request) = read(connection) else {
        return;
    };
    log.lock().unwrap().push(request.clone());
    let page = {
        let mut pages = pages.lock().unwrap();
        let page = pages.get_mut(&request.path);
        page.map(|page| Page { lost_after: page.lost_after.take(), ..page.clone() })
    };
    let (head, body) = respond(page.as_ref(), &request);
    let cut = page.as_ref().and_then(|page| page.lost_after).unwrap_or(body.len());
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(&body[..cut]));
}

fn read(connection: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(connection).lines().map_while(Result::ok);
    let target = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: HashMap<String, String> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())))
        .collect();
    let path = target.split('?').next()?.to_owned();
    let token = headers.get("authorization").and_then(|value| value.strip_prefix("Bearer "));
    Some(Request { path, range: headers.get("range").cloned(), token: token.map(str::to_owned) })
}

/// The head without its common lines, and the body.
fn respond<'a>(page: Option<&'a Page>, request: &Request) -> (String, &'a [u8]) {
    let Some(page) = page else {
        return ("404 Not Found".to_owned(), b"");
    };
    if page.token.is_some() && page.token != request.token.as_deref() {
        return ("401 Unauthorized".to_owned(), b"");
    }
    if let Some(url) = &page.redirect {
        return (format!("302 Found\r\nLocation: {url}"), b"");
    }
    let start = request.range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
    match start.map(|start| start.parse::<usize>().unwrap()) {
        None => ("200 OK".to_owned(), &page.body),
        Some(start) if start < page.body.len() => {
            let (last, length) = (page.body.len() - 1, page.body.len());
            let range = format!("206 Partial Content\r\nContent-Range: bytes {start}-{last}/{length}");
            (range, &page.body[start..])
        }
        Some(_) => ("416 Range Not Satisfiable".to_owned(), b""),
    }
}
