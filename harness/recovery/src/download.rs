//! Downloads that do not arrive as they were sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, to_bytes};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::body::{Frame, SizeHint};

use crate::manifest::SignedManifest;

/// No answer of a service is longer, in bytes.
const LIMIT: usize = 1 << 20;

/// The answer that announces all of its body and ends in the middle of it.
pub(crate) async fn truncated(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(whole) = to_bytes(body, LIMIT).await else { return failed() };
    parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    let first = whole.slice(..whole.len() / 2);
    let half = Half { first: Some(first), announced: whole.len() as u64 };
    Response::from_parts(parts, Body::new(half))
}

/// The manifest with one byte of its payload changed, which its signature does not fit any more.
pub(crate) async fn tampered(response: Response) -> Response {
    let (_, body) = response.into_parts();
    let Ok(whole) = to_bytes(body, LIMIT).await else { return failed() };
    let Ok(mut manifest) = serde_json::from_slice::<SignedManifest>(&whole) else {
        return failed();
    };
    let Ok(mut payload) = BASE64.decode(&manifest.payload) else { return failed() };
    let Some(last) = payload.last_mut() else { return failed() };
    *last ^= 1;
    manifest.payload = BASE64.encode(payload);
    axum::response::Json(manifest).into_response()
}

fn failed() -> Response {
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
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
