//! Where a legacy task lives: tasks of that era belong to the session, or the child, in which they were made, and only
//! there are they known. The connector says which one it used, and takes that back for everything about the task.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A legacy session or child of one connector, as a number that means nothing to anybody else.
#[derive(Debug, Clone)]
pub struct Anchor(Arc<Places>);

#[derive(Debug)]
struct Places {
    wanted: Option<u64>,
    /// Zero while nothing was used.
    used: AtomicU64,
}

impl Anchor {
    /// Any will do; which one it was is to be told.
    pub fn anywhere() -> Self {
        Self(Arc::new(Places { wanted: None, used: AtomicU64::new(0) }))
    }

    /// This one and no other.
    pub fn at(place: u64) -> Self {
        Self(Arc::new(Places { wanted: Some(place), used: AtomicU64::new(place) }))
    }

    /// The one that has to be used, if it matters.
    pub fn wanted(&self) -> Option<u64> {
        self.0.wanted
    }

    /// The connector uses this one.
    pub fn uses(&self, place: u64) {
        self.0.used.store(place, Ordering::Release);
    }

    /// The one that was used; `None` where requests stand for themselves.
    pub fn used(&self) -> Option<u64> {
        Some(self.0.used.load(Ordering::Acquire)).filter(|place| *place != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_used_until_the_connector_says_otherwise() {
        let anywhere = Anchor::anywhere();
        assert_eq!((anywhere.wanted(), anywhere.used()), (None, None));
        anywhere.uses(7);
        assert_eq!((anywhere.wanted(), anywhere.used()), (None, Some(7)));

        let fixed = Anchor::at(5);
        assert_eq!((fixed.wanted(), fixed.used()), (Some(5), Some(5)));
        fixed.uses(6);
        assert_eq!((fixed.wanted(), fixed.used()), (Some(5), Some(6)));
    }
}
