//! The callers of the soak: each has one server, one era and a sequence of its own, drawn from the seed. What may come of a
//! request is written down here; everything else is a violation.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use super::client::Ending;
use super::doors::{Door, Gate, Visitor};
use super::mind::Era;
use crate::accept::draw::Draw;

/// Violations that are kept word by word; the rest is counted.
const KEPT: usize = 20;
/// The gate's code for a server that it cannot reach.
const UNREACHABLE: i64 = -31001;
/// The code for a question that the caller cannot answer.
const MISSING_CAPABILITY: i64 = -32021;
/// A pause of a caller whose server is not there.
const REST: Duration = Duration::from_millis(100);
/// A new session after so many requests.
const PER_SESSION: u64 = 40;
/// How often each thing is done, by its weight. The first half does no harm.
const ACTIONS: [(&str, usize); 12] = [
    ("ok", 600),
    ("progress", 120),
    ("ask", 80),
    ("list", 100),
    ("listen", 30),
    ("abandon", 30),
    ("unknown", 10),
    ("die", 6),
    ("hang", 3),
    ("junk", 5),
    ("cut", 8),
    ("big", 2),
];
/// The actions that the server suffers from.
const HARMFUL: [&str; 5] = ["die", "hang", "junk", "cut", "big"];

/// One kind of caller.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) door: Door,
    pub(super) server: &'static str,
    pub(super) era: Era,
    /// The gate's own server: nothing may ever go wrong there, whatever the others do.
    pub(super) is_clean: bool,
    pub(super) seed: u64,
}

/// How the callers go on.
#[derive(Clone)]
pub(super) struct Pace {
    pub(super) stop: Arc<AtomicBool>,
    /// The time from one request of a caller to its next, at least.
    pub(super) between: Duration,
}

/// What one caller, or all, have seen.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) requests: u64,
    pub(super) right: u64,
    pub(super) abandoned: u64,
    /// Errors by code.
    pub(super) errors: BTreeMap<i64, u64>,
    pub(super) violations: u64,
    pub(super) first: Vec<String>,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.right += other.right;
        self.abandoned += other.abandoned;
        self.violations += other.violations;
        for (code, count) in other.errors {
            *self.errors.entry(code).or_default() += count;
        }
        self.first.extend(other.first);
        self.first.truncate(KEPT);
    }

    /// A caller that fell over.
    pub(super) fn broken(why: &str) -> Self {
        Self { violations: 1, first: vec![why.to_owned()], ..Self::default() }
    }

    fn unreachable(&self) -> u64 {
        self.errors.get(&UNREACHABLE).copied().unwrap_or(0)
    }

    fn violation(&mut self, what: String) {
        self.violations += 1;
        if self.first.len() < KEPT {
            self.first.push(what);
        }
    }
}

/// Calls until told to stop.
pub(super) async fn run(gate: Gate, caller: Caller, pace: Pace) -> Tally {
    let mut client = Visitor::new(&gate, caller.door, caller.server, caller.era);
    let mut beat = tokio::time::interval(pace.between.max(Duration::from_micros(1)));
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut draw = Draw::new(caller.seed);
    let mut tally = Tally::default();
    let (mut number, mut unreachable) = (0, 0);
    while !pace.stop.load(Ordering::Relaxed) {
        if !pace.between.is_zero() {
            beat.tick().await;
        }
        if number % PER_SESSION == 0
            && let Err(error) = renew(&mut client).await
        {
            if caller.is_clean {
                tally.violation(format!("{caller:?}: {error}"));
            }
            sleep(REST).await;
            continue;
        }
        number += 1;
        act(&mut client, &caller, action(&mut draw, &caller), &mut draw, &mut tally).await;
        if tally.unreachable() > unreachable {
            // While the gate spares a broken server, asking again at once would be all that this caller does.
            unreachable = tally.unreachable();
            sleep(REST).await;
        }
    }
    // The gate ends by itself what a client leaves behind, but that is not what is looked at afterwards.
    let _ = client.close().await;
    tally
}

