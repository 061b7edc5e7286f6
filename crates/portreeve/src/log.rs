//! Where log lines go: one sink that takes whole lines into memory, and one thread that writes them to stderr.
//! A line costs a short lock and, unless the writer is asleep, no system call, so that the record of every call can go
//! through here. What stderr does not take in time is dropped and counted, never waited for: a stuck log must not
//! stop the gate. What is logged is decided by the callers and by `log` in the configuration.

use crate::config::{Log, LogFormat, LogLevel};
use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};
use tracing::Subscriber;
use tracing_subscriber::{
    Layer as _,
    filter::{LevelFilter, Targets},
    fmt::{MakeWriter, format::Writer, time::FormatTime},
    layer::SubscriberExt as _,
    reload,
};

/// The most that waits in memory. A busy gate logs a few MB a second; this bridges a pause of stderr of that order.
const CAPACITY: usize = 1 << 20;
/// The fill at which the writer is woken before its pause is over.
const URGENT: usize = CAPACITY / 2;
/// What a buffer keeps of its memory after a burst.
const KEPT: usize = 64 << 10;
/// How long lines are gathered while they keep coming; a person who watches does not see the difference.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the end of the program waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The writing thread could not be started.
    #[error("cannot start the log's thread")]
    Thread(#[source] io::Error),
    /// There is one log in a program, and it is already there.
    #[error("the log is already set up")]
    Twice,
}

/// The form of a line, decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// One JSON object.
    Json,
    /// For people.
    Text,
}

/// Takes lines; cheap to clone, all clones are one sink.
#[derive(Clone)]
pub struct LogSink {
    shared: Arc<Shared>,
    style: Style,
}

/// Owns the writing thread; dropping it writes what waits, within a bounded time.
pub struct LogGuard {
    sink: LogSink,
    thread: Option<JoinHandle<()>>,
    patience: Duration,
}

struct Shared {
    state: Mutex<State>,
    /// Something for the writer to do.
    wake: Condvar,
    /// Something was written.
    written: Condvar,
}

struct State {
    buffer: Vec<u8>,
    /// The end of the last whole line: what a panicking caller leaves behind it is cut off.
    whole: usize,
    /// Lines that were refused since the start, and how many of them the writer has yet to mention.
    dropped: u64,
    unsaid: u64,
    /// Bytes taken and bytes written since the start, for `flush`.
    taken: u64,
    done: u64,
    writer: WriterPhase,
    urgent: bool,
    closing: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum WriterPhase {
    /// Waits for the first line; whoever brings it wakes the writer.
    Asleep,
    /// Writes or gathers; it comes by itself.
    Awake,
    /// Gone; lines have nowhere to go.
    Ended,
}

/// Sets up the log of the program: tracing events and the sink's lines go to stderr.
///
/// # Errors
/// The thread cannot be started, or there is a log already.
pub fn start(log: &Log) -> Result<(LogSink, LogGuard, Levels), LogError> {
    let (sink, guard) = sink(io::stderr(), style(log.format)).map_err(LogError::Thread)?;
    let (subscriber, levels) = subscriber(log.level, &sink);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Twice)?;
    Ok((sink, guard, levels))
}

/// A sink over any output.
///
/// # Errors
/// The thread cannot be started.
pub fn sink(out: impl Write + Send + 'static, style: Style) -> io::Result<(LogSink, LogGuard)> {
    let state = State {
        buffer: Vec::new(),
        whole: 0,
        dropped: 0,
        unsaid: 0,
        taken: 0,
        done: 0,
        writer: WriterPhase::Awake,
        urgent: false,
        closing: false,
    };
    let shared = Arc::new(Shared { state: Mutex::new(state), wake: Condvar::new(), written: Condvar::new() });
    let writer = Arc::clone(&shared);
    let thread = thread::Builder::new().name("log".to_owned()).spawn(move || drain(&writer, out, style))?;
    let sink = LogSink { shared, style };
    Ok((sink.clone(), LogGuard { sink, thread: Some(thread), patience: LAST_LINES }))
}

