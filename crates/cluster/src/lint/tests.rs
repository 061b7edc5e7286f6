//! Every rule of the output with a tree that is right and one that breaks it, and breaks no other.

use super::{Finding, RULES, Sources, check};
use crate::{
    inputs::tests::support,
    render::{Rendered, RenderedTree, Templates, render, tests::inputs_of},
};
use portreeve_model::Secret;
use std::collections::BTreeSet;

fn findings(name: &str, break_it: impl Fn(&mut RenderedTree)) -> Vec<Finding> {
    let (values, files) = inputs_of(&support::cluster(name));
    let mut tree = render(&values, &files, &Templates::default()).unwrap();
    break_it(&mut tree);
    let mut found = check(&tree, &values, &files, &Sources::default()).findings;
    // Whoever names no schemas is told so, always.
    assert_eq!(found.iter().filter(|one| one.code == "O-09").count(), 1);
    found.retain(|one| one.code != "O-09");
    found
}

fn edit(tree: &mut RenderedTree, path: &str, from: &str, to: &str) {
    let file = tree.get_mut(path).unwrap_or_else(|| panic!("{path} is not rendered"));
    let text = file.text.expose();
    assert!(text.contains(from), "{path} has no {from}:\n{text}");
    file.text = Secret::new(text.replacen(from, to, 1));
}

#[test]
fn what_is_rendered_breaks_no_rule() {
    for name in support::CLUSTERS {
        assert_eq!(findings(name, |_| ()), [], "{name}");
    }
}

/// A mistake: its code, what is said of it, and the file and the line.
type Mistake = (&'static str, &'static str, &'static str, usize, fn(&mut RenderedTree));

const ECHO: &str = "kubernetes/apps/default/echo/ks.yaml";
const COREDNS: &str = "kubernetes/apps/kube-system/coredns/ks.yaml";
const METRICS: &str = "kubernetes/apps/kube-system/metrics-server/app/helmrelease.yaml";
const RESOURCES: &str = "kubernetes/apps/kube-system/metrics-server/app/kustomization.yaml";

const MISTAKES: &[Mistake] = &[
    ("O-01", "`interval` is there twice", METRICS, 11, |tree| {
        edit(tree, METRICS, "  interval: 1h\n", "  interval: 1h\n  interval: 2h\n");
    }),
    ("O-01", "is there already", RELOADER, 2, |tree| {
        edit(tree, METRICS, "\"metrics-server\"\n", "\"reloader\"\n");
    }),
    ("O-02", "`./absent.yaml` is named and not there", RESOURCES, 2, |tree| {
        edit(tree, RESOURCES, "resources:\n", "resources:\n  - ./absent.yaml\n");
    }),
    ("O-02", "somewhere on the network", RESOURCES, 2, |tree| {
        edit(tree, RESOURCES, "resources:\n", "resources:\n  - https://example.com/all.yaml\n");
    }),
    ("O-03", "nothing names this file", "kubernetes/apps/default/echo/app/more.yaml", 1, |tree| {
        let text = Secret::new("kind: ConfigMap\napiVersion: v1\nmetadata:\n  name: more\n".to_owned());
        let file = Rendered { text, template: String::new(), digest: String::new() };
        tree.insert("kubernetes/apps/default/echo/app/more.yaml".to_owned(), file);
    }),
    ("O-04", "where there is nothing", METRICS_KS, 2, |tree| {
        edit(tree, METRICS_KS, "metrics-server/app\"", "metrics-servant/app\"");
    }),
    ("O-04", "`coredns` waits for `default/cilium`, which never comes", COREDNS, 2, |tree| {
        edit(tree, COREDNS, "namespace: \"kube-system\"", "namespace: \"default\"");
    }),
    ("O-07", "`cloudflare_token` stands in a file", ECHO, 2, |tree| {
        edit(tree, ECHO, "apiVersion:", "# portreeve-fixture-token-minimal-00000000\napiVersion:");
    }),
    ("O-08", "nothing is called `label` here", "kubernetes/apps/default/namespace.yaml", 5, |tree| {
        edit(tree, "kubernetes/apps/default/namespace.yaml", "metadata:\n", "metadata:\n  label: {}\n");
    }),
];

const RELOADER: &str = "kubernetes/apps/kube-system/reloader/app/helmrelease.yaml";
const METRICS_KS: &str = "kubernetes/apps/kube-system/metrics-server/ks.yaml";

#[test]
fn every_mistake_gives_its_code_and_no_other() {
    for (code, what, file, line, break_it) in MISTAKES {
        let found = findings("minimal", break_it);
        let codes: BTreeSet<&str> = found.iter().map(|finding| finding.code).collect();
        // A path that leads nowhere leaves files behind, and a warning may say so.
        let follow = *code == "O-04" && *what == "where there is nothing";
        assert!(codes.contains(code) && (follow || codes.len() == 1), "{code}: {found:#?}");
        let finding = found.iter().find(|finding| finding.code == *code).unwrap();
        assert!(finding.what.contains(what), "{code}: {}", finding.what);
        assert_eq!((finding.file.as_str(), finding.line), (*file, *line), "{code}");
        assert!(!finding.mend.is_empty());
    }
    let tried: BTreeSet<&str> = MISTAKES.iter().map(|(code, ..)| *code).collect();
    let rules = RULES.iter().map(|(code, ..)| *code).filter(|code| *code != "O-09");
    assert_eq!(tried, rules.collect());
}

#[test]
fn the_mend_of_a_wait_names_the_namespace() {
    let found = findings("minimal", |tree| {
        edit(tree, COREDNS, "namespace: \"kube-system\"", "namespace: \"default\"");
    });
    assert_eq!(found[0].mend, "`cilium` is in `kube-system`: set `namespace: kube-system`");
}

#[test]
fn a_secret_is_found_in_every_writing() {
    let secret = r#"it's "a" b#c\d ü"#;
    let (values, files) = inputs_of(&support::cluster("platform"));
    let mut values = values;
    values
        .insert("cloudflare_token".to_owned(), crate::values::Value::Secret(Secret::new(secret.to_owned())));
    for writing in super::leaks::writings(secret) {
        let mut tree = render(&values, &files, &Templates::default()).unwrap();
        let shown = format!("# x{writing}y\napiVersion:");
        edit(&mut tree, ECHO, "apiVersion:", &shown);
        let found = check(&tree, &values, &files, &Sources::default()).findings;
        assert!(found.iter().any(|one| one.code == "O-07" && one.file == ECHO), "{writing}: {found:?}");
    }
}