async fn renew(client: &mut Visitor) -> Result<(), String> {
    client.close().await.map_err(|error| error.to_string())?;
    client.open().await
}

fn action(draw: &mut Draw, caller: &Caller) -> &'static str {
    let allowed = || ACTIONS.iter().filter(|(name, _)| !(caller.is_clean && HARMFUL.contains(name)));
    let mut at = draw.below(allowed().map(|(_, weight)| weight).sum());
    for (name, weight) in allowed() {
        if at < *weight {
            return name;
        }
        at -= weight;
    }
    "ok"
}

async fn act(client: &mut Visitor, caller: &Caller, action: &str, draw: &mut Draw, tally: &mut Tally) {
    let token = format!("{:016x}", draw.next());
    match action {
        "listen" => {
            let status = client.listen().await;
            let good = matches!(status, Ok(200 | 405));
            if !good && caller.is_clean {
                tally.violation(format!("{caller:?}: listen: {status:?}"));
            }
        }
        "abandon" => {
            let (tool, arguments) = call(caller, "progress", &token);
            tally.abandoned += 1;
            if let Err(error) = client.abandon(&tool, arguments).await {
                tally.violation(format!("{caller:?}: abandon: {error}"));
            }
        }
        _ => {
            tally.requests += 1;
            let ending = if action == "list" {
                client.list().await
            } else {
                let (tool, arguments) = call(caller, action, &token);
                client.call(&tool, arguments).await
            };
            judge(caller, action, &token, ending, tally);
        }
    }
}

/// The tool and arguments that do this at this server.
fn call(caller: &Caller, action: &str, token: &str) -> (String, Value) {
    let (tool, arguments) = match (caller.is_clean, action) {
        (_, "unknown") => ("no-such-tool", json!({})),
        (false, _) => ("work", json!({ "fault": action, "token": token })),
        (true, "progress") => ("countdown", json!({ "steps": 3, "interval_ms": 10 })),
        (true, "ask") => ("ask_name", json!({})),
        (true, _) => ("echo", json!({ "text": token })),
    };
    let tool = if caller.door == Door::All { format!("{}_{tool}", caller.server) } else { tool.to_owned() };
    (tool, arguments)
}

fn judge(caller: &Caller, action: &str, token: &str, ending: Ending, tally: &mut Tally) {
    let answer = match ending {
        Ending::Violation(what) => return tally.violation(format!("{caller:?}: {action}: {what}")),
        Ending::Answer(answer) => answer,
    };
    if let Some(code) = answer["error"]["code"].as_i64() {
        *tally.errors.entry(code).or_default() += 1;
        // The faulty servers take innocent calls down with them; the clean one has no excuse.
        let expected = match action {
            "unknown" => code == -32602 || !caller.is_clean,
            // Nobody is there to be asked behind a script.
            "ask" if caller.door == Door::Scripts => code == MISSING_CAPABILITY || !caller.is_clean,
            _ => !caller.is_clean,
        };
        if !expected {
            tally.violation(format!("{caller:?}: {action}: {answer}"));
        }
        return;
    }
    let result = &answer["result"];
    let text = result["content"][0]["text"].as_str().unwrap_or_default();
    let right = match action {
        "list" => result["tools"].as_array().is_some_and(|tools| !tools.is_empty()),
        "ok" => text == token,
        "progress" | "ask" if caller.is_clean => result["isError"] != true && !text.is_empty(),
        "progress" | "ask" | "cut" => text == token || result["isError"] == true,
        "big" => text.len() > 1 << 20,
        // An unknown tool may be refused in a result; the others must not be answered as if nothing had happened.
        _ => result["isError"] == true,
    };
    if right {
        tally.right += 1;
    } else {
        let shown: String = answer.to_string().chars().take(300).collect();
        tally.violation(format!("{caller:?}: {action} {token}: {shown}"));
    }
}
