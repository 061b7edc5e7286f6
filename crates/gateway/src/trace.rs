//! Where calls stand in traces (W3C Trace Context), and what of a caller's `_meta` goes on to a server. Without tracing of
//! the gate's own, a caller's context goes on as it is; with it, the gate's span is between the two (spec digest 5.3).
//! What is done with a span is the recorder's business. Reserved keys end at each hop, and are made anew by the connectors.

use portreeve_mcp::{RawJson, json::Member, meta::Meta};
use std::sync::Arc;

/// The keys of a trace's context. Baggage is what callers tell each other, and no server's business.
const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";
const BAGGAGE: &str = "baggage";

/// Which calls are traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tracing {
    /// How many of a hundred that nobody has decided about before; whoever began a trace has decided for all of it.
    pub percent: u8,
}

/// A span of the gate's own, which somebody will want to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The trace.
    pub trace: [u8; 16],
    /// The span that caused this one, if the caller has one.
    pub parent: Option<[u8; 8]>,
    /// This one.
    pub id: [u8; 8],
}

/// Where a request stands in a trace: as far as its door knows, and from its beginning on as far as `_meta` says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trace {
    carrier: Option<Parent>,
    /// What `_meta` says, which outdoes the carrier.
    caller: Option<Parent>,
    own: Option<Own>,
}

impl Trace {
    /// What a `traceparent` header says; `_meta` of the request is asked first.
    pub fn of_header(value: Option<&[u8]>) -> Self {
        let text = value.and_then(|value| std::str::from_utf8(value).ok());
        Self { carrier: text.and_then(Parent::parse), ..Self::default() }
    }

    /// Reads what the request's `_meta` says, and begins the gate's own span where there is tracing.
    pub(crate) fn begin(&mut self, tracing: Option<Tracing>, meta: &Meta) {
        let said = meta.get(PARENT).and_then(RawJson::string_value);
        self.caller = said.and_then(|text| Parent::parse(&text));
        let parent = self.caller.or(self.carrier);
        self.own = tracing.and_then(|tracing| Own::new(parent, tracing.percent));
    }

    /// The gate's own span, if it is to be seen.
    pub(crate) fn span(&self) -> Option<Span> {
        self.own.filter(|own| own.sampled).map(|own| own.span)
    }

    /// What of `_meta`, with which it began, goes on to the server. A trace context that is none is ignored, and its state with it (check 197).
    pub(crate) fn passing(&self, meta: &Meta) -> Arc<[Member]> {
        let caller = self.caller.is_some();
        let goes_on = |member: &&Member| match member.key.as_str() {
            PARENT => caller && self.own.is_none(),
            STATE => caller,
            BAGGAGE => false,
            _ => true,
        };
        let text = match (self.own, self.carrier.filter(|_| !caller)) {
            (Some(own), _) => Some(own.text()),
            (None, Some(carrier)) => Some(carrier.text()),
            (None, None) => None,
        };
        let made = text.map(|text| Member { key: PARENT.into(), value: RawJson::string(&text) });
        meta.passing().filter(goes_on).cloned().chain(made).collect()
    }
}

/// A caller's span.
#[derive(Debug, Clone, Copy)]
struct Parent {
    trace: [u8; 16],
    id: [u8; 8],
    flags: u8,
}

/// The flag that says that a trace is wanted.
const SAMPLED: u8 = 1;

impl Parent {
    /// `version-trace-span-flags` in lower-case hexadecimal, ids not all zero (W3C Trace Context, 3.2.2).
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let [version, trace, span, flags] = std::array::from_fn(|_| parts.next().unwrap_or_default());
        // Version ff is forbidden; later ones than 00 may have more parts.
        let [version] = bytes(version)?;
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return None;
        }
        let [flags] = bytes(flags)?;
        let (trace, id) = (bytes(trace)?, bytes(span)?);
        (trace != [0; 16] && id != [0; 8]).then_some(Self { trace, id, flags })
    }

    fn text(&self) -> String {
        text(&self.trace, &self.id, self.flags)
    }
}

#[derive(Debug, Clone, Copy)]
struct Own {
    span: Span,
    sampled: bool,
}

