//! Secrets that are full of traps come out of their Secret as they went in, and come out of nothing else in any writing.

use super::{FIRST, random};
use crate::{
    commit::{Overwrite, RealDisk, STATE, Scope, View, Workspace, unified},
    documents,
    inputs::{File, tests::support},
    lint,
    render::{Templates, render, tests::inputs_of},
    seal::{Sealing, seal},
    values::Value,
};
use portreeve_model::Secret;
use portreeve_sops::{Error, Format, Keys};
use std::collections::BTreeMap;

/// 24 characters that nothing else has.
fn core() -> String {
    let mut bytes = [0; 24];
    random(&mut bytes).unwrap();
    bytes.iter().map(|byte| char::from(b'a' + byte % 26)).collect()
}

fn wrapped(core: &str) -> String {
    format!("- \"'x: y #z\n${{X}}#{{ 7 }}#{core}{{{{ .Values }}}}\\n%\u{85}\u{2028}é🦀 &a *b |")
}

#[test]
fn traps_survive_and_leak_nowhere() {
    for name in support::CLUSTERS {
        let (mut values, mut files) = inputs_of(&support::cluster(name));
        let mut cores = BTreeMap::new();
        for (setting, value) in values.iter_mut().filter(|(_, value)| matches!(value, Value::Secret(_))) {
            let core = core();
            *value = Value::Secret(Secret::new(wrapped(&core)));
            cores.insert(setting.clone(), core);
        }
        let push = core();
        files.insert(File::PushToken, format!("{push}\n"), Some(0o600));
        cores.insert("push".to_owned(), push.clone());
        let tree = render(&values, &files, &Templates::default()).unwrap();
        assert_eq!(
            lint::check(&tree, &values, &files, &Templates::default(), &lint::Sources::default())
                .findings
                .iter()
                .filter(|one| one.code != "O-09")
                .count(),
            0,
            "{name}"
        );

        let keys = Keys::parse(files.get(File::Age).unwrap().text.expose()).unwrap();
        let mut chance = |bytes: &mut [u8]| random(bytes).map_err(|what| Error::Key { what });
        let mut how = Sealing { keys: &keys, now: FIRST, random: &mut chance };
        let sealed = seal(&tree, &mut how, |_| Ok(None)).unwrap();
        let place = tempfile::tempdir().unwrap();
        let mut workspace = Workspace::open(place.path(), RealDisk).unwrap();
        let plan = workspace.plan(&sealed, &Scope::All).unwrap();
        workspace.commit(&sealed, &plan, Overwrite::Never).unwrap();

        let mut said = std::fs::read_to_string(place.path().join(STATE).join("manifest.json")).unwrap();
        let view = View::open(place.path(), RealDisk).unwrap();
        for (path, output) in &sealed {
            let text = String::from_utf8(view.current(path).unwrap().unwrap()).unwrap();
            said += &text;
            said += &unified(path, None, Some(&output.bytes));
        }
        for (setting, core) in &cores {
            for writing in lint::writings(core) {
                assert!(!said.contains(&writing), "{name}: {setting} is found as {writing}");
            }
        }

        let mut expected = vec![
            (
                "kubernetes/apps/cert-manager/cert-manager/app/secret.sops.yaml",
                "api-token",
                wrapped(&cores["cloudflare_token"]),
            ),
            (
                "kubernetes/apps/network/cloudflare-dns/app/secret.sops.yaml",
                "api-token",
                wrapped(&cores["cloudflare_token"]),
            ),
            ("kubernetes/apps/flux-system/flux-instance/app/secret.sops.yaml", "token", push),
        ];
        if let Some(core) = cores.get("cilium_bgp_password") {
            let path = "kubernetes/apps/kube-system/cilium/app/secret.sops.yaml";
            expected.push((path, "password", wrapped(core)));
        }
        for (path, key, secret) in expected {
            let text = std::str::from_utf8(&sealed[path].bytes).unwrap();
            let opened = portreeve_sops::open(text, Format::Yaml, &keys).unwrap();
            let data = opened.documents[0].get("stringData").unwrap();
            assert_eq!(data.get(key).unwrap().as_text(), Some(secret.as_str()), "{path}");
            // Flux leaves what asks for it as it is; everything else it reads for variables.
            let document = &documents::read(text).unwrap()[0].value;
            let annotation = "/metadata/annotations/kustomize.toolkit.fluxcd.io~1substitute";
            assert_eq!(document.pointer(annotation).unwrap(), "disabled", "{path}");
        }
    }
}

#[test]
fn no_error_holds_a_secret() {
    let (mut values, files) = inputs_of(&support::cluster("platform"));
    let core = core();
    values.insert("cloudflare_token".to_owned(), Value::Secret(Secret::new(core.clone())));
    for text in [
        "a: #{ cloudflare_token }#",
        "a: #{ cloudflare_token | q }#",
        "a: #{ cloudflare_token | lower | q }#",
        "a: #{ cloudflare_token.x }#",
        "a: #{ cloudflare_token + 1 }#",
        "a: #{ [cloudflare_token] | join(\"-\") }#",
        "a: #{ (\"x\" ~ cloudflare_token) | q }#",
        "a: #{ cloudflare_token | tojson }#",
        "a: #{ [cloudflare_token] | tojson }#",
        "a: #{ cloudflare_token | replace(\"a\", \"b\") }#",
        "a: #{ cloudflare_token | nthhost(1) }#",
        "#% for c in cloudflare_token %##{ c | q }##% endfor %#",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("templates/overrides/app");
        std::fs::create_dir_all(&own).unwrap();
        std::fs::write(own.join("ks.yaml"), text).unwrap();
        let templates = Templates::with_own(directory.path()).unwrap();
        let said = match render(&values, &files, &templates) {
            Err(error) => format!("{error} {error:?}"),
            Ok(tree) => tree["kubernetes/apps/default/echo/ks.yaml"].text.expose().clone(),
        };
        for writing in lint::writings(&core) {
            assert!(!said.contains(&writing), "{text}: {said}");
        }
    }
}