/// What turns tracing events into lines of the sink. Other people's crates are heard from `warn` on, unless everything
/// is asked for: their details are seldom about this gate.
pub fn subscriber(level: LogLevel, sink: &LogSink) -> (impl Subscriber + Send + Sync + use<>, Levels) {
    let (filter, handle) = reload::Layer::new(filter(level));
    let format = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(sink.clone());
    let layer = match sink.style {
        Style::Json => {
            format.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        }
        Style::Text => format.boxed(),
    };
    let set = move |level| handle.reload(self::filter(level)).is_ok();
    (tracing_subscriber::registry().with(layer.with_filter(filter)), Levels(Box::new(set)))
}

/// Changes what is logged while the program runs.
pub struct Levels(Box<dyn Fn(LogLevel) -> bool + Send + Sync>);

impl Levels {
    /// Logs what is this important, from now on; whether there still is a log.
    pub fn set(&self, level: LogLevel) -> bool {
        (self.0)(level)
    }
}

fn filter(level: LogLevel) -> Targets {
    let ours = match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let others = if level == LogLevel::Trace { LevelFilter::TRACE } else { ours.min(LevelFilter::WARN) };
    Targets::new().with_target("portreeve", ours).with_default(others)
}

fn style(format: LogFormat) -> Style {
    match format {
        LogFormat::Text => Style::Text,
        LogFormat::Auto if io::stderr().is_terminal() => Style::Text,
        LogFormat::Json | LogFormat::Auto => Style::Json,
    }
}

impl LogSink {
    /// The form that lines should have.
    pub fn style(&self) -> Style {
        self.style
    }

    /// Takes one line: the closure appends it, without a line end, to what it is given and touches nothing before it.
    /// It runs under the sink's lock, so it must only format. The line is dropped when the sink is full.
    pub fn write_line(&self, format: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.shared.lock();
        if state.writer == WriterPhase::Ended {
            return;
        }
        let start = state.whole;
        state.buffer.truncate(start);
        format(&mut state.buffer);
        if state.buffer.last() != Some(&b'\n') {
            state.buffer.push(b'\n');
        }
        if state.buffer.len() > CAPACITY {
            state.buffer.truncate(start);
            state.dropped += 1;
            state.unsaid += 1;
            return;
        }
        state.whole = state.buffer.len();
        state.taken += (state.whole - start) as u64;
        let urgent = state.whole > URGENT && !state.urgent;
        state.urgent |= urgent;
        let asleep = state.writer == WriterPhase::Asleep;
        if asleep {
            state.writer = WriterPhase::Awake;
        }
        drop(state);
        if asleep || urgent {
            self.shared.wake.notify_one();
        }
    }

