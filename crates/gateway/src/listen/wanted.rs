//! What a listener wants to hear of, and how it is told: filters of `subscriptions/listen`, and notices as notifications.
//! Who may read what is asked of `policy` elsewhere.

use portreeve_mcp::{
    Code, Method, Params, RawJson, RpcError, Text, frame, json,
    service::{Description, Notice, WatchFilter},
};

/// How many URIs one listener may watch.
pub(crate) const MAX_URIS: usize = 1024;

/// What a listener asked for, less what it may not have.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) tools: bool,
    pub(crate) prompts: bool,
    pub(crate) resources: bool,
    pub(crate) uris: Vec<Text>,
}

impl Wanted {
    /// All lists, as every legacy session with a stream wants them.
    pub(crate) fn lists() -> Self {
        Self { tools: true, prompts: true, resources: true, uris: Vec::new() }
    }

    pub(crate) fn read(params: &Params) -> Result<Self, RpcError> {
        let bad = |what: &str| RpcError::new(Code::INVALID_PARAMS, format!("`params.notifications` {what}"));
        let wanted = params.get("notifications").filter(|raw| raw.kind() == json::Kind::Object);
        let wanted = wanted.ok_or_else(|| bad("must be an object"))?;
        let flag = |key: &str| wanted.get(key).is_some_and(|raw| raw.as_bytes() == b"true");
        let given = match wanted.get("resourceSubscriptions") {
            None => Vec::new(),
            Some(raw) => raw.elements().ok_or_else(|| bad("has `resourceSubscriptions` that is no array"))?,
        };
        if given.len() > MAX_URIS {
            return Err(bad("names too many resources"));
        }
        let mut uris: Vec<Text> = Vec::with_capacity(given.len());
        let mut seen = foldhash::HashSet::default();
        // A name of its own buffer: the request's would be kept as long as the stream.
        uris.extend(given.iter().filter_map(RawJson::string_value).filter_map(|uri| {
            let uri = Text::from(uri.as_str());
            seen.insert(uri.clone()).then_some(uri)
        }));
        Ok(Self {
            tools: flag("toolsListChanged"),
            prompts: flag("promptsListChanged"),
            resources: flag("resourcesListChanged"),
            uris,
        })
    }

    /// Drops what the server cannot tell (check 117).
    pub(crate) fn limit(&mut self, description: &Description) {
        let can = |key: &str, what: &str| {
            let capability = description.capabilities.get(key).and_then(|capability| capability.get(what));
            capability.is_some_and(|flag| flag.as_bytes() == b"true")
        };
        self.tools &= can("tools", "listChanged");
        self.prompts &= can("prompts", "listChanged");
        self.resources &= can("resources", "listChanged");
        if !can("resources", "subscribe") {
            self.uris.clear();
        }
    }

    pub(crate) fn is_nothing(&self) -> bool {
        !self.tools && !self.prompts && !self.resources && self.uris.is_empty()
    }

    pub(crate) fn wants(&self, notice: &Notice) -> bool {
        match notice {
            Notice::Watching(_) | Notice::Interrupted => false,
            Notice::ToolsChanged => self.tools,
            Notice::PromptsChanged => self.prompts,
            Notice::ResourcesChanged => self.resources,
            Notice::ResourceUpdated { uri, .. } => self.watched(uri).is_some(),
        }
    }

    /// The watched resource that this one is, or is a part of.
    pub(crate) fn watched(&self, uri: &Text) -> Option<&Text> {
        self.uris.iter().find(|watched| WatchFilter::covers(watched, uri))
    }

    /// What has to be told to one who may have missed anything: that everything it wants changed.
    pub(crate) fn missed(&self) -> impl Iterator<Item = Notice> {
        let lists = [Notice::ToolsChanged, Notice::PromptsChanged, Notice::ResourcesChanged];
        let lists = lists.into_iter().filter(|notice| self.wants(notice));
        lists.chain(self.uris.iter().map(updated))
    }

    pub(crate) fn encode(&self) -> RawJson {
        let mut out = Vec::from(*b"{");
        let flags = [
            ("toolsListChanged", self.tools),
            ("promptsListChanged", self.prompts),
            ("resourcesListChanged", self.resources),
        ];
        for (key, _) in flags.iter().filter(|(_, on)| *on) {
            json::write_member(&mut out, key, b"true");
        }
        if !self.uris.is_empty() {
            let uris: Vec<&str> = self.uris.iter().map(|uri| uri.as_str()).collect();
            json::write_member(&mut out, "resourceSubscriptions", RawJson::encode(&uris).as_bytes());
        }
        out.push(b'}');
        RawJson::built(out)
    }
}

/// The notice that this resource changed, when no server put it into words.
pub(crate) fn updated(uri: &Text) -> Notice {
    let params = RawJson::EMPTY_OBJECT.with(&[], &[("uri", &RawJson::string(uri))]);
    Notice::ResourceUpdated { uri: uri.clone(), params }
}

/// The notice that a notification stands for.
pub(crate) fn notice_of(method: &Method, params: Option<&RawJson>) -> Option<Notice> {
    Some(match method {
        Method::ToolsChanged => Notice::ToolsChanged,
        Method::PromptsChanged => Notice::PromptsChanged,
        Method::ResourcesChanged => Notice::ResourcesChanged,
        Method::ResourceUpdated => {
            let params = params?.clone();
            Notice::ResourceUpdated { uri: params.get("uri")?.string_value()?, params }
        }
        _ => return None,
    })
}

/// The notification that a notice becomes, with extra members in `_meta`.
pub(crate) fn notification(notice: &Notice, meta: Option<&RawJson>) -> Option<Vec<u8>> {
    let (method, params) = match notice {
        Notice::Watching(_) | Notice::Interrupted => return None,
        Notice::ToolsChanged => (Method::ToolsChanged, RawJson::EMPTY_OBJECT),
        Notice::PromptsChanged => (Method::PromptsChanged, RawJson::EMPTY_OBJECT),
        Notice::ResourcesChanged => (Method::ResourcesChanged, RawJson::EMPTY_OBJECT),
        Notice::ResourceUpdated { params, .. } => (Method::ResourceUpdated, params.with(&["_meta"], &[])),
    };
    let params = meta.map_or(params.clone(), |meta| params.with(&[], &[("_meta", meta)]));
    Some(frame::encode_notification(method.as_str(), Some(&params)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_covers_its_parts_and_no_neighbours() {
        let wanted = Wanted { uris: vec!["file:///a".into(), "x://dir/".into()], ..Wanted::default() };
        for (uri, covered) in [
            ("file:///a", true),
            ("file:///a/b", true),
            ("file:///a#part", true),
            ("file:///a?q=1", true),
            ("file:///ab", false),
            ("file:///", false),
            ("x://dir/b", true),
            ("x://dir", false),
        ] {
            assert_eq!(wanted.watched(&uri.into()).is_some(), covered, "{uri}");
        }
    }

    #[test]
    fn one_who_missed_something_is_told_only_what_it_wanted() {
        let wanted = Wanted { prompts: true, uris: vec!["a:1".into()], ..Wanted::default() };
        let told: Vec<Notice> = wanted.missed().collect();
        assert_eq!(told, [Notice::PromptsChanged, updated(&"a:1".into())]);
    }
}
