//! Legacy tasks that wait for answers of modern clients: their `tasks/result` is held open by an owned task, the
//! server's questions on it wait here until `tasks/update` brings the answers. Bounded in number like parked calls,
//! and in time: a question that nobody answers is given up after `timeouts.ask`.

use super::translate::Far;
use crate::{
    bridge::{self, Need},
    state::TaskState,
};
use foldhash::HashMap;
use futures_util::StreamExt;
use portreeve_mcp::{
    Ctx, Event, Leg, Method, Outcome, RawJson, Text, Version,
    payload::{self, AskRewrite},
    service::{Ask, AskKey, AskKind, Reply},
};
use portreeve_model::{PrincipalId, ServerName};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// How long a look at a task waits for the questions of a server that says that it has some.
const FIRST: Duration = Duration::from_secs(1);
/// How long it waits for further ones: questions that belong together come within one turn of the server's loop.
const SIBLINGS: Duration = Duration::from_millis(25);

/// Which task: the server, and what its sealed id says.
pub(crate) type Key = (ServerName, TaskState);

/// All tasks that are held.
#[derive(Default)]
pub(crate) struct Holds(Arc<Mutex<HashMap<Key, Arc<Hold>>>>);

/// One held task.
pub(crate) struct Hold {
    principal: PrincipalId,
    open: Mutex<Vec<Open>>,
    /// Counts changes; closed to the end.
    changes: watch::Sender<Change>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    Asked,
    Over,
}

struct Open {
    key: Text,
    ask: AskKey,
    kind: AskKind,
    rewrite: AskRewrite,
    reply: Reply,
}

/// A question as a modern client sees it.
pub(super) struct Asked {
    pub(super) key: Text,
    pub(super) method: &'static str,
    pub(super) params: Option<RawJson>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Holds {
    /// The hold of a task, if there is one.
    pub(super) fn get(&self, key: &Key) -> Option<Arc<Hold>> {
        lock(&self.0).get(key).cloned()
    }

    /// The hold of a task; begun now if there is none. `None`: too many are held, or the gate closes.
    pub(super) fn open(&self, far: &Far) -> Option<Arc<Hold>> {
        let key = far.key();
        let mut all = lock(&self.0);
        if let Some(hold) = all.get(&key) {
            return Some(Arc::clone(hold));
        }
        let limits = &far.gateway.limits;
        let own = all.values().filter(|hold| hold.principal == *far.principal.id()).count();
        let full = own >= limits.parked_per_principal || all.len() >= limits.parked_total;
        if full || far.gateway.parking_ends.is_cancelled() {
            tracing::warn!(server = %far.server.name(), "the questions of a task are not asked: too many wait");
            return None;
        }
        let leg = far.open(Method::TasksResult)?;
        let hold = Arc::new(Hold {
            principal: far.principal.id().clone(),
            open: Mutex::default(),
            changes: watch::Sender::new(Change::None),
        });
        all.insert(key.clone(), Arc::clone(&hold));
        let guard = Guard { all: Arc::clone(&self.0), key, hold: Arc::clone(&hold) };
        let (ttl, closing) = (far.gateway.park_ttl(), far.gateway.closing.clone());
        let (ctx, gateway) = (far.ctx.clone(), far.gateway.clone());
        let roots = far.server.roots.clone();
        far.gateway.tracker.spawn(async move {
            tokio::select! {
                () = guard.hold.run(leg, ttl, |ask| guard.hold.ask(ask, &ctx, roots.as_ref(), gateway.next_number())) => {}
                () = closing.cancelled() => {}
            }
            drop(guard);
        });
        Some(hold)
    }
}

/// Takes the hold out of the list when it is over, however that came.
struct Guard {
    all: Arc<Mutex<HashMap<Key, Arc<Hold>>>>,
    key: Key,
    hold: Arc<Hold>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        lock(&self.all).remove(&self.key);
        // Replies that are dropped tell the server that nobody answers.
        lock(&self.hold.open).clear();
        self.hold.changes.send_replace(Change::Over);
    }
}

impl Hold {
    /// Hears the server until the task has ended or nobody answers.
    async fn run(&self, mut leg: Leg, ttl: Duration, ask: impl Fn(Ask)) {
        loop {
            let patience = if lock(&self.open).is_empty() { Duration::MAX } else { ttl };
            let Ok(event) = tokio::time::timeout(patience, leg.next()).await else { return };
            match event {
                Some(Event::Ask(question)) => ask(question),
                Some(Event::AskWithdrawn(key)) => lock(&self.open).retain(|open| open.ask != key),
                Some(Event::Notification(_) | Event::HangUp(_)) => {}
                // The answer is fetched when the client looks for it.
                Some(Event::Final(_) | Event::InputRequired(_)) | None => return,
            }
        }
    }

    fn ask(&self, ask: Ask, ctx: &Ctx, roots: Option<&RawJson>, number: u64) {
        let Ask { key, kind, params, reply, .. } = ask;
        if let (AskKind::Roots, Some(roots)) = (kind, roots) {
            return reply.answer(Outcome::Result(roots.clone()));
        }
        if !Need::of(kind, params.as_ref()).is_offered(ctx.capabilities.flags()) {
            return reply.answer(bridge::refusal(kind));
        }
        let Ok(rewrite) = payload::ask_for_client(kind, params.as_ref(), Version::NEWEST) else {
            return reply.answer(bridge::refusal(kind));
        };
        let mut open = lock(&self.open);
        let taken = |name: &Text| open.iter().any(|open| open.key == *name);
        let name = bridge::given_name(params.as_ref()).filter(|name| !taken(name));
        // Keys are unique for the life of the task (extension).
        let name = name.unwrap_or_else(|| Text::from(format!("q{number}")));
        open.push(Open { key: name, ask: key, kind, rewrite, reply });
        drop(open);
        self.changes.send_replace(Change::Asked);
    }

    /// What is open, once it has come.
    pub(super) async fn questions(&self) -> Vec<Asked> {
        let mut changes = self.changes.subscribe();
        let some = changes.wait_for(|change| *change != Change::None);
        if tokio::time::timeout(FIRST, some).await.is_ok() {
            let more = changes.wait_for(|change| *change == Change::Over);
            let _ = tokio::time::timeout(SIBLINGS, more).await;
        }
        let open = lock(&self.open);
        open.iter()
            .map(|open| Asked {
                key: open.key.clone(),
                method: method(open.kind),
                params: open.rewrite.params.clone(),
            })
            .collect()
    }

    /// Takes answers. Unknown keys are ignored; a wrong one refuses all, and nothing is answered.
    pub(super) fn answer(&self, answers: &RawJson, server: Version) -> Result<(), String> {
        let mut open = lock(&self.open);
        for ask in open.iter() {
            if let Some(answer) = answers.get(&ask.key) {
                payload::check_answer(ask.kind, &answer)
                    .map_err(|fault| format!("the answer to `{}` is not acceptable: {fault}", ask.key))?;
            }
        }
        for ask in std::mem::take(&mut *open) {
            match answers.get(&ask.key) {
                None => open.push(ask),
                Some(answer) => {
                    let answer = payload::answer_for_legacy(ask.kind, &answer, server);
                    ask.reply.answer(Outcome::Result(answer));
                }
            }
        }
        if open.is_empty() {
            self.changes.send_replace(Change::None);
        }
        Ok(())
    }
}

fn method(kind: AskKind) -> &'static str {
    match kind {
        AskKind::Elicit => "elicitation/create",
        AskKind::Sample => "sampling/createMessage",
        AskKind::Roots => "roots/list",
    }
}
