//! Services: what a machine may reach.

use std::future::Future;
use std::net::SocketAddrV4;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::DuplexStream;

/// One accepted TCP connection, seen from the service: what it reads the machine has sent.
///
/// End of file means that the machine has closed its direction, or reset the connection; a service
/// that needs to know which must look for its protocol's own end. `shutdown` closes the service's
/// direction, dropping the stream closes both.
pub type Connection = DuplexStream;

/// What [`Handler::serve`] gives back.
pub type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Serves connections. Called on the network's task, so it must not block; the future it returns runs
/// as a task of its own and is dropped when the network stops.
pub trait Handler: Send + Sync + 'static {
    /// Serves one connection until it ends.
    fn serve(&self, connection: Connection, peer: SocketAddrV4) -> Serving;
}

impl<F, Fut> Handler for F
where
    F: Fn(Connection, SocketAddrV4) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    fn serve(&self, connection: Connection, peer: SocketAddrV4) -> Serving {
        Box::pin(self(connection, peer))
    }
}

/// A service of the scenario: a name in the DNS, a TCP port, and who serves it.
#[derive(Clone)]
pub struct Service {
    /// The service's name in the scenario, for example `remediation`.
    pub name: String,
    /// Host name that resolves to the harness, for example `update.loopbreak.test`.
    pub host: String,
    /// TCP port. No two services of a machine have the same one.
    pub port: u16,
    /// Who serves its connections.
    pub handler: Arc<dyn Handler>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Service({} at {}:{})", self.name, self.host, self.port)
    }
}
