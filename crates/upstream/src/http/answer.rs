//! Reading one JSON answer: small ones whole, large complete ones as a stream that starts before they have arrived.
//! Which answers may be streamed is decided by the caller; how their bytes are followed by `large`.

use super::{
    connection::Response,
    events::{self, ReadError},
};
use bytes::Bytes;
use portreeve_mcp::{
    Era, Outcome,
    service::{Failure, RawStream},
};
use portreeve_model::Deadlines;

/// From this size on an answer is streamed if it may be.
const LARGE: usize = 64 << 10;

/// A JSON answer.
pub(crate) enum Answer {
    /// All of it; `None` if it is no answer to the request.
    Whole(Option<Outcome>),
    /// A large result whose bytes follow.
    Large(RawStream),
}

/// Reads the answer to the request with this id. `large`: whether it may be streamed, and in which era it is written.
pub(crate) async fn read(
    response: Response,
    id: u64,
    large: Option<Era>,
    limit: usize,
    deadlines: &Deadlines,
) -> Result<Answer, Failure> {
    let named = events::length(&response.headers).unwrap_or(0);
    if named > limit {
        return Err(ReadError::TooLarge.failure());
    }
    let mut body = response.body;
    let mut pieces: Vec<Bytes> = Vec::new();
    if let Some(era) = large {
        let mut size = 0;
        while size < LARGE {
            let Some(piece) = body.chunk().await else { break };
            let piece = piece.map_err(|why| ReadError::Broken(why).failure())?;
            size += piece.len();
            pieces.push(piece);
        }
        if size >= LARGE {
            match super::large::start(era, id, pieces, body, limit, deadlines) {
                Ok(stream) => return Ok(Answer::Large(stream)),
                Err((given_back, rest)) => (pieces, body) = (given_back, rest),
            }
        }
    }
    let bytes = events::collect(&mut body, pieces, limit).await.map_err(ReadError::failure)?;
    Ok(Answer::Whole(events::decode_response(&bytes, id)))
}
