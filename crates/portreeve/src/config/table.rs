//! Every key of the configuration: its name, what its value may be, its default, and what it means. The reader takes the names
//! from here; `portreeve schema` and the tables of `docs/configuration.md` are made of the rest. That values are read as they
//! are described here is what the tests next door hold it to.

mod schema;
mod servers;
mod top;

pub use schema::{page, schema};
pub(super) use servers::{CREDENTIAL, OFFER, OPTIONS, ROOT, SERVER, TIMEOUTS, TOOLS};
pub(super) use top::{GRANT, KEY, LIMITS, LOG, MCP, METRICS, OUTBOUND, REPLICAS, SEAL, TELEMETRY, TLS, TOP};

/// One key.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) form: Form,
    /// As people read it; empty where there is nothing to say.
    pub(super) default: &'static str,
    pub(super) doc: &'static str,
}

/// What a value may be. Durations and sizes are written as in the file.
pub(super) enum Form {
    /// A text; the word says of what kind.
    Text(&'static str),
    Flag,
    Whole(u64, u64),
    /// A whole number, or this word.
    WholeOr(u64, u64, &'static str),
    Duration(&'static str, &'static str),
    Size(&'static str, &'static str),
    Choice(&'static [&'static str]),
    /// A list of texts; the word says of what kind, in the plural.
    Texts(&'static str),
    /// Texts by names that the person chooses.
    TextsByName,
    Table(&'static Keys),
    /// A list of tables.
    Tables(&'static Keys),
    /// Tables by names that the person chooses.
    TablesByName(&'static Keys),
}

/// The keys of one table.
pub(super) struct Keys {
    pub(super) known: &'static [Key],
    /// Keys of the design that this version does not act on: refused rather than ignored.
    pub(super) later: &'static [&'static str],
    /// Keys of other programs, with what to write here.
    pub(super) hints: &'static [(&'static str, &'static str)],
}

impl Keys {
    pub(super) fn knows(&self, name: &str) -> bool {
        self.known.iter().any(|key| key.name == name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.known.iter().map(|key| key.name)
    }
}
