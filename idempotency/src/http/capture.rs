//! Reading a response before it is sent, in bounded memory.

use axum::{
    body::{Body, Bytes},
    http::{HeaderName, StatusCode, header, response::Parts},
    response::{IntoResponse as _, Response},
};
use bytes::BytesMut;
use futures_util::stream;
use http_body_util::BodyExt as _;

use super::Problem;
use crate::{Answer, operations::Exit};

/// Headers that concern one connection only (RFC 9110, 7.6.1).
const OF_CONNECTION: [HeaderName; 6] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    HeaderName::from_static("keep-alive"),
];

/// Reads the response up to `limit` bytes of body. What is read whole is kept, of a larger one only
/// status and headers; a failure that may pass is not kept.
pub(super) async fn capture(response: Response, limit: usize) -> Exit<Response> {
    if is_passing(response.status()) {
        return Exit::Release(response);
    }
    let (parts, mut body) = response.into_parts();
    let mut read = BytesMut::new();
    while read.len() <= limit {
        match body.frame().await {
            // Trailers are not kept, so that they are not in the first answer either.
            Some(Ok(frame)) => read.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
            Some(Err(error)) => {
                tracing::error!(%error, "the body of a keyed request's response broke off; nothing is kept");
                return Exit::Release(Problem::internal().into_response());
            }
            None => {
                let bytes = read.freeze();
                let answer = answer(&parts, bytes.clone());
                return Exit::Keep(answer, Response::from_parts(parts, Body::from(bytes)));
            }
        }
    }
    let tombstone = answer(&parts, Bytes::new()).without_body();
    let begun = stream::iter([Ok(read.freeze())]);
    let whole = futures_util::StreamExt::chain(begun, body.into_data_stream());
    Exit::Keep(
        tombstone,
        Response::from_parts(parts, Body::from_stream(whole)),
    )
}

/// Whether asking again may have another result: the same request is then processed again.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT
                | StatusCode::CONFLICT
                | StatusCode::TOO_EARLY
                | StatusCode::TOO_MANY_REQUESTS
        )
}

fn answer(parts: &Parts, body: Bytes) -> Answer {
    let headers = parts.headers.iter();
    let kept = headers.filter(|(name, _)| !OF_CONNECTION.contains(name));
    kept.fold(Answer::new(parts.status, body), |answer, (name, value)| {
        answer.header(name.as_str(), value.as_bytes())
    })
}