impl Own {
    /// Nothing where the system gives no random bytes: a trace is not worth a call.
    fn new(parent: Option<Parent>, percent: u8) -> Option<Self> {
        let mut fresh = [0_u8; 24];
        getrandom::fill(&mut fresh).ok()?;
        let (trace, id) = fresh.split_at(16);
        let (trace, id) = (trace.try_into().ok()?, id.try_into().ok()?);
        let chance = u64::from_be_bytes(id) % 100;
        Some(match parent {
            Some(parent) => Self {
                span: Span { trace: parent.trace, parent: Some(parent.id), id },
                sampled: parent.flags & SAMPLED != 0,
            },
            None => Self { span: Span { trace, parent: None, id }, sampled: chance < u64::from(percent) },
        })
    }

    fn text(&self) -> String {
        text(&self.span.trace, &self.span.id, u8::from(self.sampled))
    }
}

/// As many bytes as there have to be, in lower-case hexadecimal.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut out = [0; N];
    for (byte, [high, low]) in out.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(out)
}

fn text(trace: &[u8; 16], span: &[u8; 8], flags: u8) -> String {
    format!("00-{:032x}-{:016x}-{flags:02x}", u128::from_be_bytes(*trace), u64::from_be_bytes(*span))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    /// Begins with this `_meta`, and gives what of it goes on.
    fn passed(
        trace: &mut Trace,
        tracing: Option<Tracing>,
        meta: &serde_json::Value,
    ) -> BTreeMap<String, String> {
        let meta = Meta::parse(Some(&meta.clone().into())).unwrap();
        trace.begin(tracing, &meta);
        let passed = trace.passing(&meta);
        passed
            .iter()
            .map(|member| {
                (member.key.to_string(), String::from_utf8_lossy(member.value.as_bytes()).into_owned())
            })
            .collect()
    }

    #[test]
    fn a_context_is_one_or_ignored() {
        for (text, good) in [
            (CALLER, true),
            ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more", true),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", false),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01", false),
            ("", false),
        ] {
            assert_eq!(Parent::parse(text).is_some(), good, "{text}");
            let meta = serde_json::json!({"traceparent": text, "tracestate": "a=b"});
            let passed = passed(&mut Trace::default(), None, &meta);
            assert_eq!(passed.len(), if good { 2 } else { 0 }, "{text}: {passed:?}");
        }
    }

    #[test]
    fn the_gates_own_span_stands_between_caller_and_server() {
        let meta = serde_json::json!({
            "traceparent": CALLER, "tracestate": "a=b", "baggage": "user=me", "com.example/kept": 1,
        });
        let mut trace = Trace::default();
        let passed = passed(&mut trace, Some(Tracing { percent: 0 }), &meta);
        let span = trace.span().expect("the caller wants it");
        assert_eq!(span.parent, Some([0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]));
        let (id, own) = (u64::from_be_bytes(span.id), &passed["traceparent"]);
        assert_eq!(*own, format!("\"00-4bf92f3577b34da6a3ce929d0e0e4736-{id:016x}-01\""));
        assert_eq!(
            passed.keys().map(String::as_str).collect::<Vec<_>>(),
            ["com.example/kept", "traceparent", "tracestate"]
        );
    }

    #[test]
    fn who_has_no_trace_is_sampled_by_share_and_a_header_counts_where_meta_says_nothing() {
        let nothing = serde_json::json!({});
        for (percent, seen) in [(100, true), (0, false)] {
            let mut trace = Trace::default();
            let passed = passed(&mut trace, Some(Tracing { percent }), &nothing);
            assert_eq!(trace.span().is_some(), seen);
            assert!(passed["traceparent"].ends_with(if seen { "-01\"" } else { "-00\"" }), "{passed:?}");
        }
        let mut trace = Trace::of_header(Some(CALLER.as_bytes()));
        assert_eq!(passed(&mut trace, None, &nothing)["traceparent"], format!("\"{CALLER}\""));
        passed(&mut trace, Some(Tracing { percent: 0 }), &nothing);
        assert!(trace.span().is_some_and(|span| span.parent.is_some()));
    }
}
