//! Reading one JSON answer: small ones whole, large complete ones as a stream that starts before they have arrived.
//! Which answers may be streamed is decided by the caller; how their bytes are followed by `large`.

use super::{
    connection::{Body, Response},
    events::{self, ReadError},
    large::{Opening, Sight},
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
    let named = events::length(&response.headers);
    if named.is_some_and(|named| named > limit) {
        return Err(ReadError::TooLarge.failure());
    }
    let mut body = response.body;
    let pieces = match large {
        Some(era) if named.is_none_or(|named| named >= LARGE) => {
            let mut opening = Opening::new(era, id);
            let begun = begin(&mut opening, &mut body, named.is_some()).await;
            if begun.map_err(ReadError::failure)? == Sight::Certain {
                return Ok(Answer::Large(opening.into_stream(body, limit, deadlines)));
            }
            opening.into_pieces()
        }
        _ => Vec::new(),
    };
    let bytes = events::collect(&mut body, pieces, limit).await.map_err(ReadError::failure)?;
    Ok(Answer::Whole(events::decode_response(&bytes, id)))
}

/// Reads until it is certain that a large result follows, or that it is not worth while to wait for that.
async fn begin(opening: &mut Opening, body: &mut Body, named: bool) -> Result<Sight, ReadError> {
    let mut waiting: Vec<Bytes> = Vec::new();
    let mut size = 0;
    let mut sight = Sight::NotYet;
    while sight == Sight::NotYet && opening.size() < LARGE {
        let Some(piece) = body.chunk().await else { break };
        let piece = piece.map_err(ReadError::Broken)?;
        size += piece.len();
        waiting.push(piece);
        // Without a named length it may be a small answer, which is scanned once it is whole, and not before.
        if named || size >= LARGE {
            for piece in waiting.drain(..) {
                sight = opening.push(piece);
            }
        }
    }
    if !waiting.is_empty() {
        opening.keep(waiting);
        return Ok(Sight::NotYet);
    }
    Ok(sight)
}
