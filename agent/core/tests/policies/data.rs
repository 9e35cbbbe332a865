//! Policies of public projects are accepted, but for those that a cluster refuses too.
//!
//! They are read from the folder that `EGRET_DATA` names and are not part of this project.

use std::path::{Path, PathBuf};

use egret_core::spec::{Document, PolicyKind, understand};
use serde::Deserialize;
use serde_yaml::Value;

/// Cilium's own examples that the current release refuses: a field that it never had, and one that it removed.
const REFUSED: [&str; 2] = ["auth/auth.yaml", "l3/requires/requires.yaml"];

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// What is wrong with the policies in a file; other objects are passed over. Gives the number of policies too.
fn problems(text: &str) -> (usize, Vec<String>) {
    let (mut count, mut problems) = (0, Vec::new());
    for document in serde_yaml::Deserializer::from_str(text) {
        let value = Value::deserialize(document).unwrap();
        let word = |key: &str| value.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        let Some(kind) = PolicyKind::of(&word("apiVersion"), &word("kind")) else { continue };
        count += 1;
        match Document::deserialize_kind(kind, value) {
            Ok(document) => {
                let invalid = understand(&document).err().unwrap_or_default();
                problems.extend(invalid.iter().map(ToString::to_string));
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    (count, problems)
}

fn data() -> PathBuf {
    std::env::var_os("EGRET_DATA").expect("EGRET_DATA names the folder of public policies").into()
}

#[test]
#[ignore = "reads the folder that EGRET_DATA names"]
fn examples_of_cilium() {
    let folder = data().join("cilium-examples");
    let mut refused = Vec::new();
    let mut policies = 0;
    for path in files(&folder) {
        let (count, problems) = problems(&std::fs::read_to_string(&path).unwrap());
        policies += count;
        let name = path.strip_prefix(&folder).unwrap().to_string_lossy().into_owned();
        if !problems.is_empty() {
            assert!(REFUSED.contains(&name.as_str()), "{name}: {problems:#?}");
            refused.push(name);
        }
    }
    assert_eq!(refused, REFUSED);
    assert!(policies > 50, "only {policies} policies were found");
}

/// Templates are filled with plain values first, as the suites fill them.
fn filled(text: &str) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (inside, after) = after.split_once("}}").unwrap();
        let value = match inside {
            _ if inside.contains("IPv6") || inside.contains("CIDRv6") => "2001:db8::1",
            _ if inside.contains("CIDR") || inside.contains("IPv4") => "192.0.2.1",
            _ if inside.contains("HostNetworkPorts 1") => "8081",
            _ if inside.contains("Port") => "8080",
            _ => "a.example",
        };
        filled += before;
        filled += value;
        rest = after;
    }
    filled + rest
}

#[test]
#[ignore = "reads the folder that EGRET_DATA names"]
fn policies_of_the_suite_for_tiers() {
    let mut policies = 0;
    for path in files(&data().join("npa-conformance")) {
        let (count, problems) = problems(&filled(&std::fs::read_to_string(&path).unwrap()));
        assert_eq!(problems, [""; 0], "{}", path.display());
        policies += count;
    }
    assert!(policies >= 20, "only {policies} policies were found");
}

/// A value with every field that a schema has.
fn sample(schema: &Value) -> Value {
    if schema.get("x-kubernetes-int-or-string").is_some() {
        return Value::from(1);
    }
    let word = |key: &str| schema.get(key).and_then(Value::as_str);
    match word("type") {
        Some("object") => {
            let fields = schema.get("properties").and_then(Value::as_mapping).into_iter().flatten();
            let mut all: serde_yaml::Mapping =
                fields.map(|(name, schema)| (name.clone(), sample(schema))).collect();
            if let Some(schema) = schema.get("additionalProperties") {
                all.insert("a".into(), sample(schema));
            }
            Value::Mapping(all)
        }
        Some("array") => Value::Sequence(vec![sample(&schema["items"])]),
        Some("integer") => Value::from(1),
        Some("boolean") => Value::from(true),
        Some("string") | None => {
            schema.get("enum").and_then(|words| words.get(0)).cloned().unwrap_or_else(|| "a".into())
        }
        Some(other) => panic!("a schema with type {other}"),
    }
}

/// Every field of the definitions that clusters install has a place in the shapes.
#[test]
#[ignore = "reads the folder that EGRET_DATA names"]
fn fields_of_the_definitions() {
    let mut kinds = Vec::new();
    for path in files(&data().join("crds")) {
        let definition: Value = serde_yaml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        if definition.is_null() {
            continue;
        }
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap();
        for version in definition["spec"]["versions"].as_sequence().unwrap() {
            let group = definition["spec"]["group"].as_str().unwrap();
            let api_version = format!("{group}/{}", version["name"].as_str().unwrap());
            let known = PolicyKind::of(&api_version, kind).unwrap_or_else(|| panic!("{api_version} {kind}"));
            let mut document = sample(&version["schema"]["openAPIV3Schema"]);
            document["metadata"] = serde_yaml::from_str("{ name: a }").unwrap();
            if let Err(error) = Document::deserialize_kind(known, document) {
                panic!("{api_version} {kind}: {error}");
            }
            kinds.push(known);
        }
    }
    kinds.sort();
    kinds.dedup();
    assert_eq!(kinds.len(), 4, "{kinds:?}");
}
