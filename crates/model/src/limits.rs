//! Limits and deadlines: each has a name, a default and a reason. Configuration may change them.

use std::time::Duration;

/// What the gate accepts from clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The largest request body in bytes. Tool arguments are text for a model; 4 MiB leaves room for a pasted file.
    pub body: usize,
    /// The largest block of request headers in bytes.
    pub headers: usize,
    /// The deepest nesting of a JSON body; deeper ones are attacks on recursive parsers behind us.
    pub depth: usize,
    /// The largest message that an upstream may send, in bytes. Answers may be much larger than requests.
    pub upstream_message: usize,
    /// How many calls of one principal may be parked on a question at the same time.
    pub parked_per_principal: usize,
    /// How many calls may be parked altogether; memory and upstream sessions hang on each.
    pub parked_total: usize,
    /// How many rounds of questions one call may ask before it is ended.
    pub rounds: u32,
    /// How many legacy sessions one principal may hold live state for.
    pub sessions_per_principal: usize,
    /// How many events of one legacy session's streams are kept for a client whose connection breaks.
    pub replay_events: usize,
    /// How many bytes of them. Answers are mostly smaller; one that is larger is not kept.
    pub replay_bytes: usize,
    /// The same of all sessions together: what the gate spends on clients that may never come back.
    pub replay_total: usize,
    /// How long a call with a question waits for such a client; people change networks within this time.
    pub replay_wait: Duration,
    /// Calls a minute for each authenticated principal (decision D36); `None` = no limit.
    pub calls_per_minute: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 4 << 20,
            headers: 64 << 10,
            depth: 64,
            upstream_message: 64 << 20,
            parked_per_principal: 16,
            parked_total: 4096,
            rounds: 10,
            sessions_per_principal: 10_000,
            replay_events: 512,
            replay_bytes: 1 << 20,
            replay_total: 256 << 20,
            replay_wait: Duration::from_secs(60),
            calls_per_minute: None,
        }
    }
}

/// Deadlines towards one upstream (decision D17).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadlines {
    /// TCP (and TLS) connection. The start of a child counts for `call`: its program may have to be fetched first.
    pub connect: Duration,
    /// First byte and the whole call, extended by progress.
    pub call: Duration,
    /// The end that progress cannot move.
    pub progress_cap: Duration,
    /// How long a person may take to answer a question.
    pub ask: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            call: Duration::from_secs(120),
            progress_cap: Duration::from_secs(30 * 60),
            ask: Duration::from_secs(5 * 60),
        }
    }
}
