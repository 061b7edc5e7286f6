//! Large JSON answers.
use super::connection::Body;
use bytes::Bytes;
use portreeve_mcp::{Era, service::RawStream};
use portreeve_model::Deadlines;
pub(crate) fn start(
    _era: Era,
    _id: u64,
    pieces: Vec<Bytes>,
    body: Body,
    _limit: usize,
    _deadlines: &Deadlines,
) -> Result<RawStream, (Vec<Bytes>, Body)> {
    Err((pieces, body))
}
