//! Connections to other executors, whose results a task reads. Ballista's own pool is not public.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ballista_core::client::BallistaClient;
use ballista_core::client_pool::{BallistaClientPool, PooledClient};
use ballista_core::error::Result;
use ballista_core::extension::BallistaConfigGrpcEndpoint;
use ballista_core::utils::GrpcClientConfig;

/// How long a connection that nobody uses stays open.
const IDLE: Duration = Duration::from_secs(30);

type Key = (String, u16, GrpcClientConfig);
type Clients = HashMap<Key, Vec<(BallistaClient, Instant)>>;

/// Connections that wait for the next reader. A reader has one of its own, so that none waits for the pace of another.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Arc<Mutex<Clients>>,
}

impl Pool {
    fn take(&self, key: &Key) -> Option<BallistaClient> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        forget_old(&mut idle);
        idle.get_mut(key)?.pop().map(|(client, _)| client)
    }
}

fn forget_old(idle: &mut Clients) {
    idle.retain(|_, clients| {
        clients.retain(|(_, since)| since.elapsed() < IDLE);
        !clients.is_empty()
    });
}

#[tonic::async_trait]
impl BallistaClientPool for Pool {
    async fn acquire(
        &self,
        host: &str,
        port: u16,
        config: &GrpcClientConfig,
        customize_endpoint: Option<Arc<BallistaConfigGrpcEndpoint>>,
    ) -> Result<PooledClient> {
        let key = (host.to_owned(), port, config.clone());
        let client = match self.take(&key) {
            Some(client) => client,
            None => {
                BallistaClient::try_new(
                    host,
                    port,
                    config.max_message_size,
                    config.use_tls,
                    customize_endpoint,
                    config.io_retries_times,
                    config.io_retry_wait_time_ms,
                    config.initial_connection_window_size,
                    config.initial_stream_window_size,
                )
                .await?
            }
        };
        let idle = Arc::clone(&self.idle);
        let put_back = move |client| {
            let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.entry(key).or_default().push((client, Instant::now()));
        };
        Ok(PooledClient::new(client, Box::new(put_back)))
    }

    async fn evict_idle(&self) {
        forget_old(&mut self.idle.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}
