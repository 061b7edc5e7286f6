//! The three verdicts: by what the API server knows, by definitions in a tree and in directories, and where there is none.

use super::{Sources, Verdicts, replaced};
use crate::{
    inputs::tests::support,
    lint::{self, Checked},
    render::{Rendered, RenderedTree, Templates, tests::inputs_of},
};
use portreeve_model::Secret;
use std::{fs, path::Path};

const DEFINITION: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ships.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Ship, plural: ships}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          required: [spec]
          properties:
            spec:
              type: object
              required: [draught]
              properties:
                draught: {x-kubernetes-int-or-string: true}
                berth: {type: string, nullable: true, enum: [east, west]}
                cargo: {type: object, x-kubernetes-preserve-unknown-fields: true, properties: {grain: {type: integer}}}
                crew: {type: object, additionalProperties: {type: array, items: {type: object, properties: {name: {type: string}}}}}
"#;

fn file(text: &str) -> Rendered {
    Rendered { text: Secret::new(text.to_owned()), template: "own.yaml".to_owned(), digest: String::new() }
}

/// What is found of these files alone; that nothing names them is another rule's business.
fn checked(files: &[&str], sources: &Sources) -> Checked {
    let (values, inputs) = inputs_of(&support::cluster("minimal"));
    let tree: RenderedTree =
        files.iter().enumerate().map(|(n, text)| (format!("kubernetes/{n}.yaml"), file(text))).collect();
    let mut checked = lint::check(&tree, &values, &inputs, &Templates::default(), sources);
    checked.findings.retain(|finding| finding.code != "O-03");
    checked
}

fn said(files: &[&str]) -> Vec<(usize, String, String)> {
    let found = checked(files, &Sources::default()).findings;
    assert!(found.iter().all(|one| one.code == "O-08"), "{found:#?}");
    found.into_iter().map(|one| (one.spot.line, one.what, one.mend)).collect()
}

const SHIP: &str = "apiVersion: example.com/v1\nkind: Ship\nmetadata: {name: ursula}\n";

#[test]
fn what_a_definition_allows_is_valid() {
    for spec in [
        "{draught: 4}",
        "{draught: 4m, berth: ~}",
        "{draught: \"${SECRET_DOMAIN}\", berth: east}",
        "{draught: 1, cargo: {grain: 1, anything: [x]}}",
        "{draught: 1, crew: {deck: [{name: x}]}}",
    ] {
        let ship = format!("{SHIP}spec: {spec}\n");
        let checked = checked(&[DEFINITION, &ship], &Sources::default());
        assert_eq!(
            checked.verdicts,
            Verdicts { valid: 2, invalid: 0, unchecked: 0 },
            "{:#?}",
            checked.findings
        );
        assert_eq!(checked.findings, []);
    }
}

#[test]
fn what_a_definition_does_not_allow_is_named() {
    for (spec, line, what, mend) in [
        (
            "\n  draught: 1\n  birth: east\n",
            6,
            "Ship `ursula` at `/spec`: nothing is called `birth` here",
            "did you mean `berth`?",
        ),
        ("\n  berth: east\n", 4, "\"draught\" is a required property", "see `spec` in the reference of Ship"),
        ("\n  draught: []\n", 5, "value is not of types", "see `spec.draught`"),
        ("\n  draught: 1\n  berth: south\n", 6, "value is not", "see `spec.berth`"),
        (
            "\n  draught: 1\n  crew:\n    deck:\n      - nam: x\n",
            8,
            "nothing is called `nam` here",
            "did you mean `name`?",
        ),
    ] {
        let found = said(&[DEFINITION, &format!("{SHIP}spec:{spec}")]);
        let [(at, told, mended)] = &found[..] else { panic!("{spec}: {found:#?}") };
        assert!(*at == line && told.contains(what) && mended.contains(mend), "{spec}: {found:#?}");
    }
}

#[test]
fn the_kinds_of_the_core_are_known() {
    let quantity = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q}\nspec: {hard: {pods: 4, cpu: 500m, memory: 0.5}}\n";
    assert_eq!(said(&[quantity]), []);
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec:\n  ports:\n    - prot: 80\n      port: x\n";
    let found = said(&[service]);
    assert_eq!(found.len(), 2, "{found:#?}");
    let unknown = found
        .iter()
        .any(|(line, what, mend)| *line == 6 && what.contains("`prot`") && mend.contains("`port`"));
    assert!(unknown, "{found:#?}");
    assert!(
        found.iter().any(|(line, what, _)| *line == 7 && what.contains("/spec/ports/0/port")),
        "{found:#?}"
    );
}

