//! Records of calls as log lines: one structured event each, written straight into the log's buffer.

use crate::log::{LogSink, Style};
use portreeve_gateway::Record;
use portreeve_mcp::{Era, json};
use std::{
    io::Write as _,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

/// Writes records to the log.
pub(super) struct LogRecorder {
    sink: LogSink,
    /// The last second that was formatted: the date changes once a second, not once a call.
    second: Mutex<(u64, String)>,
}

impl LogRecorder {
    pub(super) fn new(sink: LogSink) -> Self {
        Self { sink, second: Mutex::default() }
    }

    pub(super) fn record(&self, record: &Record) {
        let time = self.time();
        match self.sink.style() {
            Style::Json => self.sink.write_line(|out| as_json(out, &time, record)),
            Style::Text => self.sink.write_line(|out| as_text(out, &time, record)),
        }
    }

    /// Now, as RFC 3339 with microseconds.
    fn time(&self) -> String {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        if second.0 != since.as_secs() {
            *second = (since.as_secs(), date(since.as_secs()));
        }
        let mut text = String::with_capacity(28);
        text.push_str(&second.1);
        let micros = since.subsec_micros();
        text.push('.');
        for place in [100_000, 10_000, 1_000, 100, 10, 1] {
            text.push(char::from(b'0' + u8::try_from(micros / place % 10).unwrap_or(0)));
        }
        text.push('Z');
        text
    }
}

fn date(seconds: u64) -> String {
    let when = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| time::OffsetDateTime::from_unix_timestamp(seconds).ok());
    let Some(when) = when else { return String::from("1970-01-01T00:00:00") };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        when.year(),
        u8::from(when.month()),
        when.day(),
        when.hour(),
        when.minute(),
        when.second()
    )
}

fn era(record: &Record) -> Option<&'static str> {
    record.upstream.map(|era| match era {
        Era::Legacy => "legacy",
        Era::Modern => "modern",
    })
}

fn as_json(out: &mut Vec<u8>, time: &str, record: &Record) {
    out.extend_from_slice(b"{\"timestamp\":\"");
    out.extend_from_slice(time.as_bytes());
    out.extend_from_slice(b"\",\"level\":\"INFO\",\"event\":\"call\"");
    out.extend_from_slice(b",\"request\":\"");
    hex(out, &record.request.0.to_be_bytes()[2..]);
    out.push(b'"');
    text(out, "principal", record.principal.id().as_str());
    if let Some(tenant) = record.principal.tenant() {
        text(out, "tenant", tenant.as_str());
    }
    text(out, "server", record.server.as_str());
    text(out, "method", record.method.as_str());
    if let Some(name) = &record.name {
        text(out, "name", name);
    }
    if let Some(rule) = &record.rule {
        text(out, "rule", rule.as_str());
    }
    text(out, "client", record.client.as_str());
    if let Some(era) = era(record) {
        text(out, "upstream", era);
    }
    text(out, "outcome", record.end.as_str());
    if let Some(code) = record.end.code() {
        number(out, "code", code);
    }
    number(out, "micros", i64::try_from(record.began.elapsed().as_micros()).unwrap_or(i64::MAX));
    number(out, "bytes_in", i64::try_from(record.bytes_in).unwrap_or(i64::MAX));
    number(out, "bytes_out", i64::try_from(record.bytes_out).unwrap_or(i64::MAX));
    if record.rounds > 0 {
        number(out, "rounds", i64::from(record.rounds));
    }
    if let Some(digest) = &record.digest {
        out.extend_from_slice(b",\"arguments\":\"");
        hex(out, &digest.as_bytes()[..8]);
        out.push(b'"');
    }
    out.push(b'}');
}

fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            out.push(b"0123456789abcdef"[usize::from(nibble)]);
        }
    }
}

fn text(out: &mut Vec<u8>, key: &str, value: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
    json::write_string(out, value);
}

fn number(out: &mut Vec<u8>, key: &str, value: i64) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn as_text(out: &mut Vec<u8>, time: &str, record: &Record) {
    let shown = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
    let _ = write!(
        out,
        "{time} call {} {} {}{} by {} ({}) {}",
        record.request,
        record.server,
        shown(record.method.as_str()),
        record.name.as_ref().map(|name| format!(" {}", shown(name))).unwrap_or_default(),
        record.principal.id(),
        record.client,
        record.end.as_str(),
    );
    if let Some(code) = record.end.code() {
        let _ = write!(out, " {code}");
    }
    let _ = write!(out, " in {} µs", record.began.elapsed().as_micros());
    if let Some(rule) = &record.rule {
        let _ = write!(out, ", rule {rule}");
    }
}
