//! Which ids were given out for tasks that only this replica can reach. A sealed id is different each time it is made;
//! where a legacy server names a task by itself (lists, status notifications) its client has to hear the id it knows,
//! and of other people's tasks nothing. Bounded: the oldest ids are forgotten first, which costs only these two.

use crate::state::TaskState;
use foldhash::HashMap;
use portreeve_mcp::Text;
use portreeve_model::{PrincipalId, ServerName};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How many ids are remembered.
const MAX: usize = 16 * 1024;

struct Known {
    principal: PrincipalId,
    server: ServerName,
    state: TaskState,
    id: Text,
    until: Instant,
    number: u64,
}

#[derive(Default)]
struct Inner {
    /// By the server's own id: other servers may use the same, so there may be several.
    by_task: HashMap<String, Vec<Known>>,
    count: usize,
    next: u64,
}

/// The ids that were given out.
#[derive(Default)]
pub(crate) struct Issued(Mutex<Inner>);

impl Issued {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers an id.
    pub(crate) fn add(
        &self,
        principal: &PrincipalId,
        server: &ServerName,
        state: TaskState,
        id: Text,
        ttl: Duration,
    ) {
        let mut inner = self.lock();
        if inner.count >= MAX {
            inner.make_room();
        }
        let number = inner.next;
        let until = Instant::now() + ttl;
        let known = Known { principal: principal.clone(), server: server.clone(), id, until, number, state };
        inner.next += 1;
        inner.count += 1;
        inner.by_task.entry(known.state.task.clone()).or_default().push(known);
    }

    /// The id under which this principal knows a task that the server names, if it is its task.
    pub(crate) fn find(&self, principal: &PrincipalId, server: &ServerName, task: &str) -> Option<Text> {
        let inner = self.lock();
        let all = inner.by_task.get(task)?;
        let known = all.iter().rfind(|known| {
            known.principal == *principal && known.server == *server && known.until > Instant::now()
        })?;
        Some(known.id.clone())
    }

    /// The sessions in which this principal has tasks, the one with the newest task last.
    pub(crate) fn places(&self, principal: &PrincipalId, server: &ServerName) -> Vec<Option<u64>> {
        let inner = self.lock();
        let own = inner.by_task.values().flatten().filter(|known| {
            known.principal == *principal && known.server == *server && known.until > Instant::now()
        });
        let mut newest: Vec<(u64, Option<u64>)> =
            own.map(|known| (known.number, known.state.place)).collect();
        newest.sort_unstable_by_key(|(number, _)| *number);
        let mut places = Vec::new();
        for (_, place) in newest {
            if !places.contains(&place) {
                places.push(place);
            }
        }
        places
    }
}

impl Inner {
    /// Forgets what has expired, and if that is nothing, the oldest half.
    fn make_room(&mut self) {
        let now = Instant::now();
        self.retain(|known| known.until > now);
        if self.count >= MAX {
            let numbers = self.by_task.values().flatten().map(|known| known.number);
            let mut numbers: Vec<u64> = numbers.collect();
            numbers.sort_unstable();
            let middle = numbers.get(numbers.len() / 2).copied().unwrap_or_default();
            self.retain(|known| known.number >= middle);
        }
    }

    fn retain(&mut self, keep: impl Fn(&Known) -> bool) {
        self.by_task.retain(|_, all| {
            all.retain(&keep);
            !all.is_empty()
        });
        self.count = self.by_task.values().map(Vec::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(task: &str, place: Option<u64>) -> TaskState {
        TaskState { task: task.to_owned(), tool: "t".to_owned(), place, owner: Some("o".to_owned()) }
    }

    #[test]
    fn an_id_is_found_by_its_principal_at_its_server_until_it_expires() {
        let issued = Issued::default();
        let (ada, bob) = (PrincipalId::new("ada"), PrincipalId::new("bob"));
        let (one, two) = (ServerName::new("one").unwrap(), ServerName::new("two").unwrap());
        let hour = Duration::from_secs(3600);
        issued.add(&ada, &one, state("1", Some(7)), Text::from("ada-1"), hour);
        issued.add(&bob, &one, state("1", Some(8)), Text::from("bob-1"), hour);
        issued.add(&ada, &one, state("2", Some(9)), Text::from("ada-2"), hour);
        issued.add(&ada, &one, state("3", Some(7)), Text::from("gone"), Duration::ZERO);
        assert_eq!(issued.find(&ada, &one, "1"), Some(Text::from("ada-1")));
        assert_eq!(issued.find(&bob, &one, "1"), Some(Text::from("bob-1")));
        assert_eq!(issued.find(&ada, &two, "1"), None);
        assert_eq!(issued.find(&bob, &one, "2"), None);
        assert_eq!(issued.find(&ada, &one, "3"), None);
        assert_eq!(issued.places(&ada, &one), [Some(7), Some(9)]);
        assert_eq!(issued.places(&bob, &two), []);
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let issued = Issued::default();
        let (ada, one) = (PrincipalId::new("ada"), ServerName::new("one").unwrap());
        for number in 0..=MAX {
            let task = number.to_string();
            issued.add(&ada, &one, state(&task, None), Text::from(task.clone()), Duration::from_secs(60));
        }
        assert_eq!(issued.find(&ada, &one, "0"), None);
        assert!(issued.find(&ada, &one, &MAX.to_string()).is_some());
        assert!(issued.lock().count <= MAX);
    }
}
