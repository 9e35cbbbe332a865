//! The committed definitions are what the types give.

use std::path::Path;

use super::*;

#[test]
fn definitions_are_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kind/crds");
    let mut names = Vec::new();
    for (name, text) in files() {
        let committed = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert!(committed == text, "kind/crds/{name} is not what the types give: run `cargo xtask crds`");
        names.push(name);
    }
    let there =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut there: Vec<String> = there.collect();
    there.sort();
    assert_eq!(there, names, "kind/crds/ holds what no type gives");
}

/// kubectl's client-side apply keeps a copy of each object in an annotation, which may be 256 KiB long.
#[test]
fn definitions_fit_into_an_annotation() {
    for (name, text) in files() {
        let value: Value = serde_yaml::from_str(&text).unwrap();
        let size = value.to_string().len();
        assert!(size < 256 * 1024, "{name} has {size} bytes");
    }
}

/// Rules of the API server for structural schemas that are easy to break from here.
#[test]
fn schemas_are_structural() {
    fn check(path: &str, schema: &Value) {
        let object = schema.as_object().unwrap();
        let free = object.contains_key("x-kubernetes-int-or-string");
        assert!(free || object.contains_key("type"), "{path} has no type");
        for word in ["$ref", "$defs", "nullable", "additionalItems", "const", "definitions"] {
            assert!(!object.contains_key(word), "{path} has `{word}`");
        }
        for (name, inner) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
            check(&format!("{path}.{name}"), inner);
        }
        for word in ["items", "additionalProperties"] {
            if let Some(inner) = object.get(word) {
                check(&format!("{path}[]"), inner);
            }
        }
    }
    for (name, text) in files() {
        let value: Value = serde_yaml::from_str(&text).unwrap();
        for version in value["spec"]["versions"].as_array().unwrap() {
            check(&name, &version["schema"]["openAPIV3Schema"]);
        }
    }
}
