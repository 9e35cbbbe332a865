//! The command as a user meets it: messages and exit codes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use egret::flows::broadcast::Broadcast;
use egret::flows::monitor::EventType;

const DENY_ALL: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: deny-all }
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
";

const CASE: &str = "\
title: deny all closes every pod
world:
  pods:
    a: { labels: { app: a } }
    b: { labels: { app: b } }
steps:
  - name: no policy
    expect:
      a -> b:80: ok
  - name: deny all
    apply: [deny-all.yaml]
    expect:
      a -> b:80: { client: timeout, egress: dropped, reason: policy denied, by: default deny }
";

/// A folder with one case, `closed`, after this change of its text.
fn folder(change: impl FnOnce(&str) -> String) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let case = folder.path().join("cases/closed");
    std::fs::create_dir_all(&case).unwrap();
    std::fs::write(case.join("case.yaml"), change(CASE)).unwrap();
    std::fs::write(case.join("deny-all.yaml"), DENY_ALL).unwrap();
    folder
}

fn egret(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_egret"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("GITHUB_ACTIONS")
        .env_remove("GITHUB_STEP_SUMMARY")
        .output()
        .unwrap()
}

/// Exit code and both outputs, with times, which differ from run to run, replaced.
fn shown(output: &Output) -> String {
    let text = format!(
        "exit code {}\n--- stdout\n{}--- stderr\n{}",
        output.status.code().unwrap(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    without_times(&text)
}

/// `12.3 ms` becomes `# ms`, and the blanks before it one.
fn without_times(text: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    for line in text.split_inclusive('\n') {
        let mut line = line.to_owned();
        for unit in [" µs", " ms", " s"] {
            while let Some(end) = line.match_indices(unit).map(|(at, _)| at).find(|at| {
                line[..*at].ends_with(|c: char| c.is_ascii_digit())
                    && !line[at + unit.len()..].starts_with(char::is_alphanumeric)
            }) {
                let number = line[..end].trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
                line = format!("{} #{}", number.trim_end(), &line[end + unit.len()..]);
            }
        }
        out.push(line);
    }
    out.concat()
}

#[test]
fn a_passing_case_is_one_line() {
    let folder = folder(str::to_owned);
    insta::assert_snapshot!(shown(&egret(folder.path(), &["test", "--subject", "model"])));
}

#[test]
fn a_wrong_expectation_names_the_line_that_decided() {
    let folder = folder(|case| {
        case.replace("{ client: timeout, egress: dropped,", "{ client: ok, egress: forwarded,")
    });
    insta::assert_snapshot!(shown(&egret(folder.path(), &["test", "closed", "--subject", "model"])));
}

#[test]
fn a_policy_that_selects_nothing_fails_its_step() {
    let folder = folder(str::to_owned);
    let policy = DENY_ALL.replace("podSelector: {}", "podSelector: { matchLabels: { app: nobody } }");
    std::fs::write(folder.path().join("cases/closed/deny-all.yaml"), policy).unwrap();
    let output = egret(folder.path(), &["test", "--subject", "model"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("NetworkPolicy default/deny-all selects nothing"), "{text}");
}

#[test]
fn a_typo_is_shown_with_the_nearest_word() {
    let folder = folder(|case| case.replace("client: timeout", "client: timeuot"));
    insta::assert_snapshot!(shown(&egret(folder.path(), &["test", "--subject", "model"])));
}

#[test]
fn no_case_is_not_a_pass() {
    let folder = folder(str::to_owned);
    insta::assert_snapshot!(shown(&egret(folder.path(), &["test", "open", "--subject", "model"])));
}

#[test]
fn a_folder_without_cases_is_not_a_pass() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("cases")).unwrap();
    assert_eq!(egret(folder.path(), &["test", "--subject", "model"]).status.code(), Some(2));
}

#[test]
fn wrong_arguments_are_usage_errors() {
    let folder = folder(str::to_owned);
    for arguments in [
        &["test", "--subject", "moddel"][..],
        &["test", "--report", "xml=a"],
        &["test", "--require", "ipv7"],
        &["nothing"],
        &[],
        &["lab", "run", "closed", "--step", "no such step", "--", "a"],
        &["lab", "run", "closed", "--", "c"],
    ] {
        let output = egret(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", shown(&output));
    }
}

#[test]
fn cases_are_listed() {
    let folder = folder(str::to_owned);
    insta::assert_snapshot!(shown(&egret(folder.path(), &["list"])));
    insta::assert_snapshot!(shown(&egret(folder.path(), &["list", "--format", "json"])));
}

#[test]
fn cases_and_policies_are_validated_without_a_run() {
    let folder = folder(str::to_owned);
    insta::assert_snapshot!(shown(&egret(
        folder.path(),
        &["validate", "cases", "cases/closed/deny-all.yaml"]
    )));
    std::fs::write(folder.path().join("bad.yaml"), DENY_ALL.replace("policyTypes", "policyType")).unwrap();
    insta::assert_snapshot!(shown(&egret(folder.path(), &["validate", "bad.yaml"])));
}

#[test]
fn every_report_is_written() {
    let folder = folder(str::to_owned);
    let reports = ["junit=out/junit.xml", "json=out/report.json", "markdown=out/report.md"];
    let mut arguments = vec!["test", "--subject", "model"];
    arguments.extend(reports.iter().flat_map(|report| ["--report", *report]));
    assert_eq!(egret(folder.path(), &arguments).status.code(), Some(0));
    for report in reports {
        let path = folder.path().join(report.split_once('=').unwrap().1);
        assert!(std::fs::read_to_string(path).unwrap().contains("closed"), "{report}");
    }
}

#[test]
fn github_gets_annotations_and_a_summary() {
    let folder = folder(|case| case.replace("client: timeout", "client: refused"));
    let summary = folder.path().join("summary.md");
    let output = Command::new(env!("CARGO_BIN_EXE_egret"))
        .args(["test", "--subject", "model"])
        .current_dir(folder.path())
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", &summary)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("::error file=cases/closed/case.yaml,line=13,"), "{text}");
    assert!(std::fs::read_to_string(summary).unwrap().contains("### closed: fail"));
}

#[test]
fn a_missing_capability_is_skipped_and_fails_where_it_is_required() {
    // The model can do all that a case can require.
    if !nix::unistd::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "continuous integration runs this test as root");
        eprintln!("skipped: a subject that lacks something needs root");
        return;
    }
    let folder = folder(|case| format!("requires: [sctp]\n{case}"));
    let skipped = egret(folder.path(), &["test", "--subject", "lab"]);
    insta::assert_snapshot!(shown(&skipped));
    let required = egret(folder.path(), &["test", "--subject", "lab", "--require", "sctp"]);
    assert_eq!(required.status.code(), Some(1));
}

