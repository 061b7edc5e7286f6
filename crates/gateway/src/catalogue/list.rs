//! One list as a server gave it, indexed by name, and its ready forms: the bytes that callers of one revision and view get.

use crate::tasks::knows_core;
use arc_swap::ArcSwap;
use foldhash::HashMap;
use portreeve_mcp::{
    Era, Method, RawJson, Version,
    annotation::{self, Annotation},
    json,
    meta::SERVER_INFO,
    payload::{self, TaskSupport},
    service::Description,
};
use portreeve_model::ServerName;
use portreeve_policy::{Kind, ViewKey};
use sha2::{Digest, Sha256};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long a list is good when its server has no way to say (decision D10).
const LEGACY_TTL: Duration = Duration::from_secs(60);
/// How long a list is good at most, whatever its server says.
const MAX_TTL: Duration = Duration::from_secs(60 * 60);
/// How many ready forms one list keeps; more views than this are made anew each time.
const MAX_FORMS: usize = 64;

/// The four lists of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ListKind {
    Tools,
    Prompts,
    Resources,
    Templates,
}

impl ListKind {
    pub(crate) const ALL: [Self; 4] = [Self::Tools, Self::Prompts, Self::Resources, Self::Templates];

    pub(crate) fn from_method(method: &Method) -> Option<Self> {
        match method {
            Method::ToolsList => Some(Self::Tools),
            Method::PromptsList => Some(Self::Prompts),
            Method::ResourcesList => Some(Self::Resources),
            Method::ResourceTemplatesList => Some(Self::Templates),
            _ => None,
        }
    }

    pub(crate) fn method(self) -> Method {
        match self {
            Self::Tools => Method::ToolsList,
            Self::Prompts => Method::PromptsList,
            Self::Resources => Method::ResourcesList,
            Self::Templates => Method::ResourceTemplatesList,
        }
    }

    /// The member of the result that holds the items.
    pub(crate) fn member(self) -> &'static str {
        self.shape().0
    }

    /// The member of an item that names it.
    pub(crate) fn key(self) -> &'static str {
        self.shape().1
    }

    /// What its items are to policy.
    pub(crate) fn policy(self) -> Kind {
        self.shape().2
    }

    /// The member of the result that holds the items, the member that names one, and the kind for policy.
    fn shape(self) -> (&'static str, &'static str, Kind) {
        match self {
            Self::Tools => ("tools", "name", Kind::Tool),
            Self::Prompts => ("prompts", "name", Kind::Prompt),
            Self::Resources => ("resources", "uri", Kind::Resource),
            Self::Templates => ("resourceTemplates", "uriTemplate", Kind::ResourceTemplate),
        }
    }
}

/// One tool, prompt, resource or template.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) name: Arc<str>,
    pub(crate) raw: RawJson,
    /// Whether it runs as a task (tools only; what a server's capabilities do not carry is of no account).
    pub(crate) tasks: TaskSupport,
    /// The arguments that are mirrored into headers (tools only).
    pub(crate) annotations: Vec<Annotation>,
}

/// Which ready form: the caller's revision, what it sees, and which page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FormKey {
    pub(crate) version: Version,
    pub(crate) view: ViewKey,
    /// The item at which the page begins.
    pub(crate) from: usize,
    /// How many items a page has.
    pub(crate) size: usize,
}

/// One page of a list, without its cursor: that is made for each caller.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) bytes: RawJson,
    /// Its last item, if there are more.
    pub(crate) more_after: Option<usize>,
}

/// One list.
pub(crate) struct List {
    kind: ListKind,
    pub(crate) era: Option<Era>,
    pub(crate) version: Version,
    /// Whether the server runs tools as tasks.
    pub(crate) tasks: bool,
    pub(crate) digest: [u8; 32],
    items: Vec<Item>,
    index: HashMap<Arc<str>, usize>,
    server_info: Option<RawJson>,
    fetched: Mutex<Instant>,
    ttl: Option<Duration>,
    public: bool,
    forms: ArcSwap<Vec<(FormKey, Page)>>,
}

