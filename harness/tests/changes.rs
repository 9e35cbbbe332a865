//! `egret matrix` and `egret diff` as a user meets them: formats and exit codes.

use std::path::Path;
use std::process::{Command, Output};

const PODS: &str = "\
apiVersion: v1
kind: Pod
metadata: { name: a, namespace: x, labels: { app: a } }
spec: { containers: [] }
---
apiVersion: v1
kind: Pod
metadata: { name: b, namespace: x, labels: { app: b } }
spec: { containers: [] }
---
";

const DENY: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: deny, namespace: x }
spec: { podSelector: { matchLabels: { app: b } }, policyTypes: [Ingress] }
";

/// A folder with `open.yaml`, `closed.yaml` and a record of one flow.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let flow = r#"{"from":"x/a","to":"x/b","port":80,"protocol":"TCP"}"#;
    let files = [
        ("open.yaml", PODS.to_owned()),
        ("closed.yaml", format!("{PODS}{DENY}")),
        ("flows.jsonl", flow.into()),
    ];
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn egret(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_egret")).args(arguments).current_dir(folder).output().unwrap()
}

fn exit(folder: &Path, arguments: &[&str]) -> i32 {
    egret(folder, arguments).status.code().unwrap()
}

#[test]
fn a_change_fails_when_it_is_asked_to() {
    let folder = folder();
    for (arguments, code) in [
        (&["diff", "open.yaml", "closed.yaml"][..], 0),
        (&["diff", "open.yaml", "closed.yaml", "--fail-on", "any"], 1),
        (&["diff", "open.yaml", "closed.yaml", "--fail-on", "tightened"], 1),
        (&["diff", "open.yaml", "closed.yaml", "--fail-on", "loosened"], 0),
        (&["diff", "closed.yaml", "open.yaml", "--fail-on", "loosened"], 1),
        (&["diff", "open.yaml", "open.yaml", "--fail-on", "any"], 0),
        (&["diff", "open.yaml", "closed.yaml", "--fail-on", "any", "--flows", "flows.jsonl"], 1),
        (&["diff", "open.yaml", "closed.yaml", "--flows", "open.yaml"], 2),
        (&["diff", "open.yaml", "closed.yaml", "--flows", "missing"], 2),
        (&["diff", "open.yaml", "missing.yaml"], 2),
        (&["diff", "open.yaml"], 2),
    ] {
        assert_eq!(exit(folder.path(), arguments), code, "{arguments:?}");
    }
}

#[test]
fn a_change_names_old_and_new_lines() {
    let folder = folder();
    let output = egret(folder.path(), &["diff", "open.yaml", "closed.yaml", "--ports", "80"]);
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap());
}

#[test]
fn a_matrix_in_each_format() {
    let folder = folder();
    for (format, holds) in [
        ("text", "from \\ to"),
        ("json", "\"pairs\": ["),
        ("csv", "x/a,x/b,80/TCP,dropped,unenforced,,denied,NetworkPolicy x/deny default deny (closed.yaml:"),
        ("markdown", "| --- |"),
        ("dot", "digraph egret {"),
        ("html", "<!DOCTYPE html>"),
    ] {
        let output =
            egret(folder.path(), &["matrix", "-f", "closed.yaml", "--ports", "80", "--format", format]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains(holds), "{format}: {text}");
    }
    assert_eq!(exit(folder.path(), &["matrix", "-f", "closed.yaml", "--ports", "http"]), 2);
}