#[test]
fn known_failures_are_read_from_the_cases_folder() {
    let folder = folder(str::to_owned);
    let known = folder.path().join("cases/known");
    std::fs::create_dir(&known).unwrap();
    let entry = "- { case: closed, reason: not done, link: 'https://example.com' }\n";
    std::fs::write(known.join("model.yaml"), entry).unwrap();
    let output = egret(folder.path(), &["test", "--subject", "model"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("unexpected pass"));
}

#[test]
fn completions_exist_for_the_usual_shells() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let output = egret(folder.path(), &["completions", shell]);
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains("egret"), "{shell}");
    }
}

#[test]
fn the_schema_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let output = egret(folder.path(), &["schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(schema["properties"]["steps"].is_object());
}

#[test]
fn a_monitor_prints_what_runs_on_this_machine_say() {
    let mut monitor = Command::new(env!("CARGO_BIN_EXE_egret"))
        .args(["monitor", "--type", "drop"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It listens before it says so.
    let mut said = String::new();
    BufReader::new(monitor.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.starts_with("Listening for events"), "{said}");

    let mut run = Broadcast::default();
    run.look();
    let own = format!("run {}", std::process::id());
    run.write(EventType::Trace, &format!("{own} trace"));
    run.write(EventType::Drop, &format!("{own} drop"));
    let mut lines = BufReader::new(monitor.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert_eq!(lines.find(|line| line.starts_with(&own)), Some(format!("{own} drop")));
    monitor.kill().unwrap();
    monitor.wait().unwrap();
}

const CLUSTER: &str = "\
apiVersion: v1
kind: Pod
metadata: { name: a, labels: { app: a } }
spec: {}
---
apiVersion: v1
kind: ConfigMap
metadata: { name: settings }
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: p }
spec:
  endpointSelector: {}
  egress:
  - toFQDNs:
    - matchName: one.one
";

#[test]
fn a_cluster_is_asked_explained_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("all.yaml"), CLUSTER).unwrap();
    std::fs::write(folder.path().join("names.yaml"), "one.one: [1.1.1.1]\n").unwrap();

    let mut child = Command::new(env!("CARGO_BIN_EXE_egret"))
        .args(["verdict", "-f", "all.yaml", "--names", "names.yaml"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let flows = "{\"id\":1,\"from\":\"a\",\"to\":\"1.1.1.1\",\"port\":80}\n{\"id\":2}\n";
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), flows.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = lines.lines().collect();
    assert!(lines[0].starts_with("{\"id\":1,\"from\":\"a\","), "{lines:?}");
    assert!(lines[0].contains("\"verdict\":\"forwarded\""), "{lines:?}");
    assert!(lines[0].contains("\"file\":\"all.yaml\",\"line\":16"), "{lines:?}");
    assert!(lines[1].starts_with("{\"id\":2,\"error\":"), "{lines:?}");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("1 ConfigMap"));

    let output = egret(folder.path(), &["explain", "a", "1.1.1.1:443", "-f", "all.yaml"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("the peer is no address learned for `one.one`"), "{text}");
    assert_eq!(output.status.code(), Some(0));

    let validate = |more: &[&str]| {
        let output = egret(folder.path(), &[&["validate", "-f", "all.yaml"], more].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(validate(&[]), (Some(0), "1 document right, 2 warnings\n".to_owned()));
    assert_eq!(validate(&["--deny", "warnings"]).0, Some(2));
    assert!(validate(&["--format", "github"]).1.contains("::warning file=all.yaml,line=16,"));
}
