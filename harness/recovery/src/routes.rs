//! The places of the remediation protocol under HTTP, and what its answers look like there.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Shared};
use axum::http::header::RETRY_AFTER;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Json, Response as HttpResponse};
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::download;
use crate::manifest::FORMAT;
use crate::messages::{Kind, Request};
use crate::protocol::Response;
use crate::service::{Inner, PATIENCE, Reply};

/// A longer request body is refused, in bytes.
const BODY_LIMIT: usize = 64 * 1024;

pub(crate) fn router(inner: Arc<Inner>) -> Router {
    Router::new()
        .route("/recovery/v1/scan", post(scan))
        .route("/recovery/v1/manifest/{id}", get(manifest))
        .route("/recovery/v1/report", post(report))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .with_state(inner)
}

/// The status of an answer.
pub(crate) fn status(reply: &Reply) -> StatusCode {
    match reply {
        Reply::Manifest(_) | Reply::HalfManifest(_) => StatusCode::OK,
        Reply::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        Reply::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
        Reply::Response(Response::Offers(_) | Response::Manifest(_)) => StatusCode::OK,
        Reply::Response(Response::Accepted) => StatusCode::NO_CONTENT,
        Reply::Response(Response::NotFound) => StatusCode::NOT_FOUND,
        Reply::Response(Response::BadRequest(_)) => StatusCode::BAD_REQUEST,
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> HttpResponse {
        let status = status(&self);
        let no = |reason: &str| {
            (status, Json(json!({ "format": FORMAT, "error": reason }))).into_response()
        };
        match self {
            Self::Manifest(signed) => Json(signed).into_response(),
            Self::HalfManifest(signed) => download::truncated(&signed),
            Self::Unavailable(after) => later(no("the service is not available now"), after),
            Self::TooMany(after) => later(no("too many requests"), after),
            Self::Response(Response::Offers(offers)) => {
                let offers: Vec<Value> = offers
                    .iter()
                    .map(|offer| {
                        let url = format!("/recovery/v1/manifest/{}", offer.id);
                        json!({ "id": offer.id, "counter": offer.counter, "manifestUrl": url })
                    })
                    .collect();
                Json(json!({ "format": FORMAT, "remediations": offers })).into_response()
            }
            Self::Response(Response::Accepted) => status.into_response(),
            Self::Response(Response::BadRequest(reason)) => no(&reason),
            // A manifest is signed before it is answered with.
            Self::Response(Response::NotFound | Response::Manifest(_)) => {
                no("there is no such thing")
            }
        }
    }
}

/// With the time after which it may be asked again, in whole seconds (RFC 9110, section 10.2.3).
fn later(mut response: HttpResponse, after: Option<Duration>) -> HttpResponse {
    if let Some(after) = after {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// The body of a request, or what is to be made of one that did not come whole: too large, which is wrong, or cut off
/// or stuck on its way, which is the fate of a machine that loses its power or its network.
async fn received(kind: Kind, body: Body) -> Result<Bytes, Request> {
    match tokio::time::timeout(PATIENCE, to_bytes(body, BODY_LIMIT)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if is_too_long(&error) => {
            Err(Request::bad(kind, format!("it has more than {BODY_LIMIT} bytes")))
        }
        Ok(Err(_)) | Err(_) => Err(Request::BrokenOff { kind }),
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    let mut source = std::error::Error::source(error);
    std::iter::from_fn(|| {
        let this = source?;
        source = this.source();
        Some(this)
    })
    .any(|error| error.is::<http_body_util::LengthLimitError>())
}

async fn scan(Shared(inner): Shared<Arc<Inner>>, body: Body) -> Reply {
    inner.take(Kind::Scan, body, Request::scan).await
}

async fn report(Shared(inner): Shared<Arc<Inner>>, body: Body) -> Reply {
    inner.take(Kind::Report, body, Request::report).await
}

impl Inner {
    async fn take(&self, kind: Kind, body: Body, read: fn(&[u8]) -> Request) -> Reply {
        match received(kind, body).await {
            Ok(body) => {
                let readable: Option<Value> = serde_json::from_slice(&body).ok();
                self.reply(&read(&body), readable.as_ref()).await
            }
            Err(request) => self.reply(&request, None).await,
        }
    }
}

async fn manifest(
    Shared(inner): Shared<Arc<Inner>>,
    id: Result<Path<String>, PathRejection>,
) -> Reply {
    let request = match id {
        Ok(Path(id)) => Request::Manifest { id },
        Err(error) => Request::bad(Kind::Manifest, error),
    };
    inner.reply(&request, None).await
}

async fn unknown(Shared(inner): Shared<Arc<Inner>>, method: Method, uri: Uri) -> Reply {
    inner.reply(&Request::Unknown { what: format!("{method} {}", uri.path()) }, None).await
}