    /// How many lines have been dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.shared.lock().dropped
    }

    /// Waits until every line that was taken so far has been written, at most this long; says whether it has.
    pub fn flush(&self, patience: Duration) -> bool {
        let mut state = self.shared.lock();
        state.urgent = true;
        let until = state.taken;
        self.shared.wake.notify_one();
        let waiting = |state: &mut State| state.done < until && state.writer != WriterPhase::Ended;
        let waited = self.shared.written.wait_timeout_while(state, patience, waiting);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.done >= until
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        let shared = &self.sink.shared;
        let mut state = shared.lock();
        state.closing = true;
        shared.wake.notify_one();
        let open = |state: &mut State| state.writer != WriterPhase::Ended;
        let waited = shared.written.wait_timeout_while(state, self.patience, open);
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            // The output is stuck. Its thread cannot be interrupted; the end of the process takes it along.
            state.writer = WriterPhase::Ended;
            return;
        }
        drop(state);
        if let Some(thread) = self.thread.take() {
            // A panic of the writer has nobody left to hear of it.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A caller that panicked while formatting leaves a half line, which the next one cuts off.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writing thread: sleeps until a line comes, writes it at once, then gathers for a moment before it writes again.
fn drain(shared: &Shared, mut out: impl Write, style: Style) {
    let mut batch = Vec::new();
    loop {
        let (dropped, until) = next(shared, &mut batch);
        if dropped > 0 {
            notice(&mut batch, dropped, style);
        }
        // Where the log cannot be written there is no other place to say so.
        let _ = out.write_all(&batch).and_then(|()| out.flush());
        batch.clear();
        batch.shrink_to(KEPT);
        let mut state = shared.lock();
        state.done = until;
        if state.closing && state.whole == 0 && state.unsaid == 0 {
            state.writer = WriterPhase::Ended;
            shared.written.notify_all();
            return;
        }
        shared.written.notify_all();
        let gathering = |state: &mut State| !state.urgent && !state.closing;
        drop(shared.wake.wait_timeout_while(state, PAUSE, gathering));
    }
}

/// Waits for lines and takes them; how many were dropped besides, and the number of bytes taken so far.
fn next(shared: &Shared, batch: &mut Vec<u8>) -> (u64, u64) {
    let mut state = shared.lock();
    while state.whole == 0 && state.unsaid == 0 && !state.closing {
        state.writer = WriterPhase::Asleep;
        state.urgent = false;
        state = shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    state.writer = WriterPhase::Awake;
    state.urgent = false;
    let whole = mem::take(&mut state.whole);
    state.buffer.truncate(whole);
    mem::swap(&mut state.buffer, batch);
    (mem::take(&mut state.unsaid), state.taken)
}

/// Says how many lines are missing, in the form of the lines around it.
fn notice(batch: &mut Vec<u8>, dropped: u64, style: Style) {
    let mut stamp = String::new();
    // Formatting the time into a `String` cannot fail.
    let _ = tracing_subscriber::fmt::time::SystemTime.format_time(&mut Writer::new(&mut stamp));
    let target = module_path!();
    let mut line = String::new();
    let _ = match style {
        Style::Json => writeln!(
            line,
            r#"{{"timestamp":"{stamp}","level":"WARN","message":"log lines were dropped","dropped":{dropped},"target":"{target}"}}"#
        ),
        Style::Text => writeln!(line, "{stamp}  WARN {target}: log lines were dropped dropped={dropped}"),
    };
    batch.extend_from_slice(line.as_bytes());
}

/// One event of tracing: the formatter hands over each line in one piece.
impl Write for LogSink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_line(|buffer| buffer.extend_from_slice(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LogSink {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    const SOON: Duration = Duration::from_secs(10);

    /// An output that says what it was given, and waits for a permit before each write where it has a gate.
    struct Output {
        lines: Sender<String>,
        gate: Option<Receiver<()>>,
    }

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(gate) = &self.gate {
                let _ = gate.recv();
            }
            let _ = self.lines.send(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn open(style: Style) -> (LogSink, LogGuard, Receiver<String>) {
        let (lines, seen) = channel();
        let (sink, guard) = sink(Output { lines, gate: None }, style).unwrap();
        (sink, guard, seen)
    }

    fn gated() -> (LogSink, LogGuard, Receiver<String>, Sender<()>) {
        let (lines, seen) = channel();
        let (permit, gate) = channel();
        let (sink, guard) = sink(Output { lines, gate: Some(gate) }, Style::Json).unwrap();
        (sink, guard, seen, permit)
    }

    fn say(sink: &LogSink, text: &str) {
        sink.write_line(|line| line.extend_from_slice(text.as_bytes()));
    }

    #[test]
    fn a_line_is_written_without_another_one_pushing_it() {
        let (sink, _guard, seen) = open(Style::Text);
        say(&sink, "one");
        assert_eq!(seen.recv_timeout(SOON).unwrap(), "one\n");
        say(&sink, "two\n");
        assert_eq!(seen.recv_timeout(SOON).unwrap(), "two\n");
    }

    #[test]
    fn the_end_writes_every_line_in_order() {
        let (sink, guard, seen) = open(Style::Text);
        let expected: String = (0..1000).map(|n| format!("{n}\n")).collect();
        (0..1000).for_each(|n| say(&sink, &n.to_string()));
        drop(guard);
        assert_eq!(seen.try_iter().collect::<String>(), expected);
        say(&sink, "too late");
        assert!(sink.flush(SOON), "an ended sink keeps nothing waiting");
        assert_eq!(seen.try_iter().count(), 0);
    }

    #[test]
    fn a_flush_waits_for_the_output() {
        let (sink, _guard, seen, permit) = gated();
        say(&sink, "held");
        assert!(!sink.flush(Duration::from_millis(1)));
        permit.send(()).unwrap();
        assert!(sink.flush(SOON));
        assert_eq!(seen.try_recv().unwrap(), "held\n");
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let (sink, guard, seen, permit) = gated();
        let line = "x".repeat(1023);
        // The output holds the first batch, whatever its size; the buffer behind it then takes CAPACITY and no more.
        (0..4 * CAPACITY / 1024).for_each(|_| say(&sink, &line));
        let dropped = sink.dropped();
        let kept = (4 * CAPACITY / 1024) as u64 - dropped;
        assert!((1024..=2048).contains(&kept), "{kept} kept");
        (0..10).for_each(|_| permit.send(()).unwrap());
        drop(guard);
        let written: String = seen.try_iter().collect();
        assert_eq!(written.lines().filter(|written| *written == line).count() as u64, kept);
        let notices: u64 = written
            .lines()
            .filter_map(|written| serde_json::from_str::<serde_json::Value>(written).ok())
            .map(|notice| notice["dropped"].as_u64().unwrap())
            .sum();
        assert_eq!(notices, dropped);
    }

    #[test]
    fn a_panic_while_formatting_leaves_no_half_line() {
        let (sink, guard, seen) = open(Style::Text);
        let panicking = sink.clone();
        let outcome = thread::spawn(move || {
            panicking.write_line(|line| {
                line.extend_from_slice(b"half");
                panic!("while formatting");
            });
        })
        .join();
        assert!(outcome.is_err());
        say(&sink, "whole");
        drop(guard);
        assert_eq!(seen.try_iter().collect::<String>(), "whole\n");
    }

    #[test]
    fn a_stuck_output_does_not_hold_the_end() {
        let (sink, mut guard, _seen, _permit) = gated();
        guard.patience = Duration::from_millis(1);
        say(&sink, "stuck");
        drop(guard);
        assert!(sink.shared.lock().writer == WriterPhase::Ended);
    }

    #[test]
    fn events_become_lines_of_the_chosen_form_and_level() {
        for (style, level, expected) in [
            (Style::Json, LogLevel::Info, &["INFO hello", "WARN theirs"][..]),
            (Style::Text, LogLevel::Info, &["INFO hello", "WARN theirs"][..]),
            (Style::Json, LogLevel::Debug, &["INFO hello", "DEBUG detail", "WARN theirs"][..]),
            (Style::Json, LogLevel::Error, &[][..]),
            (Style::Text, LogLevel::Off, &[][..]),
        ] {
            let (sink, guard, seen) = open(style);
            tracing::subscriber::with_default(subscriber(level, &sink).0, || {
                tracing::info!(target: "portreeve_gateway", server = "files", "hello");
                tracing::debug!(target: "portreeve_gateway", "detail");
                tracing::debug!(target: "hyper", "their detail");
                tracing::warn!(target: "hyper", "theirs");
            });
            drop(guard);
            let written: String = seen.try_iter().collect();
            let lines: Vec<String> = written.lines().map(|line| brief(style, line)).collect();
            assert_eq!(lines, expected, "{style:?} {level:?}");
        }
    }

    fn brief(style: Style, line: &str) -> String {
        match style {
            Style::Json => {
                let event: serde_json::Value = serde_json::from_str(line).unwrap();
                format!("{} {}", event["level"].as_str().unwrap(), event["message"].as_str().unwrap())
            }
            Style::Text => {
                let level = line.split_whitespace().nth(1).unwrap();
                let message = if line.contains("hello") { "hello" } else { "theirs" };
                format!("{level} {message}")
            }
        }
    }
}
