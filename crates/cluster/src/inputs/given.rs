//! What the rules see: settings as they stand in the files, under the names that they mean, and all values after defaults and
//! derivation. A value that cannot be used is unknown, and a rule that asks for it gets nothing and says nothing.

use super::{
    files::Files,
    net::Net,
    own::Own,
    problem::{File, Place, Problem},
    read::{self, Patterns, Read, Reader, Table},
    report::Sources,
    table::{self, Default, If, Kind, NODE, Var},
};
use crate::values::{Value, Values, derive};
use portreeve_yaml::{Data, Entry, Limits, Node as Tree};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

/// The inputs.
#[derive(Debug)]
pub(super) struct Given {
    /// Whether `cluster.yaml` could be read at all.
    pub(super) cluster: bool,
    /// Whether `nodes.yaml` could.
    pub(super) nodes_read: bool,
    pub(super) settings: Table,
    /// Settings that stand there without a value.
    pub(super) empty: BTreeMap<&'static str, Place>,
    /// Other spellings, as they stand there.
    pub(super) aliases: Vec<(&'static str, read::Given)>,
    pub(super) nodes: Vec<Node>,
    pub(super) values: Values,
    /// The settings that applications declare.
    pub(super) own: Own,
}

/// One node.
#[derive(Debug)]
pub(super) struct Node {
    /// Where it begins.
    pub(super) place: Place,
    pub(super) fields: Table,
    pub(super) empty: BTreeMap<&'static str, Place>,
}

impl Node {
    pub(super) fn value(&self, field: &str) -> Option<&Value> {
        self.fields.get(field)?.value.as_ref()
    }

    pub(super) fn place(&self, field: &str) -> Place {
        self.fields.get(field).map_or(self.place, |given| given.place)
    }

    /// A switch with its default.
    pub(super) fn on(&self, field: &str) -> bool {
        self.value(field).and_then(Value::flag) == Some(true)
    }

    /// The node as a person recognises it.
    pub(super) fn called(&self, number: usize) -> String {
        match self.value("name").and_then(Value::text) {
            Some(name) => format!("nodes[{number}] \"{name}\""),
            None => format!("nodes[{number}]"),
        }
    }
}

impl Given {
    pub(super) fn read(files: &Files, problems: &mut Vec<Problem>, sources: &mut Sources) -> Self {
        let mut given = Self {
            cluster: false,
            nodes_read: false,
            settings: Table::new(),
            empty: BTreeMap::new(),
            aliases: Vec::new(),
            nodes: Vec::new(),
            values: Values::new(),
            own: files.own().clone(),
        };
        let mut patterns = Patterns::default();
        for file in [File::Cluster, File::Nodes] {
            let Some(tree) = tree(files, file, problems) else { continue };
            let shown = sources.entry(file).or_default();
            keys(&tree, &mut shown.harmless);
            let mut reader = Reader { file, problems, shown, patterns: &mut patterns };
            match file {
                File::Cluster => given.read_cluster(&mut reader, &tree),
                _ => given.read_nodes(&mut reader, &tree),
            }
        }
        given.spell();
        given.derive();
        given
    }

    fn read_cluster(&mut self, reader: &mut Reader<'_>, tree: &Tree) {
        let Some(entries) = reader.entries(tree, "", "settings") else { return };
        let vars: Vec<&'static Var> = table::all().chain(self.own.vars()).collect();
        let Read { given, empty } = reader.table(&entries, &vars, "");
        (self.settings, self.empty, self.cluster) = (given, empty, true);
    }

    fn read_nodes(&mut self, reader: &mut Reader<'_>, tree: &Tree) {
        let Some(entries) = reader.entries(tree, "", "`nodes`") else { return };
        let (known, unknown): (Vec<&Entry>, Vec<&Entry>) =
            entries.into_iter().partition(|entry| entry.key == "nodes");
        for entry in unknown {
            reader.hide(&entry.value);
            let what = format!("`{}` is not a setting of this file", entry.key);
            let problem = Problem::error("V-02", reader.key_place(entry), entry.key.as_str(), what);
            reader
                .problems
                .push(problem.mend("the file has one setting, `nodes`; all others belong into cluster.yaml"));
        }
        let Some(entry) = known.first() else {
            let problem = Problem::error("V-03", Place::whole(File::Nodes), "nodes", "`nodes` is required");
            reader.problems.push(problem.mend("add `nodes:` with one entry for each machine"));
            return;
        };
        let Data::List(items) = &entry.value.data else {
            reader.hide(&entry.value);
            let what = format!("expected a list of nodes, found {}", read::form(&entry.value));
            let problem = Problem::error("V-04", reader.place(&entry.value), "nodes", what);
            reader.problems.push(problem.mend("write lines that begin with `- name: …`"));
            return;
        };
        self.nodes_read = true;
        let vars: Vec<&'static Var> = NODE.iter().collect();
        for (number, item) in items.iter().enumerate() {
            let path = format!("nodes[{number}]");
            let Some(entries) = reader.entries(item, &path, "a node") else {
                self.nodes_read = false;
                continue;
            };
            let Read { given: fields, empty } = reader.table(&entries, &vars, &path);
            self.nodes.push(Node { place: reader.place(item), fields, empty });
        }
    }

