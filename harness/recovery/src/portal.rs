//! A captive portal: whoever asks the web for anything gets a page that wants a login first.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use crate::authority::{Authority, Validity};
use crate::service_error::ServiceError;
use crate::tls::{OTHER_NAME, acceptor};

/// The name of the service.
const NAME: &str = "captive-portal";
/// The longest request head that is read, in bytes.
const HEAD: usize = 16 * 1024;
/// A machine that says nothing for so long is left alone.
const PATIENCE: Duration = Duration::from_secs(30);
/// The first byte of a TLS handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 0x16;

/// A running portal.
#[derive(Clone)]
pub struct CaptivePortal {
    acceptor: TlsAcceptor,
}

impl std::fmt::Debug for CaptivePortal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CaptivePortal")
    }
}

impl CaptivePortal {
    /// A portal whose certificate is valid at `clock`, for its own name and no other.
    ///
    /// # Errors
    /// [`ServiceError`] where there is no certificate.
    pub fn new(authority: &Authority, clock: Timestamp) -> Result<Self, ServiceError> {
        let validity = Validity::around(clock);
        Ok(Self { acceptor: acceptor(authority, OTHER_NAME, validity)? })
    }

    /// This portal, as the network wants it.
    pub fn network_service(&self) -> network::Service {
        network::Service {
            name: NAME.to_owned(),
            host: OTHER_NAME.to_owned(),
            port: 80,
            handler: Arc::new(self.clone()),
        }
    }

    async fn serve_connection(&self, mut stream: network::Connection) {
        let mut first = [0; 1];
        let Ok(Ok(1)) = tokio::time::timeout(PATIENCE, stream.read(&mut first)).await else {
            return;
        };
        let again = Again { first: Some(first[0]), stream };
        if first[0] != HANDSHAKE {
            return redirect(again).await;
        }
        match tokio::time::timeout(PATIENCE, self.acceptor.accept(again)).await {
            // Who does not look at names gets the page all the same.
            Ok(Ok(stream)) => redirect(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "no TLS with the captive portal"),
            Err(_) => {}
        }
    }
}

impl network::Handler for CaptivePortal {
    fn serve(&self, connection: network::Connection, _peer: SocketAddrV4) -> network::Serving {
        let portal = self.clone();
        Box::pin(async move { portal.serve_connection(connection).await })
    }
}

/// Reads the head of a request, whatever it asks for, and sends it to the login page.
async fn redirect(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut head = Vec::new();
    let read = async {
        while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < HEAD {
            if stream.read_buf(&mut head).await? == 0 {
                break;
            }
        }
        std::io::Result::Ok(())
    };
    if !matches!(tokio::time::timeout(PATIENCE, read).await, Ok(Ok(()))) {
        return;
    }
    let page = "<!DOCTYPE html><title>Welcome</title><p>Please log in to use this network.";
    let answer = format!(
        "HTTP/1.1 302 Found\r\nLocation: http://{OTHER_NAME}/\r\nContent-Type: text/html\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{page}",
        page.len()
    );
    let sent = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    };
    if let Err(error) = sent.await {
        tracing::debug!(%error, "a connection to the captive portal ended early");
    }
}

/// A stream whose first byte was looked at.
struct Again {
    first: Option<u8>,
    stream: network::Connection,
}

impl AsyncRead for Again {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        if buffer.remaining() > 0
            && let Some(first) = self.first.take()
        {
            buffer.put_slice(&[first]);
            return std::task::Poll::Ready(Ok(()));
        }
        std::pin::Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Again {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
