//! The gate over a pair of byte streams, one message a line (spec: basic/transports/stdio). Ends with the reader;
//! what a message means is the gateway's `Pipe`'s business. Knows no HTTP.

use bytes::Bytes;
use portreeve_gateway::{Gateway, Pipe, Server};
use portreeve_mcp::{Code, Outcome, RpcError, frame};
use portreeve_model::{Principal, PrincipalKind};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    sync::mpsc,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long the last messages may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Serves one client until its side of the pipe closes or `stop` says so.
///
/// # Errors
/// A pipe broke.
pub async fn serve(
    gateway: Arc<Gateway>,
    server: &Server,
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin + Send + 'static,
    stop: CancellationToken,
) -> io::Result<()> {
    let limit = gateway.limits().body;
    // Who starts this program on this machine is its local principal.
    let principal = Principal::new(PrincipalKind::Local, None);
    let (pipe, messages) = Pipe::new(gateway, principal, server);
    let tasks = TaskTracker::new();
    let writing = tasks.spawn(write(messages, writer));
    let read = read(&pipe, reader, limit, stop).await;
    pipe.close().await;
    drop(pipe);
    // A client that does not read any more is not waited for.
    let _ = tokio::time::timeout(LAST_WORDS, writing).await;
    read
}

async fn write(mut messages: mpsc::Receiver<Vec<u8>>, mut writer: impl AsyncWrite + Unpin) {
    while let Some(mut message) = messages.recv().await {
        // JSON has line breaks only between tokens, so a blank says the same.
        for byte in message.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')) {
            *byte = b' ';
        }
        message.push(b'\n');
        let idle = messages.is_empty();
        if writer.write_all(&message).await.is_err() || (idle && writer.flush().await.is_err()) {
            return;
        }
    }
    // The reader may be gone already.
    let _ = writer.flush().await;
}

async fn read(
    pipe: &Arc<Pipe>,
    reader: impl AsyncRead + Unpin,
    limit: usize,
    stop: CancellationToken,
) -> io::Result<()> {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        let read = tokio::select! {
            read = read_line(&mut reader, &mut line, limit) => read?,
            () = stop.cancelled() => return Ok(()),
        };
        match read {
            Line::End => return Ok(()),
            Line::TooLong => {
                let error =
                    RpcError::new(Code::INVALID_REQUEST, format!("a message is longer than {limit} bytes"));
                pipe.send(frame::encode_response(None, &Outcome::Error(error))).await;
            }
            Line::Message if line.iter().all(u8::is_ascii_whitespace) => {}
            Line::Message => pipe.message(Bytes::copy_from_slice(&line)).await,
        }
    }
}

enum Line {
    Message,
    TooLong,
    End,
}

/// Reads one line of at most `limit` bytes; the rest of a longer one is skipped.
async fn read_line(
    reader: &mut (impl AsyncBufReadExt + Unpin),
    line: &mut Vec<u8>,
    limit: usize,
) -> io::Result<Line> {
    // The caller's select drops this future only when everything ends, so a half line is never lost.
    line.clear();
    let mut too_long = false;
    loop {
        let available = reader.fill_buf().await?;
        if available.is_empty() {
            return Ok(if line.is_empty() { Line::End } else { Line::Message });
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let take = end.unwrap_or(available.len());
        too_long |= line.len() + take > limit;
        if !too_long {
            line.extend_from_slice(&available[..take]);
        }
        let used = end.map_or(take, |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            return Ok(if too_long { Line::TooLong } else { Line::Message });
        }
    }
}
