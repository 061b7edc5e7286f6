//! What the gate serves at the moment: servers, rules, callers. It is one value that is exchanged as a whole when the
//! configuration changes (decision D53); who looks takes no lock. What hangs on a server that is replaced or gone ends by itself:
//! calls keep the server that they began with, streams and sessions move to the new one, or end where there is none.

use crate::{
    Gateway,
    hub::Hub,
    server::{Eras, Server, ServerSetup},
};
use arc_swap::Guard;
use portreeve_auth::{Identity, Refusal};
use portreeve_model::{Principal, ServerName};
use portreeve_policy::Policy;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// What can change while the gate runs.
pub struct Serving {
    /// The servers.
    pub servers: Vec<Entry>,
    /// The rules.
    pub policy: Policy,
    /// How callers are told apart.
    pub identity: Identity,
    /// How many calls a minute each authenticated caller may make; `None` = as many as they like.
    pub calls_per_minute: Option<u32>,
    /// How long a parked call waits for its answers.
    pub park_ttl: Duration,
    /// The server that the address without a name belongs to; none = all of them together.
    pub root: Option<ServerName>,
    /// Which eras the address of all servers serves.
    pub eras: Eras,
    /// How many items a page of a list has.
    pub page_size: usize,
    /// How long a name may be that the aggregate makes.
    pub name_length: usize,
}

/// One server of a configuration.
pub enum Entry {
    /// It is as it was: what hangs on it stays. One that is not there is left out.
    Kept(ServerName),
    /// It is new, or not what it was.
    New(Box<ServerSetup>),
}

/// What is served at the moment.
pub(crate) struct Served {
    servers: BTreeMap<ServerName, Arc<Server>>,
    /// All of them together, where there are several.
    aggregate: Option<Arc<Server>>,
    root: Option<ServerName>,
    pub(crate) policy: Policy,
    identity: Identity,
    pub(crate) calls_per_minute: Option<u32>,
    park_ttl: Duration,
    pub(crate) page_size: usize,
}

impl Served {
    /// What is served from now on; `hub` makes the watches of a server.
    pub(crate) fn new(serving: Serving, before: Option<&Self>, hub: impl Fn() -> Hub) -> Self {
        let take = |entry| match entry {
            Entry::Kept(name) => before.and_then(|before| before.servers.get(&name).cloned()),
            Entry::New(setup) => Some(Server::new(*setup, hub())),
        };
        let servers = serving.servers.into_iter().filter_map(take);
        let servers: BTreeMap<_, _> = servers.map(|server| (server.name().clone(), server)).collect();
        let aggregate = (servers.len() > 1)
            .then(|| Server::all(servers.values(), serving.eras, serving.name_length, hub()));
        Self {
            // Where nothing changed below it, the address of all servers stays what it was as well.
            aggregate: aggregate.map(|new| match before.and_then(|before| before.aggregate.clone()) {
                Some(old) if old.has_the_members_of(&new) => old,
                _ => new,
            }),
            servers,
            root: serving.root,
            policy: serving.policy,
            identity: serving.identity,
            calls_per_minute: serving.calls_per_minute,
            park_ttl: serving.park_ttl,
            page_size: serving.page_size.max(1),
        }
    }

    /// The servers that are not served any more, or not in this shape.
    fn retired<'a>(&'a self, after: &'a Self) -> impl Iterator<Item = &'a Arc<Server>> {
        let all = self.servers.values().chain(&self.aggregate);
        all.filter(|old| !after.behind(old.door()).is_some_and(|new| Arc::ptr_eq(old, new)))
    }

    fn behind(&self, name: &ServerName) -> Option<&Arc<Server>> {
        let aggregate = self.aggregate.as_ref().filter(|aggregate| aggregate.door() == name);
        aggregate.or_else(|| self.servers.get(name))
    }
}

impl Gateway {
    /// What is served at the moment.
    pub(crate) fn served(&self) -> Guard<Arc<Served>> {
        self.served.load()
    }

    pub(crate) fn park_ttl(&self) -> Duration {
        self.served().park_ttl
    }

    /// Serves this from now on. Calls in flight go on with the servers that they began with, and so do parked ones; servers
    /// that are not needed any more end with the last of them.
    pub fn reload(&self, serving: Serving) {
        let hub = || Hub::new(self.tracker.clone(), &self.shutdown);
        let before = self.served.load_full();
        let after = Arc::new(Served::new(serving, Some(&before), hub));
        self.served.store(after.clone());
        for session in self.sessions.all() {
            match after.behind(session.door()) {
                Some(server) => self.move_session(&session, server),
                // One that is in the middle of a call ends with its time.
                None if session.is_quiet() => self.drop_session(&session),
                None => {}
            }
        }
        // Only now, so that who looks for the new one finds it.
        before.retired(&after).for_each(|server| server.hub.retire());
    }

    /// Who sends this `Authorization` header.
    pub fn identify(&self, credential: Option<&str>) -> Result<Principal, Refusal> {
        self.served().identity.identify(credential)
    }

    /// A server by its name.
    pub fn server(&self, name: &str) -> Option<Arc<Server>> {
        self.served().servers.get(name).cloned()
    }

    /// What the address without a server's name leads to: the server that it was given to, the only one there is, or all
    /// of them together.
    pub fn root(&self) -> Option<Arc<Server>> {
        let served = self.served();
        if let Some(root) = &served.root {
            return served.servers.get(root).cloned();
        }
        served.aggregate.as_ref().or_else(|| served.servers.values().next()).cloned()
    }

    /// What the address of this name leads to; the name may be the aggregate's own.
    pub fn behind(&self, name: &ServerName) -> Option<Arc<Server>> {
        self.served().behind(name).cloned()
    }

    /// All servers, by name.
    pub fn servers(&self) -> Vec<Arc<Server>> {
        self.served().servers.values().cloned().collect()
    }

    /// Whether this principal may know of the server at all.
    pub fn reaches(&self, principal: &Principal, server: &Server) -> bool {
        let served = self.served();
        match server.members() {
            [] => served.policy.reaches(principal, server.name()),
            members => members.iter().any(|member| served.policy.reaches(principal, member.name())),
        }
    }
}