impl List {
    pub(crate) fn new(kind: ListKind, description: &Description) -> Self {
        Self {
            kind,
            era: description.era,
            version: description.version,
            tasks: payload::offers_tasks(&description.capabilities, description.version.era()),
            digest: [0; 32],
            items: Vec::new(),
            index: HashMap::default(),
            server_info: description.server_info.clone(),
            fetched: Mutex::new(Instant::now()),
            ttl: None,
            public: true,
            forms: ArcSwap::default(),
        }
    }

    /// Adds one page. A malformed item is skipped and said, it does not poison the list.
    pub(crate) fn add_page(&mut self, page: &RawJson, server: &ServerName) {
        let (member, key, _) = self.kind.shape();
        for raw in page.get(member).and_then(|items| items.elements()).unwrap_or_default() {
            let Some(name) = raw.get(key).and_then(|name| name.string_value()) else {
                tracing::warn!(%server, list = member, "an item without `{key}` is left out");
                continue;
            };
            let annotations = match self.annotations(&raw) {
                Ok(annotations) => annotations,
                Err(fault) => {
                    tracing::warn!(%server, tool = %name, "the tool is left out: {fault}");
                    continue;
                }
            };
            let name: Arc<str> = name.as_str().into();
            if self.index.contains_key(&name) {
                tracing::warn!(%server, list = member, %name, "the same name again is left out");
                continue;
            }
            self.index.insert(name.clone(), self.items.len());
            let tasks = TaskSupport::of(&raw);
            self.items.push(Item { name, raw, tasks, annotations });
        }
        let ttl =
            page.get("ttlMs").and_then(|ttl| ttl.read::<i64>()).map(|ms| u64::try_from(ms).unwrap_or(0));
        if let Some(ttl) = ttl.map(Duration::from_millis) {
            self.ttl = Some(self.ttl.map_or(ttl, |known| known.min(ttl)).min(MAX_TTL));
        }
        self.public &= page.get("cacheScope").is_some_and(|scope| scope.as_bytes() == b"\"public\"");
    }

    fn annotations(&self, tool: &RawJson) -> Result<Vec<Annotation>, annotation::AnnotationFault> {
        match (self.kind, tool.get("inputSchema")) {
            (ListKind::Tools, Some(schema)) => annotation::read(&schema),
            _ => Ok(Vec::new()),
        }
    }

    /// The finished list, with its digest.
    pub(crate) fn sealed(mut self) -> Self {
        let mut hash = Sha256::new();
        let flags = [self.public, self.era == Some(Era::Modern), self.tasks].map(u8::from);
        hash.update([self.kind as u8]);
        hash.update(flags);
        hash.update(self.ttl.map_or(u64::MAX, |ttl| ttl.as_secs()).to_le_bytes());
        hash.update(self.server_info.as_ref().map_or(&b""[..], RawJson::as_bytes));
        for item in &self.items {
            hash.update((item.raw.as_bytes().len() as u64).to_le_bytes());
            hash.update(item.raw.as_bytes());
        }
        self.digest = hash.finalize().into();
        self
    }

