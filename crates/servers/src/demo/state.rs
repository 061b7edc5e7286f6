//! The demo's own `requestState`: what it has to remember between two rounds of one call, carried by the client.
//! A tag over it makes a changed state, or one from another call, person or process, worthless (spec: basic/patterns/mrtr).
//! It hides nothing: what it holds is what the client itself has answered. Sealing with keys that replicas share is
//! not done here; a demo server is one process, and its states die with it.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::Sha256;

/// How long a person may take for one round.
pub(super) const LIFETIME_SECONDS: u64 = 15 * 60;

/// What is carried from round to round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// How many rounds of questions went before.
    pub(super) round: u32,
    /// Seconds from the start of the process to the moment when this was given out.
    pub(super) issued: u64,
    /// Every answer of earlier rounds, by key.
    pub(super) answers: Map<String, Value>,
}

/// The state is not one that this process gave out for this call, or it is too old. One text for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid or expired requestState")]
pub(super) struct Refused;

/// Makes and checks the tags. The key lives as long as the process.
pub(super) struct Tags(Hmac<Sha256>);

impl Tags {
    /// A tag maker with a key of its own.
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        // As long as a block of the hash, which is what the construction takes without shortening or padding.
        let mut key = [0u8; 64];
        getrandom::fill(&mut key)?;
        Ok(Self(Hmac::new(&key.into())))
    }

    /// Writes a state for the call that `binding` identifies.
    pub(super) fn close(&self, state: &State, binding: &[u8]) -> String {
        let body = serde_json::to_vec(state).unwrap_or_default();
        let tag = self.over(&body, binding).finalize().into_bytes();
        format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(body), BASE64_URL_SAFE_NO_PAD.encode(tag))
    }

    /// Reads a state back, if it is this process's, for this call, and young enough.
    pub(super) fn open(&self, text: &str, binding: &[u8], now: u64) -> Result<State, Refused> {
        let (body, tag) = text.split_once('.').ok_or(Refused)?;
        let body = BASE64_URL_SAFE_NO_PAD.decode(body).map_err(|_| Refused)?;
        let tag = BASE64_URL_SAFE_NO_PAD.decode(tag).map_err(|_| Refused)?;
        self.over(&body, binding).verify_slice(&tag).map_err(|_| Refused)?;
        let state: State = serde_json::from_slice(&body).map_err(|_| Refused)?;
        if now.saturating_sub(state.issued) > LIFETIME_SECONDS { Err(Refused) } else { Ok(state) }
    }

    fn over(&self, body: &[u8], binding: &[u8]) -> Hmac<Sha256> {
        let mut tag = self.0.clone();
        // The length first, so that no byte can move from one part into the other.
        tag.update(&(binding.len() as u64).to_be_bytes());
        tag.update(binding);
        tag.update(body);
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unchanged_young_state_of_the_same_call_and_process_is_read() {
        let tags = Tags::new().unwrap();
        let mut state = State { round: 1, issued: 100, ..State::default() };
        state.answers.insert("a".to_owned(), Value::Bool(true));
        let text = tags.close(&state, b"call");
        assert_eq!(tags.open(&text, b"call", 100 + LIFETIME_SECONDS), Ok(state.clone()));

        let (body, tag) = text.split_once('.').unwrap();
        let forged = tags.close(&State::default(), b"call");
        let rows = [
            ("appended", format!("{text}-TAMPERED"), b"call".as_slice(), 100),
            (
                "another body under this tag",
                format!("{}.{tag}", forged.split_once('.').unwrap().0),
                b"call",
                100,
            ),
            ("no tag", body.to_owned(), b"call", 100),
            ("empty tag", format!("{body}."), b"call", 100),
            ("empty", String::new(), b"call", 100),
            ("another call", text.clone(), b"other", 100),
            ("too old", text.clone(), b"call", 101 + LIFETIME_SECONDS),
        ];
        for (what, text, binding, now) in rows {
            assert_eq!(tags.open(&text, binding, now), Err(Refused), "{what}");
        }
        assert_eq!(Tags::new().unwrap().open(&text, b"call", 100), Err(Refused), "another process");
    }
}