#[test]
fn a_kustomization_is_checked_as_well() {
    let text = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n";
    let right = "patches:\n  - target: {kind: Service}\n    patch: x\nlabels: [{pairs: {a: b}}]\nsecretGenerator: [{name: a, files: [b]}]\n";
    let checked = checked(&[&format!("{text}{right}")], &Sources::default());
    assert_eq!(checked.verdicts, Verdicts { valid: 1, invalid: 0, unchecked: 0 }, "{:#?}", checked.findings);
    let found = said(&[&format!("{text}patches:\n  - target: {{kid: Service}}\nresource: []\n")]);
    let mends: Vec<&str> = found.iter().map(|(_, _, mend)| mend.as_str()).collect();
    assert_eq!(mends, ["did you mean `kind`?", "did you mean `resources`?"], "{found:#?}");
}

#[test]
fn a_value_that_is_wrong_is_not_shown() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  token: 48151623\n";
    let found = said(&[secret]);
    assert!(found.len() == 1 && !format!("{found:?}").contains("48151623"), "{found:#?}");
}

#[test]
fn without_a_schema_nothing_is_called_valid() {
    let checked = checked(&[&format!("{SHIP}spec: {{}}\n")], &Sources::default());
    assert_eq!(checked.verdicts, Verdicts { valid: 0, invalid: 0, unchecked: 1 });
    let [finding] = &checked.findings[..] else { panic!("{:#?}", checked.findings) };
    assert_eq!(finding.code, "O-09");
    assert_eq!(finding.what, "1 of 1 objects are unchecked: there is no schema of Ship (example.com/v1)");
}

#[test]
fn schemas_come_from_directories_and_from_beside_the_cluster() {
    let ship = format!("{SHIP}spec: {{}}\n");
    let catalogue = r#"{"type": "object", "properties": {"spec": {"type": "object", "properties": {}}}}"#;
    let place = tempfile::tempdir().unwrap();
    let invalid = |cluster: &Path, named: &[std::path::PathBuf]| {
        checked(&[&ship], &Sources::open(cluster, named).unwrap()).verdicts
    };
    let own = place.path().join("definitions");
    fs::create_dir_all(own.join("deep")).unwrap();
    fs::write(own.join("deep/ship.yaml"), DEFINITION).unwrap();
    let wrong = Verdicts { valid: 0, invalid: 1, unchecked: 0 };
    assert_eq!(invalid(place.path(), std::slice::from_ref(&own)), wrong);
    let list: String = DEFINITION.trim().lines().map(|line| format!("    {line}\n")).collect();
    let list = format!("apiVersion: v1\nkind: List\nitems:\n  -\n{list}");
    fs::write(own.join("deep/ship.yaml"), list).unwrap();
    assert_eq!(invalid(place.path(), std::slice::from_ref(&own)), wrong);
    let kept = place.path().join(super::KEPT).join("example.com");
    fs::create_dir_all(&kept).unwrap();
    fs::write(kept.join("ship_v1.json"), catalogue).unwrap();
    assert_eq!(invalid(place.path(), &[]), Verdicts { valid: 1, invalid: 0, unchecked: 0 });
    assert!(Sources::open(place.path(), &[place.path().join("absent")]).is_err());
}

/// Third-party definitions lie beside the repository and are only read.
#[test]
fn every_object_is_valid_by_the_definitions_of_its_makers() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    if !shared.is_dir() {
        eprintln!("SKIPPED: {} is not there", shared.display());
        return;
    }
    for named in ["fixtures/crds", "schemas/crds"] {
        let sources = Sources::open(Path::new("absent"), &[shared.join(named)]).unwrap();
        for name in support::CLUSTERS {
            let (values, files) = inputs_of(&support::cluster(name));
            let tree = crate::render::render(&values, &files, &crate::render::Templates::default()).unwrap();
            let checked = lint::check(&tree, &values, &files, &Templates::default(), &sources);
            eprintln!("{named} {name}: {:?}", checked.verdicts);
            assert!(checked.findings.is_empty(), "{named} {name}: {:#?}", checked.findings);
            assert!(checked.verdicts.valid > 80 && checked.verdicts.unchecked == 0, "{:?}", checked.verdicts);
        }
    }
}

#[test]
fn variables_are_replaced_as_flux_replaces_them() {
    for (text, expected) in [
        ("a.${SECRET_DOMAIN}.b", "a.harbour.b"),
        ("${A}${B}", "harbourharbour"),
        ("$${A} ${B", "${A} ${B"),
        ("x", "x"),
    ] {
        assert_eq!(replaced(text, "harbour"), expected);
    }
}
