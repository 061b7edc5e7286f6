//! The rules and how they decide. Two layers: a server's tool filter binds everybody, a key's allow list binds that key.
//! A key may do nothing that its list does not name. The same function answers calls and filters lists, so that
//! what is shown and what is permitted cannot differ.

use crate::{Decision, Glob, Rule};
use portreeve_model::{KeyName, Principal, PrincipalKind, ServerName};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};

/// What sort of thing a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A tool, by its name.
    Tool,
    /// A prompt, by its name.
    Prompt,
    /// A resource, by its URI.
    Resource,
    /// A resource template, by its URI template.
    ResourceTemplate,
    /// A method that names none of these, by itself.
    Method,
}

impl Kind {
    /// The methods that carry a call on a thing of this kind; for [`Kind::Method`] the method is the name instead.
    pub fn methods(self) -> &'static [&'static str] {
        match self {
            // What becomes of a call that went on as a task is part of that call.
            Self::Tool => &["tools/call", "tasks/get", "tasks/result", "tasks/update", "tasks/cancel"],
            Self::Prompt => &["prompts/get", "completion/complete"],
            Self::Resource => &["resources/read", "resources/subscribe", "resources/unsubscribe"],
            Self::ResourceTemplate => &["completion/complete"],
            Self::Method => &[],
        }
    }
}

/// Methods that a key with a `tools` list may use on that server: what a session needs, and lists, which are filtered.
/// A method that is not here may do anything, so only a key that may use the whole server may send it.
const HARMLESS_METHODS: &[&str] = &[
    "initialize",
    "server/discover",
    "ping",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "subscriptions/listen",
    "logging/setLevel",
    // Task ids are sealed for their principal, so these reach only tasks that a permitted call has made.
    "tasks/get",
    "tasks/result",
    "tasks/update",
    "tasks/cancel",
    "tasks/list",
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
];

/// One call, as a rule sees it.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The server that the call goes to.
    pub server: &'a ServerName,
    /// What sort of thing.
    pub kind: Kind,
    /// Its name on that server.
    pub name: &'a str,
    /// The raw JSON arguments; parsed only where a rule reads them, which none does yet.
    pub arguments: Option<&'a [u8]>,
}

/// One entry of a key's allow list.
#[derive(Debug, Clone)]
pub struct Allow {
    /// The servers.
    pub server: Glob,
    /// `None`: everything of those servers. `Some`: these tools and *nothing else*: no prompts, no resources, since a list
    /// that somebody wrote to narrow a key must not leave the same data reachable by another door.
    pub tools: Option<Vec<Glob>>,
}

/// What one static key may do.
#[derive(Debug, Clone)]
pub struct KeyRule {
    /// The key.
    pub key: KeyName,
    /// Its allow list; empty = nothing.
    pub allow: Vec<Allow>,
}

/// Which tools of a server exist at all, for everybody.
#[derive(Debug, Clone, Default)]
pub struct ToolFilter {
    /// Only these; `None` = all.
    pub allow: Option<Vec<Glob>>,
    /// Never these, whatever allows them.
    pub deny: Vec<Glob>,
}

/// All rules. Built once per configuration; deciding allocates nothing.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    keys: HashMap<KeyName, Key>,
    filters: HashMap<ServerName, Filter>,
}

#[derive(Debug, Clone)]
struct Key {
    entries: Vec<Entry>,
    /// Names this key in denials.
    unnamed: Rule,
}

#[derive(Debug, Clone)]
struct Entry {
    allow: Allow,
    rule: Rule,
}

#[derive(Debug, Clone)]
struct Filter {
    globs: ToolFilter,
    denied: Vec<Rule>,
    not_allowed: Rule,
}

static LOCAL: Rule = Rule::fixed("local");
static UNKNOWN_KEY: Rule = Rule::fixed("default");
static NAMES_A_TARGET: Rule = Rule::fixed("methods that name a target are decided as that target");

/// Which part of a server's lists somebody sees. Equal keys of one server see equal parts (under any policy), so that
/// filtered lists can be kept by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ViewKey {
    /// All of it, unfiltered.
    Everything,
    /// None of it.
    Nothing,
    /// The part that the rules with this digest leave.
    Part([u8; 32]),
}

impl Policy {
    /// A policy of key rules. Rules of one key add up.
    pub fn new(keys: Vec<KeyRule>) -> Self {
        let mut policy = Self::default();
        for KeyRule { key, allow } in keys {
            let unnamed = Rule::built(format!("keys.{key}: not in its allow list"));
            let known = policy.keys.entry(key.clone()).or_insert(Key { entries: Vec::new(), unnamed });
            for allow in allow {
                let rule = Rule::built(format!("keys.{key}.allow[{}]", known.entries.len()));
                known.entries.push(Entry { allow, rule });
            }
        }
        policy
    }

    /// Adds the filter of a server's tools, which binds everybody.
    #[must_use]
    pub fn with_tool_filter(mut self, server: ServerName, globs: ToolFilter) -> Self {
        let denied = (0..globs.deny.len())
            .map(|at| Rule::built(format!("servers.{server}.tools.deny[{at}]")))
            .collect();
        let not_allowed = Rule::built(format!("servers.{server}.tools.allow"));
        self.filters.insert(server, Filter { globs, denied, not_allowed });
        self
    }

