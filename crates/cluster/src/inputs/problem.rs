//! What can be wrong with the inputs: the codes with their severities, and one finding with its places. A finding never holds
//! the value of a secret; how a finding is shown is `report`'s business.

use portreeve_yaml::Mark;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing is rendered.
    Error,
    /// Allowed, and probably not meant.
    Warning,
}

impl Level {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its code.
    pub code: &'static str,
    /// The levels that its findings can have.
    pub levels: &'static [Level],
    /// What it asks for, without a dot at the end.
    pub title: &'static str,
}

const ERROR: &[Level] = &[Level::Error];
const WARNING: &[Level] = &[Level::Warning];
const EITHER: &[Level] = &[Level::Error, Level::Warning];

const fn rule(code: &'static str, levels: &'static [Level], title: &'static str) -> Rule {
    Rule { code, levels, title }
}

/// All rules of the inputs.
pub const RULES: &[Rule] = &[
    rule("V-01", ERROR, "A file is YAML that can be read, with names and values, none twice"),
    rule("V-02", ERROR, "Every name is that of a setting"),
    rule("V-03", ERROR, "What every cluster needs is there"),
    rule("V-04", ERROR, "A value is of its kind, form and range"),
    rule("V-05", ERROR, "A network is written by its first address"),
    rule("V-06", ERROR, "The networks of nodes, pods and services do not overlap"),
    rule("V-07", ERROR, "No address is used twice"),
    rule("V-08", ERROR, "An address lies in its network and is not its first or last one"),
    rule("V-09", ERROR, "BGP is set up whole or not at all"),
    rule("V-10", ERROR, "What is good only as a pair is given as a pair"),
    rule("V-11", ERROR, "Single sign-on and the MCP gateway have Keycloak"),
    rule("V-12", ERROR, "What is switched on has what it needs"),
    rule("V-13", EITHER, "A storage class is made by somebody"),
    rule("V-14", ERROR, "What obot stands on is switched on"),
    rule("V-15", ERROR, "More than one obot has files that more than one can use"),
    rule("V-16", ERROR, "What is promised is at most what is allowed"),
    rule("V-17", EITHER, "A secret has the form that its reader expects"),
    rule("V-18", WARNING, "A secret is no placeholder"),
    rule("V-19", ERROR, "A node's name, network card and image can be those of a node"),
    rule("V-20", EITHER, "A value without quotes means the same to every reader"),
    rule("V-21", ERROR, "No two nodes share name, network card or machine"),
    rule("V-22", ERROR, "There is a node that workloads may run on"),
    rule("V-23", WARNING, "There are as many nodes as pods that need one each"),
    rule("V-24", ERROR, "What follows from other settings is not set"),
    rule("V-25", ERROR, "The files beside the settings are there and whole"),
    rule("V-26", EITHER, "The age key can be used, and only its owner can read it"),
    rule("V-27", ERROR, "Two spellings of one setting say the same"),
    rule("V-28", ERROR, "What is about BGP stands beside BGP"),
    rule("V-29", ERROR, "A peer is asked three times before it is taken for gone"),
    rule("V-30", ERROR, "Gateways lie in the pool, and the pool in no other network"),
    rule("V-31", ERROR, "Nodes are in the region of the storage driver"),
    rule("V-32", ERROR, "The cookie of single sign-on reaches every protected host"),
    rule("V-33", ERROR, "A team belongs to an organisation"),
    rule("V-34", ERROR, "No two applications share a host name"),
    rule("V-35", ERROR, "There is a control plane"),
    rule("V-36", WARNING, "The number of control planes is odd"),
    rule("V-37", WARNING, "The two numbers of BGP differ"),
    rule("V-38", WARNING, "An encrypted disk belongs to a machine that starts signed images only"),
    rule("V-39", ERROR, "pgvector has Kubernetes 1.35 and PostgreSQL 18"),
    rule("V-40", ERROR, "Backups of PostgreSQL have their plugin"),
    rule("W-01", WARNING, "A setting that is empty is left out"),
    rule("W-02", WARNING, "Nothing is rendered from this family yet"),
    rule("W-03", WARNING, "A setting has no effect"),
];

/// One of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum File {
    /// `age.key`.
    Age,
    /// `cloudflare-tunnel.json`.
    Tunnel,
    /// `cluster.yaml`.
    Cluster,
    /// `github-deploy.key`.
    DeployKey,
    /// `github-push-token.txt`.
    PushToken,
    /// `nodes.yaml`.
    Nodes,
}

impl File {
    /// All, in the order of findings.
    pub const ALL: [Self; 6] =
        [Self::Age, Self::Tunnel, Self::Cluster, Self::DeployKey, Self::PushToken, Self::Nodes];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Age => "age.key",
            Self::Tunnel => "cloudflare-tunnel.json",
            Self::Cluster => "cluster.yaml",
            Self::DeployKey => "github-deploy.key",
            Self::PushToken => "github-push-token.txt",
            Self::Nodes => "nodes.yaml",
        }
    }
}

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: File,
    /// Line and column.
    pub mark: Mark,
    /// How many characters it takes; 0 points at the file as a whole.
    pub length: usize,
}

impl Place {
    /// A file as a whole.
    pub fn whole(file: File) -> Self {
        Self { file, mark: Mark { line: 1, column: 1 }, length: 0 }
    }
}

/// Something that is wrong.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Which rule it breaks.
    pub code: &'static str,
    /// How bad it is.
    pub level: Level,
    /// Where.
    pub place: Place,
    /// The setting, such as `node_cidr` or `nodes[0].name`; empty for a file as a whole.
    pub key: String,
    /// What is wrong, in one line.
    pub what: String,
    /// What stands at the place, in a few words; may be empty.
    pub label: String,
    /// The other places, with what stands there.
    pub others: Vec<(Place, String)>,
    /// How to mend it.
    pub mend: String,
}

impl Problem {
    /// An error.
    pub(crate) fn error(
        code: &'static str,
        place: Place,
        key: impl Into<String>,
        what: impl Into<String>,
    ) -> Self {
        Self::new(Level::Error, code, place, key.into(), what.into())
    }

    /// A warning.
    pub(crate) fn warning(
        code: &'static str,
        place: Place,
        key: impl Into<String>,
        what: impl Into<String>,
    ) -> Self {
        Self::new(Level::Warning, code, place, key.into(), what.into())
    }

    fn new(level: Level, code: &'static str, place: Place, key: String, what: String) -> Self {
        debug_assert!(
            RULES.iter().any(|rule| rule.code == code && rule.levels.contains(&level)),
            "the table of rules has no {code} of this level"
        );
        Self { code, level, place, key, what, label: String::new(), others: Vec::new(), mend: String::new() }
    }

    /// With how to mend it.
    pub(crate) fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = mend.into();
        self
    }

    /// With what stands at the place.
    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// With another place.
    pub(crate) fn other(mut self, place: Place, what: impl Into<String>) -> Self {
        self.others.push((place, what.into()));
        self
    }
}
