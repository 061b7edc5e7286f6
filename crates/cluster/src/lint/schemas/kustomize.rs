//! What a `kustomization.yaml` may say, by the fields that `kustomize` documents; it has no definition in any cluster.

use serde_json::{Map, Value, json};

/// Fields that hold texts, in lists.
const LISTS: [&str; 13] = [
    "resources",
    "components",
    "crds",
    "bases",
    "buildMetadata",
    "configurations",
    "generators",
    "patchesStrategicMerge",
    "transformers",
    "validators",
    "replacements",
    "patchesJson6902",
    "vars",
];
/// Fields that hold one text.
const TEXTS: [&str; 3] = ["namePrefix", "nameSuffix", "namespace"];
/// Fields whose inside is `kustomize`'s business.
const OBJECTS: [&str; 6] =
    ["metadata", "openapi", "helmGlobals", "sortOptions", "inventory", "generatorOptions"];

/// The schema of a kind of `kustomize.config.k8s.io`.
pub(super) fn schema(version: &str, kind: &str) -> Option<Value> {
    let known = matches!(
        (version, kind),
        ("kustomize.config.k8s.io/v1beta1" | "kustomize.config.k8s.io/v1", "Kustomization")
            | ("kustomize.config.k8s.io/v1alpha1", "Component")
    );
    known.then(|| json!({"type": "object", "properties": properties()}))
}

fn properties() -> Map<String, Value> {
    let mut all = Map::new();
    let texts = json!({"type": "object", "additionalProperties": {"type": "string"}});
    for name in LISTS {
        // The last three may hold objects; all others are names of files.
        let objects = matches!(name, "replacements" | "patchesJson6902" | "vars");
        let items = if objects { json!({"type": "object"}) } else { json!({"type": "string"}) };
        all.insert(name.to_owned(), json!({"type": "array", "items": items}));
    }
    for name in TEXTS {
        all.insert(name.to_owned(), json!({"type": "string"}));
    }
    for name in OBJECTS {
        all.insert(name.to_owned(), json!({"type": "object"}));
    }
    for name in ["commonLabels", "commonAnnotations"] {
        all.insert(name.to_owned(), texts.clone());
    }
    for name in ["configMapGenerator", "secretGenerator"] {
        all.insert(name.to_owned(), list(generator()));
    }
    let fields = json!({"type": "array", "items": {"type": "object"}});
    let flag = json!({"type": "boolean"});
    let labels =
        json!({"pairs": texts, "includeSelectors": flag, "includeTemplates": flag, "fields": fields});
    all.insert("labels".to_owned(), list(labels));
    all.insert("images".to_owned(), list(named(&["name", "newName", "newTag", "digest", "tagSuffix"])));
    all.insert(
        "replicas".to_owned(),
        list(json!({"name": {"type": "string"}, "count": {"type": "integer"}})),
    );
    all.insert("patches".to_owned(), list(patch()));
    all.insert("helmCharts".to_owned(), json!({"type": "array", "items": {"type": "object"}}));
    all
}

fn list(properties: Value) -> Value {
    let mut list = json!({"type": "array", "items": {"type": "object"}});
    list["items"]["properties"] = properties;
    list
}

fn named(names: &[&str]) -> Value {
    names.iter().map(|name| ((*name).to_owned(), json!({"type": "string"}))).collect::<Map<_, _>>().into()
}

fn generator() -> Value {
    let mut properties = named(&["name", "namespace", "behavior", "env", "type"]);
    for name in ["files", "literals", "envs"] {
        properties[name] = json!({"type": "array", "items": {"type": "string"}});
    }
    properties["options"] = json!({"type": "object"});
    properties
}

fn patch() -> Value {
    let mut properties = named(&["path", "patch"]);
    properties["options"] = json!({"type": "object"});
    let target = ["group", "version", "kind", "name", "namespace", "annotationSelector", "labelSelector"];
    properties["target"] = json!({"type": "object", "properties": named(&target)});
    properties
}
