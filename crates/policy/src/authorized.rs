//! The proof that a call was decided. Only this crate makes an [`Authorized`], and whatever sends to a server takes
//! one by value, so traffic that nobody decided does not compile.

use crate::{Call, Decision, Denied, Kind, Policy, decide};
use portreeve_model::{Principal, ServerName};
use sha2::{Digest, Sha256};
use std::{fmt, sync::Arc};

/// The digest of the parameters that were decided on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ParamsDigest([u8; 32]);

impl ParamsDigest {
    /// SHA-256 of the raw parameters, byte for byte as they go out.
    pub fn of(params: &[u8]) -> Self {
        Self(Sha256::digest(params).into())
    }

    /// The digest's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ParamsDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ParamsDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a call aims at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The server.
    pub server: ServerName,
    /// What sort of thing of that server.
    pub kind: Kind,
    /// Its name there: a tool, a prompt, a URI, a URI template or a method.
    pub name: Arc<str>,
    /// The parameters that were decided on.
    pub digest: ParamsDigest,
}

/// Why the gateway itself talks to a server. A closed list: each reason has its closed list of methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SystemReason {
    /// To read the lists that callers see parts of.
    Catalogue,
    /// To learn of changes.
    Watch,
    /// To find out the server's era and whether it lives.
    Probe,
    /// To learn what the server can do.
    Discover,
}

impl SystemReason {
    /// All reasons.
    pub const ALL: [Self; 4] = [Self::Catalogue, Self::Watch, Self::Probe, Self::Discover];

    /// Whether this reason covers a method. None of them ever covers one that runs or reads something of the server's.
    pub fn permits(self, method: &str) -> bool {
        let methods: &[&str] = match self {
            Self::Catalogue => &["tools/list", "prompts/list", "resources/list", "resources/templates/list"],
            Self::Watch => &["subscriptions/listen", "resources/subscribe", "resources/unsubscribe"],
            Self::Probe => &["server/discover", "initialize", "notifications/initialized", "ping"],
            Self::Discover => &["server/discover", "initialize", "notifications/initialized"],
        };
        methods.contains(&method)
    }

    /// The word that logs and records carry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Catalogue => "catalogue",
            Self::Watch => "watch",
            Self::Probe => "probe",
            Self::Discover => "discover",
        }
    }
}

/// Something that may be done, once: not `Clone`, and only [`authorize`] and [`Authorized::system`] make one.
#[derive(Debug)]
#[must_use = "an authorisation is only worth something to the one who forwards the call"]
pub struct Authorized<T> {
    target: T,
    origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Caller,
    System(SystemReason),
}

impl Authorized<Target> {
    /// The gateway's own traffic. What may be sent with it is what [`SystemReason::permits`].
    pub fn system(reason: SystemReason, server: ServerName) -> Self {
        let target = Target {
            server,
            kind: Kind::Method,
            name: reason.as_str().into(),
            digest: ParamsDigest::of(b""),
        };
        Self { target, origin: Origin::System(reason) }
    }

    /// Whether a message of this method is within what was authorised.
    pub fn permits(&self, method: &str) -> bool {
        match (self.origin, self.target.kind) {
            (Origin::System(reason), _) => reason.permits(method),
            (Origin::Caller, Kind::Method) => *self.target.name == *method,
            (Origin::Caller, kind) => kind.methods().contains(&method),
        }
    }

    /// Whether these are the parameters that were decided on. The gateway's own traffic has none to be held to.
    pub fn covers(&self, params: &[u8]) -> bool {
        self.reason().is_some() || self.target.digest == ParamsDigest::of(params)
    }

    /// Why the gateway talks on its own account; `None` for a caller's call.
    pub fn reason(&self) -> Option<SystemReason> {
        match self.origin {
            Origin::Caller => None,
            Origin::System(reason) => Some(reason),
        }
    }
}

impl<T> Authorized<T> {
    /// What was authorised.
    pub fn target(&self) -> &T {
        &self.target
    }

    /// Spends the authorisation.
    pub fn into_target(self) -> T {
        self.target
    }
}

/// Decides, and hands out the proof. `arguments` are the raw JSON arguments, for rules that read them.
pub fn authorize(
    policy: &Policy,
    principal: &Principal,
    target: Target,
    arguments: Option<&[u8]>,
) -> Result<(Authorized<Target>, Decision), Denied> {
    let call = Call { server: &target.server, kind: target.kind, name: &target.name, arguments };
    let decision = decide(policy, principal, &call);
    if decision.is_allowed() {
        Ok((Authorized { target, origin: Origin::Caller }, decision))
    } else {
        Err(Denied(decision))
    }
}
