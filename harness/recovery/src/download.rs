//! Downloads that do not arrive as they were sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::body::{Frame, SizeHint};

use crate::manifest::SignedManifest;

/// The answer that announces all of its body and ends in the middle of it.
pub(crate) fn truncated(signed: &SignedManifest) -> Response {
    let whole = Bytes::from(serde_json::to_vec(signed).unwrap_or_default());
    let half = Half { first: Some(whole.slice(..whole.len() / 2)), announced: whole.len() as u64 };
    Response::new(Body::new(half))
}

/// The manifest with one byte of its payload changed, which its signature does not fit any more.
pub(crate) fn tampered(mut signed: SignedManifest) -> SignedManifest {
    let mut payload = BASE64.decode(&signed.payload).unwrap_or_default();
    if let Some(last) = payload.last_mut() {
        *last ^= 1;
    }
    signed.payload = BASE64.encode(payload);
    signed
}

/// A body that announces more than it has.
struct Half {
    first: Option<Bytes>,
    announced: u64,
}

impl hyper::body::Body for Half {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(Some(match self.first.take() {
            Some(first) => Ok(Frame::data(first)),
            None => Err(io::Error::other("the download ends here")),
        }))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.announced)
    }
}