    /// Puts other spellings under the names that they mean; what was given under both stays for the rule that compares them.
    fn spell(&mut self) {
        for var in table::all() {
            let Kind::Alias(meant) = var.kind else { continue };
            if let Some(place) = self.empty.get(var.name).copied() {
                self.empty.entry(meant).or_insert(place);
            }
            let Some(given) = self.settings.remove(var.name) else { continue };
            self.settings.entry(meant).or_insert_with(|| given.clone());
            self.aliases.push((meant, given));
        }
        if let Some(given) = self.settings.remove("cloudflare_domain") {
            self.settings.entry("cloudflare_domains").or_insert_with(|| given.clone());
            self.aliases.push(("cloudflare_domains", given));
        }
    }

    fn derive(&mut self) {
        let mut unknown = BTreeSet::new();
        let all = table::all().chain(self.own.vars());
        for var in all.filter(|var| !matches!(var.kind, Kind::Alias(_))) {
            match self.settings.get(var.name) {
                Some(given) => match &given.value {
                    Some(value) => drop(self.values.insert(var.name.to_owned(), value.clone())),
                    None => drop(unknown.insert(var.name)),
                },
                None if self.cluster => {
                    self.values.extend(default(var).map(|value| (var.name.to_owned(), value)));
                }
                None => drop(unknown.insert(var.name)),
            }
        }
        if self.nodes_read {
            let nodes = self.nodes.iter().map(|node| {
                let field = |var: &Var| {
                    let value = node.value(var.name).cloned().or_else(|| default(var));
                    (var.name.to_owned(), value.unwrap_or(Value::Unset))
                };
                Value::Map(NODE.iter().map(field).collect())
            });
            self.values.insert("nodes".to_owned(), Value::List(nodes.collect()));
        }
        derive(&mut self.values, &unknown);
    }

    /// Whether a setting stands in the file, usable or not.
    pub(super) fn has(&self, name: &str) -> bool {
        self.settings.contains_key(name)
    }

    /// Where a setting stands; one that does not, is missing in the file as a whole.
    pub(super) fn place(&self, name: &str) -> Place {
        let empty = || self.empty.get(name).copied();
        self.settings.get(name).map(|given| given.place).or_else(empty).unwrap_or(Place::whole(File::Cluster))
    }

    /// The name of a setting as it is spelled in the file.
    pub(super) fn spelled<'a>(&self, name: &'a str) -> &'a str {
        self.settings.get(name).map_or(name, |given| given.name)
    }

    /// A value after defaults and derivation; nothing, if it is unknown or not set.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name).filter(|value| value.is_set())
    }

    /// Whether it is known that a setting has no value.
    pub(super) fn unset(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|value| !value.is_set())
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.value(name)?.text()
    }

    pub(super) fn int(&self, name: &str) -> Option<i64> {
        match self.value(name)? {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.value(name)?.flag()
    }

    /// Whether a switch is known to be on.
    pub(super) fn on(&self, name: &str) -> bool {
        self.flag(name) == Some(true)
    }

    pub(super) fn ip(&self, name: &str) -> Option<Ipv4Addr> {
        self.text(name)?.parse().ok()
    }

    pub(super) fn net(&self, name: &str) -> Option<Net> {
        Net::parse(self.text(name)?).ok()
    }

    /// Whether a condition holds, as far as is known.
    pub(super) fn holds(&self, condition: &If) -> bool {
        match condition {
            If::On(name) => self.on(name),
            If::Given(name) => self.has(name),
            If::Is(name, word) => self.text(name) == Some(word),
            If::All(all) => all.iter().all(|one| self.holds(one)),
        }
    }
}

/// The tree of a file of settings.
fn tree(files: &Files, file: File, problems: &mut Vec<Problem>) -> Option<Tree> {
    let Some(text) = files.get(file) else {
        let what = format!("`{}` is missing", file.name());
        let problem = Problem::error("V-01", Place::whole(file), "", what);
        problems
            .push(problem.mend("run the command in the directory of the cluster, or name that directory"));
        return None;
    };
    match portreeve_yaml::parse_within(text.text.expose(), Limits::LONG) {
        Ok(tree) if matches!(tree.data, Data::Empty) => {
            problems.push(
                Problem::error("V-01", Place::whole(file), "", "the file is empty")
                    .mend("write `name: value` lines"),
            );
            None
        }
        Ok(tree) => Some(tree),
        Err(error) => {
            // The line itself may hold a secret, and nobody knows where it begins.
            let place = Place { file, mark: error.mark, length: 0 };
            let line = text.text.expose().lines().nth(error.mark.line.saturating_sub(1)).unwrap_or_default();
            let mend = if line.trim_start_matches(' ').starts_with('\t') {
                "indent with spaces; YAML takes no tabs"
            } else {
                "look at this line and the one before: a quote, a colon or the indentation"
            };
            problems.push(Problem::error("V-01", place, "", error.what).mend(mend));
            None
        }
    }
}

/// Where the names of a tree stand.
fn keys(tree: &Tree, out: &mut Vec<std::ops::Range<usize>>) {
    match &tree.data {
        Data::Empty | Data::Scalar(_) => {}
        Data::List(items) => items.iter().for_each(|item| keys(item, out)),
        Data::Map(entries) => {
            for entry in entries {
                out.push(entry.start..entry.start + entry.key.chars().count());
                keys(&entry.value, out);
            }
        }
    }
}

/// The value of a setting that is left out; nothing, if it follows from others.
fn default(var: &Var) -> Option<Value> {
    let text = |text: &&str| Value::Text((*text).to_owned());
    Some(match var.default {
        Default::None => Value::Unset,
        Default::Flag(flag) => Value::Bool(flag),
        Default::Int(number) => Value::Int(number),
        Default::Text(value) => text(&value),
        Default::Texts(values) => Value::List(values.iter().map(text).collect()),
        Default::Computed(_) => return None,
    })
}
