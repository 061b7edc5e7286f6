//! One child and the line-by-line conversation with it (spec: basic/transports/stdio). One owned task for each child
//! reads its lines, writes ours, and ends it in steps; calls meet it through the switchboard.
//! What is said in the handshake is decided next door.

use super::pace::Pace;
use crate::{
    slots::Held,
    switchboard::{self, Completed, Entry, Peer, Role, Switchboard},
    wire,
};
use bytes::{Bytes, BytesMut};
use portreeve_mcp::{
    LogLevel, Outcome, frame,
    service::{Description, Failure, FailureKind},
};
use portreeve_model::ServerName;
use portreeve_process::{Child, Spec, Supervisor};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Lines that may wait for a child that does not read.
const QUEUE: usize = 256;
/// How long a child that is being ended may take to read what was said to it before.
const LAST_LINES: Duration = Duration::from_millis(500);
/// How long something that nobody waits for may take.
const ASIDE: Duration = Duration::from_secs(10);
/// Each step of the end of a child (check 199).
const GRACE: Duration = Duration::from_secs(2);
const READ: usize = 16 << 10;

/// A child and the way to it.
pub(crate) struct Link {
    pub(crate) name: ServerName,
    writer: mpsc::Sender<Vec<u8>>,
    board: Switchboard,
    described: OnceLock<Arc<Description>>,
    obituary: OnceLock<String>,
    level: AtomicU8,
    levelling: tokio::sync::Mutex<()>,
    tasks: TaskTracker,
    handle: tokio::runtime::Handle,
    /// Nobody wants the child any more.
    stop: CancellationToken,
    /// The child has ended.
    ended: CancellationToken,
}

/// What starting a child takes.
pub(crate) struct Start<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) supervisor: &'a Supervisor,
    pub(crate) tracker: &'a TaskTracker,
    pub(crate) shutdown: &'a CancellationToken,
    pub(crate) limit: usize,
    pub(crate) pace: &'a Arc<Pace>,
    pub(crate) completed: &'a Completed,
}

impl Link {
    /// Starts a child and the task that serves it.
    pub(crate) fn start(start: &Start<'_>) -> Result<Arc<Self>, Failure> {
        let (child, stdin, stdout) = Child::spawn(start.spec, start.supervisor)
            .map_err(|error| Failure::new(FailureKind::Unreachable, chain(&error)))?;
        let (writer, lines) = mpsc::channel(QUEUE);
        let link = Arc::new(Self {
            name: start.spec.name.clone(),
            writer,
            board: Switchboard::new(
                start.spec.name.to_string(),
                Arc::new(AtomicBool::new(false)),
                start.completed.clone(),
            ),
            described: OnceLock::new(),
            obituary: OnceLock::new(),
            level: AtomicU8::new(u8::MAX),
            levelling: tokio::sync::Mutex::new(()),
            tasks: start.tracker.clone(),
            handle: tokio::runtime::Handle::current(),
            stop: start.shutdown.child_token(),
            ended: CancellationToken::new(),
        });
        tracing::debug!(server = %link.name, pid = child.id(), "a child has been started");
        let serve =
            serve(Arc::clone(&link), child, stdin, stdout, lines, start.limit, Arc::clone(start.pace));
        start.tracker.spawn(serve);
        Ok(link)
    }

    /// What the server said that it is; only after its handshake.
    pub(crate) fn description(&self) -> Option<&Arc<Description>> {
        self.described.get()
    }

    /// The handshake is done.
    pub(crate) fn describe(&self, description: Description) -> Arc<Description> {
        Arc::clone(self.described.get_or_init(|| Arc::new(description)))
    }

    /// Sends one message, waiting while the child does not read.
    pub(crate) async fn send(&self, message: Vec<u8>) -> Result<(), Failure> {
        self.writer.send(message).await.map_err(|_| self.gone())
    }

