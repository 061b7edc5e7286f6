//! What the rules of the output say of trees that are right and of some that are not; each rule with a tree that breaks it and no other
//! is in `configure/tests/codes.rs`.

use super::{Finding, Sources, check};
use crate::{
    inputs::tests::support,
    render::{RenderedTree, Templates, render, tests::inputs_of},
};
use portreeve_model::Secret;

fn findings(name: &str, break_it: impl Fn(&mut RenderedTree)) -> Vec<Finding> {
    let (values, files) = inputs_of(&support::cluster(name));
    let mut tree = render(&values, &files, &Templates::default()).unwrap();
    break_it(&mut tree);
    let mut found = check(&tree, &values, &files, &Templates::default(), &Sources::default()).findings;
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

const ECHO: &str = "kubernetes/apps/default/echo/ks.yaml";
const COREDNS: &str = "kubernetes/apps/kube-system/coredns/ks.yaml";

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
        let found = check(&tree, &values, &files, &Templates::default(), &Sources::default()).findings;
        assert!(found.iter().any(|one| one.code == "O-07" && one.file == ECHO), "{writing}: {found:?}");
    }
}
