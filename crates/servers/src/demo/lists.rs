//! What changes while the demo runs: the extra entries of the lists, the texts of two resources, and the watchers who
//! are told. A watcher that falls behind loses its stream instead of single notices: it opens another and lists anew.

use super::resources::{NOTE, WATCHED};
use futures_channel::mpsc::{self, Receiver, Sender};
use portreeve_mcp::{Text, service::Notice};
use serde_json::json;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many notices may wait for one watcher.
const QUEUE: usize = 256;

#[derive(Default)]
struct Inner {
    tool: bool,
    prompt: bool,
    resource: bool,
    note: String,
    watched: String,
    watchers: Vec<Watcher>,
}

struct Watcher {
    resources: Vec<Text>,
    notices: Sender<Notice>,
}

/// The changing part of a demo server.
pub(super) struct Lists(Mutex<Inner>);

impl Lists {
    pub(super) fn new() -> Self {
        let note = "Nothing noted yet.".to_owned();
        let watched = "This resource can change.".to_owned();
        Self(Mutex::new(Inner { note, watched, ..Inner::default() }))
    }

    pub(super) fn extra_tool(&self) -> bool {
        self.lock().tool
    }

    pub(super) fn extra_prompt(&self) -> bool {
        self.lock().prompt
    }

    pub(super) fn extra_resource(&self) -> bool {
        self.lock().resource
    }

    /// Adds the extra tool or takes it away; tells whether it is there now.
    pub(super) fn toggle_tool(&self) -> bool {
        let mut inner = self.lock();
        inner.tool = !inner.tool;
        inner.tell(&Notice::ToolsChanged);
        inner.tool
    }

    /// The same for the prompt.
    pub(super) fn toggle_prompt(&self) -> bool {
        let mut inner = self.lock();
        inner.prompt = !inner.prompt;
        inner.tell(&Notice::PromptsChanged);
        inner.prompt
    }

    /// The same for the resource.
    pub(super) fn toggle_resource(&self) -> bool {
        let mut inner = self.lock();
        inner.resource = !inner.resource;
        inner.tell(&Notice::ResourcesChanged);
        inner.resource
    }

    /// The text of a changeable resource.
    pub(super) fn read(&self, uri: &str) -> String {
        let inner = self.lock();
        if uri == WATCHED { inner.watched.clone() } else { inner.note.clone() }
    }

    /// Changes such a text.
    pub(super) fn write(&self, uri: &str, text: &str) {
        let mut inner = self.lock();
        if uri == WATCHED {
            text.clone_into(&mut inner.watched);
        } else {
            text.clone_into(&mut inner.note);
        }
        let uri = if uri == WATCHED { WATCHED } else { NOTE };
        let notice =
            Notice::ResourceUpdated { uri: Text::from_static(uri), params: json!({"uri": uri}).into() };
        inner.tell(&notice);
    }

    /// Everything of interest from now on, beginning with the confirmation.
    pub(super) fn watch(&self, resources: Vec<Text>) -> Receiver<Notice> {
        let (mut notices, receiver) = mpsc::channel(QUEUE);
        // The queue is new and empty, so there is room.
        let _ = notices.try_send(Notice::Watching(resources.clone()));
        self.lock().watchers.push(Watcher { resources, notices });
        receiver
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn tell(&mut self, notice: &Notice) {
        self.watchers.retain_mut(|watcher| {
            let wanted = match notice {
                Notice::ResourceUpdated { uri, .. } => watcher.resources.contains(uri),
                _ => true,
            };
            if wanted {
                watcher.notices.try_send(notice.clone()).is_ok()
            } else {
                !watcher.notices.is_closed()
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, StreamExt};

    fn waiting(receiver: &mut Receiver<Notice>) -> Vec<Notice> {
        let mut notices = Vec::new();
        while let Some(Some(notice)) = receiver.next().now_or_never() {
            notices.push(notice);
        }
        notices
    }

    #[test]
    fn watchers_hear_what_they_wanted() {
        let lists = Lists::new();
        let note = vec![Text::from_static(NOTE)];
        let (mut one, mut all) = (lists.watch(Vec::new()), lists.watch(note.clone()));
        assert!(lists.toggle_tool());
        assert!(lists.toggle_prompt());
        assert!(lists.toggle_resource());
        assert!(!lists.toggle_tool());
        lists.write(NOTE, "new");
        lists.write(WATCHED, "newer");
        let lists_only =
            [Notice::ToolsChanged, Notice::PromptsChanged, Notice::ResourcesChanged, Notice::ToolsChanged];
        assert_eq!(waiting(&mut one), [&[Notice::Watching(Vec::new())], &lists_only[..]].concat());
        let heard = waiting(&mut all);
        assert_eq!(heard[0], Notice::Watching(note));
        assert!(
            matches!(&heard[5..], [Notice::ResourceUpdated { uri, .. }] if uri.as_str() == NOTE),
            "{heard:?}"
        );
        assert_eq!((lists.read(NOTE), lists.read(WATCHED)), ("new".to_owned(), "newer".to_owned()));
    }

    #[test]
    fn a_watcher_that_falls_behind_loses_its_stream() {
        let lists = Lists::new();
        let slow = lists.watch(Vec::new());
        for _ in 0..QUEUE * 2 {
            lists.toggle_tool();
        }
        assert!(lists.lock().watchers.is_empty());
        let heard = slow.count().now_or_never().expect("the stream has an end");
        assert!((QUEUE..QUEUE * 2).contains(&heard), "{heard}");
    }
}