    /// A place in the queue to the child.
    pub(crate) async fn room(&self) -> Option<mpsc::Permit<'_, Vec<u8>>> {
        self.writer.reserve().await.ok()
    }

    /// Waits until the child has ended.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Whether the child was ended from here, not by itself.
    pub(crate) fn was_let_go(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Why there is no answer.
    pub(crate) fn gone(&self) -> Failure {
        let why = self.obituary.get().map_or("the child has ended", String::as_str);
        Failure::new(FailureKind::OutcomeUnknown, why)
    }

    /// Makes the child as talkative as this call wants it.
    pub(crate) async fn set_level(&self, wanted: Option<LogLevel>, next_id: impl Fn() -> u64) {
        let Some(level) = wanted else { return };
        let enough = || level as u8 >= self.level.load(Ordering::Relaxed);
        let logs = || self.description().is_some_and(|it| wire::has_capability(it, &["logging"]));
        if !enough() && logs() {
            Box::pin(self.raise_level(level, next_id)).await;
        }
    }

    async fn raise_level(&self, level: LogLevel, next_id: impl Fn() -> u64) {
        let _levelling = self.levelling.lock().await;
        if level as u8 >= self.level.load(Ordering::Relaxed) {
            return;
        }
        let id = next_id();
        match self.exchange(id, wire::set_level(id, level)).await {
            Ok(Outcome::Result(_)) => self.level.store(level as u8, Ordering::Relaxed),
            other => tracing::debug!(server = %self.name, ?other, "logging/setLevel was not accepted"),
        }
    }

    /// A request of the connector's own whose answer is waited for elsewhere.
    pub(crate) fn enter(self: &Arc<Self>, id: u64, role: Role) -> Option<Entry<Self>> {
        switchboard::enter(self, id, role)
    }
}

impl Held for Link {
    fn alive(&self) -> bool {
        !self.stop.is_cancelled() && !self.writer.is_closed()
    }

    fn close(&self) {
        self.stop.cancel();
    }
}

impl Peer for Link {
    fn board(&self) -> &Switchboard {
        &self.board
    }

    fn own(&self, work: impl Future<Output = ()> + Send + 'static) {
        let bounded = async move {
            let _ = tokio::time::timeout(ASIDE, work).await;
        };
        self.tasks.spawn_on(bounded, &self.handle);
    }

    fn aside(&self, message: Vec<u8>) {
        if self.writer.try_send(message).is_err() {
            tracing::debug!(server = %self.name, "the child takes no more messages; one is dropped");
        }
    }

    async fn exchange(&self, id: u64, message: Vec<u8>) -> Result<Outcome, Failure> {
        let waiting = self.board.expect(id).ok_or_else(|| self.gone())?;
        self.send(message).await?;
        waiting.await.map_err(|_| self.gone())
    }
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
    mut lines: mpsc::Receiver<Vec<u8>>,
    limit: usize,
    pace: Arc<Pace>,
) {
    let started = Instant::now();
    let why = tokio::select! {
        why = read(&link, stdout, limit) => why,
        why = write(&mut stdin, &mut lines) => why,
        () = link.stop.cancelled() => "it was not needed any more".to_owned(),
    };
    if link.stop.is_cancelled() {
        // What was said before the end still goes out: answers, and that calls are not wanted any more.
        lines.close();
        let _ = tokio::time::timeout(LAST_LINES, write(&mut stdin, &mut lines)).await;
    }
    // The first step of the child's end.
    drop(stdin);
    let wanted = !link.stop.is_cancelled();
    link.stop.cancel();
    let ended = child.shutdown(GRACE).await;
    let mut text = format!("the child has ended ({}): {why}", ended.exit);
    let tail = child.stderr_tail();
    if !tail.is_empty() {
        text.push_str("; its last words: ");
        text.push_str(&tail[tail.len().saturating_sub(10)..].join(" | "));
    }
    if wanted {
        tracing::warn!(server = %link.name, "{text}");
        if link.description().is_some() {
            pace.failed(started.elapsed(), &text);
        }
    }
    let _ = link.obituary.set(text);
    link.board.close();
    link.ended.cancel();
}

async fn write(stdin: &mut (impl AsyncWrite + Unpin), lines: &mut mpsc::Receiver<Vec<u8>>) -> String {
    while let Some(mut line) = lines.recv().await {
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
        Ok(frame::Body::One(message)) => route(link, message),
        // Only 2025-03-26 has batches; reading one does no harm.
        Ok(frame::Body::Batch(messages)) => messages.into_iter().flatten().for_each(|it| route(link, it)),
        // Programs print banners where only messages belong; that is no reason to end them (check 200).
        Err(error) => {
            let line = wire::excerpt(line);
            tracing::warn!(server = %link.name, %error, line, "a line on stdout is not a message");
        }
    }
}

fn route(link: &Link, message: portreeve_mcp::Frame) {
    if let Some(answer) = link.board.route(message) {
        link.aside(answer);
    }
}