    pub(crate) fn fetched(&self) -> Instant {
        *self.fetched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same list was seen again.
    pub(crate) fn renew(&self, at: Instant) {
        *self.fetched.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// Whether it has not aged out.
    pub(crate) fn is_fresh(&self) -> bool {
        Instant::now() < self.expires()
    }

    /// When it ages out.
    pub(crate) fn expires(&self) -> Instant {
        // A modern server that names no lifetime gives none (check 125).
        let unnamed = if self.era == Some(Era::Modern) { Duration::ZERO } else { LEGACY_TTL };
        self.fetched() + self.ttl.unwrap_or(unnamed)
    }

    /// What its callers are told of its lifetime.
    pub(crate) fn ttl(&self) -> Duration {
        self.ttl.unwrap_or_default()
    }

    /// Whether everybody may share it.
    pub(crate) fn is_public(&self) -> bool {
        self.public
    }

    /// One item by its name.
    pub(crate) fn find(&self, name: &str) -> Option<&Item> {
        self.index.get(name).map(|at| &self.items[*at])
    }

    /// All items, in the server's order.
    pub(crate) fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.iter()
    }

    /// One item by its place.
    pub(crate) fn item(&self, at: usize) -> Option<&Item> {
        self.items.get(at)
    }

    /// Where to go on after the item of this name, which was at this place when it was given. If it is not there any more,
    /// its place is: what followed it has moved up.
    pub(crate) fn after(&self, name: &str, at: usize) -> usize {
        self.index.get(name).map_or(at, |found| found + 1)
    }

    /// The result for callers of this form; made once, then ready bytes.
    pub(crate) fn ready(&self, key: FormKey, sees: &dyn Fn(Kind, &str) -> bool) -> Page {
        if let Some((_, form)) = self.forms.load().iter().find(|(known, _)| *known == key) {
            return form.clone();
        }
        let form = self.form(key, sees);
        self.forms.rcu(|forms| {
            let mut forms = Vec::clone(forms);
            if forms.len() < MAX_FORMS && !forms.iter().any(|(known, _)| *known == key) {
                forms.push((key, form.clone()));
            }
            forms
        });
        form
    }

    fn form(&self, key: FormKey, sees: &dyn Fn(Kind, &str) -> bool) -> Page {
        let (member, _, kind) = self.kind.shape();
        let visible = |item: &Item| key.view == ViewKey::Everything || sees(kind, &item.name);
        let mut shown = self.items.iter().enumerate().skip(key.from).filter(|(_, item)| visible(item));
        let mut last = None;
        let modern = key.version.era() == Era::Modern;
        let era = self.era.unwrap_or(key.version.era());
        // Whether a tool runs as a task is told where tasks are relayed, and nowhere else.
        let server = self.era.map_or(key.version, |_| self.version);
        let tasks = self.tasks && knows_core(key.version) && knows_core(server);
        let mut items = Vec::from(*b"[");
        for (at, item) in shown.by_ref().take(key.size) {
            last = Some(at);
            if items.len() > 1 {
                items.push(b',');
            }
            match self.kind {
                ListKind::Tools => {
                    let dropped = !tasks && item.raw.get("execution").is_some();
                    let raw = if dropped { item.raw.with(&["execution"], &[]) } else { item.raw.clone() };
                    items.extend_from_slice(payload::tool_for_client(&raw, key.version, era).as_bytes());
                }
                _ => items.extend_from_slice(item.raw.as_bytes()),
            }
        }
        items.push(b']');
        // A page is only followed by one that has something.
        let more_after = last.filter(|_| shown.next().is_some());
        let mut out = Vec::with_capacity(items.len() + 256);
        out.push(b'{');
        if modern {
            json::write_member(&mut out, "resultType", b"\"complete\"");
        }
        json::write_member(&mut out, member, &items);
        if modern {
            let ttl = u64::try_from(self.ttl().as_millis()).unwrap_or(0);
            json::write_member(&mut out, "ttlMs", ttl.to_string().as_bytes());
            // The cursor between two pages is somebody's own, and all pages have one scope (check 127).
            let whole = key.from == 0 && more_after.is_none();
            let public = self.public && key.view == ViewKey::Everything && whole;
            json::write_member(&mut out, "cacheScope", if public { b"\"public\"" } else { b"\"private\"" });
            if let Some(info) = &self.server_info {
                let meta = RawJson::EMPTY_OBJECT.with(&[], &[(SERVER_INFO, info)]);
                json::write_member(&mut out, "_meta", meta.as_bytes());
            }
        }
        out.push(b'}');
        Page { bytes: RawJson::built(out), more_after }
    }
}
