//! The outcome of a decision and the name of the rule that made it.
//! For records and logs; what a refused caller is told is written elsewhere (decision D18).

use std::{fmt, sync::Arc};

/// Whether a call may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It may.
    Allow,
    /// It may not.
    Deny,
}

impl Effect {
    /// The word that records carry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// Which rule decided, as the path of that rule in the configuration (`keys.ci.allow[0]`) or one of a few fixed words.
/// Made once when the policy is built, so that a decision allocates nothing.
#[derive(Clone)]
pub struct Rule(Text);

#[derive(Clone)]
enum Text {
    Fixed(&'static str),
    Built(Arc<str>),
}

impl Rule {
    pub(crate) const fn fixed(text: &'static str) -> Self {
        Self(Text::Fixed(text))
    }

    pub(crate) fn built(text: String) -> Self {
        Self(Text::Built(text.into()))
    }

    /// The rule's name.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Fixed(text) => text,
            Text::Built(text) => text,
        }
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Rule {}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A decision and its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What was decided.
    pub effect: Effect,
    /// The rule that did.
    pub rule: Rule,
}

impl Decision {
    pub(crate) fn allow(rule: &Rule) -> Self {
        Self { effect: Effect::Allow, rule: rule.clone() }
    }

    pub(crate) fn deny(rule: &Rule) -> Self {
        Self { effect: Effect::Deny, rule: rule.clone() }
    }

    /// Whether the call may go on.
    pub fn is_allowed(&self) -> bool {
        self.effect == Effect::Allow
    }
}

/// A call was refused. The text is for the log, never for the caller: to them a refused name looks like one that
/// does not exist (decision D18).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("refused by `{}`", .0.rule)]
pub struct Denied(pub Decision);