    /// Whether a thing is shown in this principal's lists: exactly when a call on it would be allowed.
    pub fn sees(&self, principal: &Principal, server: &ServerName, kind: Kind, name: &str) -> bool {
        match self.judge(principal, &Call { server, kind, name, arguments: None }) {
            Verdict::Allow(_) => true,
            Verdict::Deny(_) => false,
        }
    }

    /// Whether this principal may use the server at all, however little of it.
    pub fn reaches(&self, principal: &Principal, server: &ServerName) -> bool {
        match principal.kind() {
            PrincipalKind::Local => true,
            PrincipalKind::Key(name) => {
                self.keys.get(name).is_some_and(|key| key.entries.iter().any(|entry| entry.covers(server)))
            }
        }
    }

    /// Which part of this server's lists the principal sees.
    pub fn view_key(&self, principal: &Principal, server: &ServerName) -> ViewKey {
        let filter = self.filters.get(server).map(|filter| &filter.globs);
        let tools = match self.tools_of(principal, server) {
            Tools::Nothing => return ViewKey::Nothing,
            Tools::Everything => None,
            Tools::Only(globs) => Some(globs),
        };
        if tools.is_none() && filter.is_none() {
            return ViewKey::Everything;
        }
        let allow = filter.and_then(|filter| filter.allow.as_ref());
        let mut digest = Sha256::new();
        add(&mut digest, tools.as_ref());
        add(&mut digest, allow.map(|globs| globs.iter().map(Glob::as_str).collect()).as_ref());
        add(&mut digest, filter.map(|filter| filter.deny.iter().map(Glob::as_str).collect()).as_ref());
        ViewKey::Part(digest.finalize().into())
    }

    fn tools_of(&self, principal: &Principal, server: &ServerName) -> Tools<'_> {
        let PrincipalKind::Key(name) = principal.kind() else { return Tools::Everything };
        let mut only = None::<BTreeSet<&str>>;
        let entries = self.keys.get(name).map_or(&[][..], |key| &key.entries);
        for entry in entries.iter().filter(|entry| entry.covers(server)) {
            let Some(tools) = &entry.allow.tools else { return Tools::Everything };
            only.get_or_insert_default().extend(tools.iter().map(Glob::as_str));
        }
        only.map_or(Tools::Nothing, Tools::Only)
    }

    fn judge(&self, principal: &Principal, call: &Call<'_>) -> Verdict<'_> {
        if call.kind == Kind::Method && names_a_target(call.name) {
            return Verdict::Deny(&NAMES_A_TARGET);
        }
        if call.kind == Kind::Tool
            && let Some(rule) = self.filters.get(call.server).and_then(|filter| filter.refuses(call.name))
        {
            return Verdict::Deny(rule);
        }
        let name = match principal.kind() {
            PrincipalKind::Local => return Verdict::Allow(&LOCAL),
            PrincipalKind::Key(name) => name,
        };
        let Some(key) = self.keys.get(name) else { return Verdict::Deny(&UNKNOWN_KEY) };
        match key.entries.iter().find(|entry| entry.covers(call.server) && entry.admits(call)) {
            Some(entry) => Verdict::Allow(&entry.rule),
            None => Verdict::Deny(&key.unnamed),
        }
    }
}

/// Decides one call.
pub fn decide(policy: &Policy, principal: &Principal, call: &Call<'_>) -> Decision {
    match policy.judge(principal, call) {
        Verdict::Allow(rule) => Decision::allow(rule),
        Verdict::Deny(rule) => Decision::deny(rule),
    }
}

enum Verdict<'a> {
    Allow(&'a Rule),
    Deny(&'a Rule),
}

enum Tools<'a> {
    Nothing,
    Everything,
    Only(BTreeSet<&'a str>),
}

impl Entry {
    fn covers(&self, server: &ServerName) -> bool {
        self.allow.server.matches(server.as_str())
    }

    fn admits(&self, call: &Call<'_>) -> bool {
        let Some(tools) = &self.allow.tools else { return true };
        match call.kind {
            Kind::Tool => tools.iter().any(|glob| glob.matches(call.name)),
            Kind::Method => HARMLESS_METHODS.contains(&call.name),
            Kind::Prompt | Kind::Resource | Kind::ResourceTemplate => false,
        }
    }
}

impl Filter {
    fn refuses(&self, tool: &str) -> Option<&Rule> {
        if let Some(at) = self.globs.deny.iter().position(|glob| glob.matches(tool)) {
            return self.denied.get(at);
        }
        let allow = self.globs.allow.as_ref()?;
        (!allow.iter().any(|glob| glob.matches(tool))).then_some(&self.not_allowed)
    }
}

/// A call of one of these must say which tool, prompt or resource it means; deciding it by its method alone would go
/// round every list of names.
fn names_a_target(method: &str) -> bool {
    [Kind::Tool, Kind::Prompt, Kind::Resource].iter().any(|kind| kind.methods().contains(&method))
}

/// Adds a set of globs to a digest so that no two different sequences of sets give the same bytes.
fn add(digest: &mut Sha256, globs: Option<&BTreeSet<&str>>) {
    let Some(globs) = globs else { return digest.update([0]) };
    digest.update([1]);
    digest.update((globs.len() as u64).to_be_bytes());
    for glob in globs {
        digest.update((glob.len() as u64).to_be_bytes());
        digest.update(glob.as_bytes());
    }
}
