//! The configured servers, and the one place that sends anything to one: [`forward`] takes an [`Authorized`] by value,
//! which only `policy` makes. The services themselves are private to this file.

use crate::{
    aggregate::Together,
    catalogue::Catalogue,
    hub::{Hub, Whose},
};
use futures_core::{future::BoxFuture, stream::BoxStream};
use portreeve_mcp::{
    Ctx, Era, Leg, RawJson, Request, Service, Text, Version,
    service::{
        CredentialSource, Description, Failure, FailureKind, Notification, Standing, TakeUp, Watch,
        WatchFilter,
    },
};
use portreeve_model::{IsolationKey, Principal, ServerName, UpstreamCredential};
use portreeve_policy::{Authorized, SystemReason, Target};
use std::{
    ops::Deref,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio_util::sync::DropGuard;

static SHARED: LazyLock<IsolationKey> = LazyLock::new(|| IsolationKey::new("shared"));

/// Which calls may share an upstream session (decision D11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// All.
    Shared,
    /// Those of one principal.
    Principal,
    /// Those of one client session; requests without one count as their principal's.
    Session,
}

/// What of a client's abilities a server is told of (decision D5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Elicitation.
    pub elicitation: bool,
    /// Sampling.
    pub sampling: bool,
    /// Roots.
    pub roots: bool,
}

impl Default for Offer {
    fn default() -> Self {
        Self { elicitation: true, sampling: true, roots: true }
    }
}

/// How to make a [`Server`].
pub struct ServerSetup {
    /// Its name.
    pub name: ServerName,
    /// What carries it.
    pub service: Arc<dyn Service>,
    /// Who shares its sessions.
    pub isolation: Isolation,
    /// What it may ask.
    pub offer: Offer,
    /// Roots answered from the configuration, as a `ListRootsResult`.
    pub roots: Option<RawJson>,
    /// What to present to it.
    pub credential: Option<UpstreamCredential>,
    /// Who may have a fresher one when it is refused.
    pub renewal: Option<Arc<dyn CredentialSource>>,
    /// Which eras the door to it serves.
    pub eras: Eras,
    /// Whether a call that waits for answers holds one of a few child processes for itself.
    pub holds_children: bool,
    /// Ends what carries it, when nobody needs it any more.
    pub ends: DropGuard,
}

/// Which eras a door serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Eras {
    /// Both.
    #[default]
    Both,
    /// Only one.
    Only(Era),
}

impl Eras {
    /// Whether this era is served.
    pub fn serves(self, era: Era) -> bool {
        match self {
            Self::Both => true,
            Self::Only(only) => only == era,
        }
    }
}

/// What an address leads to: one server, or all of them together.
pub struct Server {
    /// What everything that is sealed at this address is bound to: the same server at another address is another one.
    door: ServerName,
    /// What it is made of, if it is the address of all servers.
    together: Option<Box<Together>>,
    core: Arc<Core>,
}

/// One configured server, whatever address it is reached at.
pub struct Core {
    name: ServerName,
    service: Arc<dyn Service>,
    pub(crate) isolation: Isolation,
    pub(crate) offer: Offer,
    pub(crate) roots: Option<RawJson>,
    credential: Option<UpstreamCredential>,
    renewal: Option<Arc<dyn CredentialSource>>,
    pub(crate) eras: Eras,
    pub(crate) holds_children: bool,
    pub(crate) catalogue: Catalogue,
    pub(crate) hub: Hub,
    under_way: AtomicUsize,
    /// Calls hold the server that they began with: the last of them ends it, if it is not served any more.
    _ends: Option<DropGuard>,
}

/// One call of a server, for as long as anybody deals with it.
pub(crate) struct UnderWay(Arc<Core>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Deref for Server {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}

impl Server {
    pub(crate) fn new(setup: ServerSetup, hub: Hub) -> Arc<Self> {
        let core = Core {
            name: setup.name,
            service: setup.service,
            isolation: setup.isolation,
            offer: setup.offer,
            roots: setup.roots,
            credential: setup.credential,
            renewal: setup.renewal,
            eras: setup.eras,
            holds_children: setup.holds_children,
            catalogue: Catalogue::default(),
            hub,
            under_way: AtomicUsize::new(0),
            _ends: Some(setup.ends),
        };
        Arc::new(Self { door: core.name.clone(), together: None, core: Arc::new(core) })
    }

    /// All of these together, under an address of their own.
    pub(crate) fn all<'a>(
        servers: impl Iterator<Item = &'a Arc<Self>>,
        eras: Eras,
        name_length: usize,
        hub: Hub,
    ) -> Arc<Self> {
        let door = ServerName::aggregate();
        let members = servers
            .map(|server| Arc::new(Self { door: door.clone(), together: None, core: server.core.clone() }));
        let together = Some(Box::new(Together::new(members.collect(), name_length)));
        let core = Core {
            name: door.clone(),
            service: Arc::new(Several),
            isolation: Isolation::Principal,
            offer: Offer::default(),
            roots: None,
            credential: None,
            renewal: None,
            eras,
            holds_children: false,
            catalogue: Catalogue::default(),
            hub,
            under_way: AtomicUsize::new(0),
            _ends: None,
        };
        Arc::new(Self { door, together, core: Arc::new(core) })
    }

    /// What is sealed at this address is bound to this.
    pub fn door(&self) -> &ServerName {
        &self.door
    }

    /// A call of it begins.
    pub(crate) fn begin(&self) -> UnderWay {
        self.core.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.core.clone())
    }

    /// Whether it is reached through the address of all servers.
    pub(crate) fn is_member(&self) -> bool {
        self.door != self.core.name
    }

    /// Whether two addresses of several servers lead to the same ones, under the same names.
    pub(crate) fn has_the_members_of(&self, other: &Self) -> bool {
        let cores = |server: &Self| {
            server.members().iter().map(|member| Arc::as_ptr(&member.core)).collect::<Vec<_>>()
        };
        let length = |server: &Self| server.together().map(Together::name_length);
        cores(self) == cores(other) && length(self) == length(other)
    }

    /// What the address of all servers is made of.
    pub(crate) fn together(&self) -> Option<&Together> {
        self.together.as_deref()
    }

    /// The servers of the aggregate; none for a single server.
    pub(crate) fn members(&self) -> &[Arc<Self>] {
        self.together().map_or(&[], Together::members)
    }

    /// Watches the server, or all servers together; only its hub does.
    pub(crate) fn watch(self: &Arc<Self>, whose: &Whose, filter: WatchFilter) -> Watch {
        match &whose.circle {
            Some(circle) => circle.watch(self, &whose.capabilities, filter),
            None => self.core.watch(whose, filter),
        }
    }
}

