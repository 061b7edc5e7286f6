//! One child at the end of a line: started, read line by line, written to, and ended in steps (spec:
//! basic/transports/stdio). One owned task does all of it.
//! What is said in the handshake is decided elsewhere.

use super::pace::Pace;
use crate::{
    link::{Link, Outgoing, Receipts, Setup},
    switchboard::{Completed, Notices},
    wire,
};
use bytes::{Bytes, BytesMut};
use portreeve_mcp::{
    frame,
    service::{Failure, FailureKind},
};
use portreeve_process::{Child, Spec, Supervisor};
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a child that is being ended may take to read what was said to it before.
const LAST_LINES: Duration = Duration::from_millis(500);
/// How long calls wait to learn how a child ended that has broken off.
const SETTLES: Duration = Duration::from_millis(500);
/// Each step of the end of a child (check 199).
const GRACE: Duration = Duration::from_secs(2);
const READ: usize = 16 << 10;

/// What starting a child takes.
pub(crate) struct Start<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) supervisor: &'a Supervisor,
    pub(crate) tracker: &'a TaskTracker,
    pub(crate) shutdown: &'a CancellationToken,
    pub(crate) limit: usize,
    pub(crate) pace: &'a Arc<Pace>,
    pub(crate) completed: &'a Completed,
    pub(crate) notices: Notices,
}

/// Starts a child and the task that serves it.
pub(crate) fn start(start: Start<'_>) -> Result<Arc<Link>, Failure> {
    let (child, stdin, stdout) = Child::spawn(start.spec, start.supervisor)
        .map_err(|error| Failure::new(FailureKind::Unreachable, chain(&error)))?;
    let (link, lines) = Link::new(Setup {
        name: &start.spec.name,
        receipts: Receipts::None,
        tracker: start.tracker,
        shutdown: start.shutdown,
        completed: start.completed,
        notices: start.notices,
    });
    tracing::debug!(server = %link.name, pid = child.id(), "a child has been started");
    let serve = serve(Arc::clone(&link), child, stdin, stdout, lines, start.limit, Arc::clone(start.pace));
    start.tracker.spawn(serve);
    Ok(link)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

async fn serve(
    link: Arc<Link>,
    child: Child,
    mut stdin: impl AsyncWrite + Unpin + Send,
    stdout: impl AsyncRead + Unpin + Send,
    mut lines: mpsc::Receiver<Outgoing>,
    limit: usize,
    pace: Arc<Pace>,
) {
    let started = Instant::now();
    let why = tokio::select! {
        why = read(&link, stdout, limit) => why,
        why = write(&mut stdin, &mut lines) => why,
        () = link.unwanted() => "it was not needed any more".to_owned(),
    };
    // From here on calls look for another child.
    lines.close();
    let let_go = link.was_let_go();
    if let_go {
        // What was said before the end still goes out: answers, and that calls are not wanted any more.
        let _ = tokio::time::timeout(LAST_LINES, write(&mut stdin, &mut lines)).await;
    }
    // The first step of the child's end.
    drop(stdin);
    let mut shutdown = pin!(child.shutdown(GRACE));
    let ended = match tokio::time::timeout(SETTLES, shutdown.as_mut()).await {
        Ok(ended) => ended,
        // It can answer nothing any more, so nobody has to wait for its end.
        Err(_) => {
            link.end(format!("{why}, though the child lives on"));
            shutdown.await
        }
    };
    let mut text = format!("the child has ended ({}): {why}", ended.exit);
    let tail = child.stderr_tail();
    if !tail.is_empty() {
        text.push_str("; its last words: ");
        text.push_str(&tail[tail.len().saturating_sub(10)..].join(" | "));
    }
    if !let_go {
        tracing::warn!(server = %link.name, "{text}");
        if link.description().is_some() {
            pace.failed(started.elapsed(), &text);
        }
    }
    link.end(text);
}

async fn write(stdin: &mut (impl AsyncWrite + Unpin), lines: &mut mpsc::Receiver<Outgoing>) -> String {
    while let Some(mut outgoing) = lines.recv().await {
        let mut line = outgoing.take_message();
        // A caller's JSON may be spread over lines; on this transport a message is one (spec: stdio).
        if memchr::memchr2(b'\n', b'\r', &line).is_some() {
            line.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
        }
        line.push(b'\n');
        let written = async {
            stdin.write_all(&line).await?;
            stdin.flush().await
        };
        if let Err(error) = written.await {
            return format!("its stdin is closed: {error}");
        }
    }
    "nobody writes to it".to_owned()
}

async fn read(link: &Link, mut stdout: impl AsyncRead + Unpin, limit: usize) -> String {
    let mut buffer = BytesMut::with_capacity(READ);
    let mut searched = 0;
    loop {
        let found = memchr::memchr(b'\n', &buffer[searched..]).map(|at| searched + at);
        if found.unwrap_or(buffer.len()) > limit {
            return format!("it wrote a line of more than {limit} bytes");
        }
        if let Some(end) = found {
            let line = buffer.split_to(end + 1).freeze();
            searched = 0;
            take(link, &line.slice(..end));
            continue;
        }
        searched = buffer.len();
        buffer.reserve(READ);
        match stdout.read_buf(&mut buffer).await {
            Ok(0) => return "its stdout is closed".to_owned(),
            Ok(_) => {}
            Err(error) => return format!("its stdout cannot be read: {error}"),
        }
    }
}

fn take(link: &Link, line: &Bytes) {
    let start = line.iter().position(|byte| !byte.is_ascii_whitespace());
    let Some(start) = start else { return };
    match frame::decode_body(&line.slice(start..), wire::DEPTH) {
        Ok(frame::Body::One(message)) => link.take(message),
        // Only 2025-03-26 has batches; reading one does no harm.
        Ok(frame::Body::Batch(messages)) => messages.into_iter().flatten().for_each(|it| link.take(it)),
        // Programs print banners where only messages belong; that is no reason to end them (check 200).
        Err(error) => {
            let line = wire::excerpt(line);
            link.made_noise(&line);
            tracing::warn!(server = %link.name, %error, line, "a line on stdout is not a message");
        }
    }
}
