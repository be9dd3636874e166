//! How long a process waits for another that does not answer.
//!
//! The kernel of a process that is stopped still takes connections and requests, and a machine that has vanished ends no
//! connection: neither is noticed by waiting. So a connection on which nothing comes is asked whether the other process is there.

use std::error::Error;
use std::io;
use std::time::Duration;

use tokio::net::TcpListener;
use tonic::transport::Endpoint;
use tonic::transport::server::TcpIncoming;

/// How long a scheduler may be silent, and an executor that is asked for the rows of a query: longer than they are busy.
pub(crate) const SILENCE: Duration = Duration::from_secs(20);
/// How long an executor may be silent whose results a task reads. Longer, since a task that keeps its thread hears nothing,
/// and since the results are computed again.
pub(crate) const SILENCE_OF_TASKS: Duration = Duration::from_secs(60);
/// How long a process may take to accept a connection.
pub(crate) const CONNECTED_WITHIN: Duration = Duration::from_secs(20);
/// Between two signs of life that the kernels exchange on a connection that nobody uses.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// A connection that is not open yet, and that ends when nothing has come on it for `silence` while an answer is waited for.
pub(crate) fn patient(endpoint: Endpoint, silence: Duration) -> Endpoint {
    // The first is how long nothing comes before the question, the other how long the answer may take.
    let (asked_after, answered_within) = (silence / 4, silence * 3 / 4);
    endpoint
        .connect_timeout(CONNECTED_WITHIN)
        .http2_keep_alive_interval(asked_after)
        .keep_alive_timeout(answered_within)
        .tcp_nodelay(true)
        .tcp_keepalive(Some(KEEPALIVE))
}

/// The connections to a port.
pub(crate) fn incoming(listener: TcpListener) -> TcpIncoming {
    TcpIncoming::from(listener).with_nodelay(Some(true)).with_keepalive(Some(KEEPALIVE))
}

/// Whether an error says that the other process is silent.
pub(crate) fn is_silence(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let of_connection = error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_timeout);
        let of_kernel =
            error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
        if of_connection || of_kernel {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What is told of a process that is silent.
pub(crate) fn silent() -> String {
    format!("it has not answered for {} seconds", SILENCE.as_secs())
}