impl Core {
    /// Its name.
    pub fn name(&self) -> &ServerName {
        &self.name
    }

    /// What carries its messages, as far as that is known.
    pub fn transport(&self) -> Option<&'static str> {
        self.service.transport()
    }

    /// How it stands at the moment.
    pub fn standing(&self) -> Standing {
        self.service.standing()
    }

    /// How many calls of it have not ended, those that wait for a person included.
    pub fn calls_under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// What the server is, or why that cannot be said, in words for whoever runs the gate.
    pub async fn examine(&self, principal: &Principal) -> Result<Arc<Description>, Failure> {
        self.describe(self.isolation_key(principal, None), Version::NEWEST).await
    }

    /// Which eras its door serves.
    pub fn eras(&self) -> Eras {
        self.eras
    }

    pub(crate) fn credential(&self) -> Option<UpstreamCredential> {
        self.credential.clone()
    }

    /// Whose sessions and private lists a request may share.
    pub(crate) fn isolation_key(&self, principal: &Principal, session: Option<&str>) -> IsolationKey {
        match (self.isolation, session) {
            (Isolation::Shared, _) => SHARED.clone(),
            (Isolation::Session, Some(session)) => {
                IsolationKey::new(&format!("{}#{session}", principal.id()))
            }
            (Isolation::Principal | Isolation::Session, _) => IsolationKey::from(principal.id()),
        }
    }

    pub(crate) fn system_ctx(&self, isolation: IsolationKey) -> Ctx {
        let mut ctx = Ctx::system(isolation, self.credential());
        ctx.renewal.clone_from(&self.renewal);
        ctx
    }

    /// What the server is, to a caller of this revision: one that is native in both eras differs.
    pub(crate) async fn describe(
        &self,
        isolation: IsolationKey,
        version: Version,
    ) -> Result<Arc<Description>, Failure> {
        let mut ctx = self.system_ctx(isolation);
        ctx.version = version;
        self.service.describe(ctx).await
    }

    pub(crate) async fn notify(&self, ctx: Ctx, notification: Notification) {
        self.service.notify(ctx, notification).await;
    }

    /// Ids of pages that the server says are done.
    pub(crate) fn completed(&self) -> BoxStream<'static, Text> {
        self.service.completed()
    }

    fn watch(&self, whose: &Whose, filter: WatchFilter) -> Watch {
        let proof = Authorized::system(SystemReason::Watch, self.name.clone());
        debug_assert!(proof.permits("subscriptions/listen"));
        let mut ctx = self.system_ctx(whose.isolation.clone());
        ctx.capabilities = whose.capabilities.clone();
        self.service.watch(ctx, filter)
    }
}

/// Sends a request to the server that it was authorised for. The only way there.
pub(crate) fn forward(proof: Authorized<Target>, server: &Server, ctx: Ctx, request: Request) -> Leg {
    let permitted = proof.permits(request.method.as_str());
    // Spent here: one proof, one message.
    if proof.into_target().server != server.name || !permitted {
        return misdirected();
    }
    server.service.open(ctx, request)
}

/// Takes up a call that the server keeps, for whoever may make that call. Nothing is run anew.
pub(crate) fn take_up(proof: Authorized<Target>, server: &Server, ctx: Ctx, call: TakeUp) -> Leg {
    let fits = proof.into_target().server == server.name;
    if fits { server.service.resume(ctx, call) } else { misdirected() }
}

/// Unreachable by construction; if it ever is not, nothing leaves.
fn misdirected() -> Leg {
    portreeve_mcp::service::generate(|_| async {
        portreeve_mcp::Event::failed(FailureKind::Protocol, "authorised for something else")
    })
}

/// Stands where the aggregate has no server of its own: every request to it is one to a member.
struct Several;

impl Service for Several {
    fn describe(&self, _: Ctx) -> BoxFuture<'_, Result<Arc<Description>, Failure>> {
        // What they are together depends on who asks; what is told outside calls is nothing.
        let (capabilities, version) = (RawJson::EMPTY_OBJECT, Version::NEWEST);
        let nothing = Description { era: None, version, capabilities, server_info: None, instructions: None };
        Box::pin(std::future::ready(Ok(Arc::new(nothing))))
    }

    fn open(&self, _: Ctx, _: Request) -> Leg {
        misdirected()
    }

    fn notify(&self, _: Ctx, _: Notification) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn watch(&self, _: Ctx, _: WatchFilter) -> Watch {
        Box::pin(futures_util::stream::pending())
    }
}
