//! `egret kind` with a program in kind's place that a test has written: what it is asked, and what is said when it fails.
#![cfg(feature = "kubernetes")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A program that writes its arguments into `asked` and answers as `answers` says, by its first two arguments.
fn fake(folder: &Path, answers: &str) -> std::path::PathBuf {
    let path = folder.join("kind");
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> {folder}/asked\ncase \"$1 $2\" in\n{answers}\nesac\n",
        folder = folder.display()
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn egret(arguments: &[&str], path: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_egret"));
    command.args(arguments).env("PATH", path).env("EGRET_IMAGE_BINARY", path.join("static"));
    command.output().unwrap()
}

fn asked(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("asked")).unwrap_or_default();
    text.lines().map(ToOwned::to_owned).collect()
}

/// The header of a 64-bit program without anything that it needs.
fn elf() -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01".to_vec();
    bytes.resize(64, 0);
    bytes
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("static"), elf()).unwrap();
    folder
}

#[test]
fn a_missing_program_says_how_to_get_it() {
    let folder = folder();
    for command in ["up", "down", "status"] {
        let output = egret(&["kind", command], folder.path());
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{error}");
        assert!(
            error.contains("`kind` is not there; install it: `go install sigs.k8s.io/kind@latest`"),
            "{error}"
        );
    }
}

#[test]
fn a_cluster_that_is_not_there_is_neither_well_nor_removed() {
    let folder = folder();
    fake(folder.path(), "\"get clusters\") echo other;;");
    let output = egret(&["kind", "status"], folder.path());
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, "there is no cluster egret: `egret kind up` makes it\n");
    let output = egret(&["kind", "down", "--name", "mine"], folder.path());
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "there is no cluster mine\n");
    assert_eq!(asked(folder.path()), ["get clusters", "get clusters"]);
}

#[test]
fn half_a_cluster_is_called_so() {
    let folder = folder();
    fake(folder.path(), "\"get clusters\") echo egret;; \"get kubeconfig\") echo no such file >&2; exit 1;;");
    for command in ["up", "status"] {
        let output = egret(&["kind", command], folder.path());
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{error}");
        assert!(
            error.contains("cluster `egret` was never finished")
                && error.contains("`egret kind down --name egret`"),
            "{error}"
        );
    }
}

#[test]
fn the_cluster_of_this_name_is_removed() {
    let folder = folder();
    fake(folder.path(), "\"get clusters\") echo other; echo egret;;");
    let output = egret(&["kind", "down"], folder.path());
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(asked(folder.path()), ["get clusters", "delete cluster --name egret"]);
}

/// kind keeps half a cluster; nobody has asked for half a cluster.
#[test]
fn a_cluster_that_could_not_be_made_is_removed_again() {
    let folder = folder();
    let config = folder.path().join("config");
    let answers = format!("\"create cluster\") cat > {}; echo no space left >&2; exit 1;;", config.display());
    fake(folder.path(), &answers);
    // `cat` is a program of the machine.
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_egret"));
    command.args(["kind", "up", "--nodes", "3", "--dual-stack", "--no-kube-proxy", "--node-image", "node:1"]);
    command.env("PATH", path).env("EGRET_IMAGE_BINARY", folder.path().join("static"));
    let output = command.output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains("no space left") && error.contains("exit status: 1"), "{error}");
    let expected = [
        "get clusters",
        "create cluster --name egret --config - --image node:1",
        "delete cluster --name egret",
    ];
    assert_eq!(asked(folder.path()), expected);
    let config: serde_json::Value = serde_json::from_slice(&std::fs::read(config).unwrap()).unwrap();
    assert_eq!(config["nodes"].as_array().unwrap().len(), 3);
    assert_eq!(config["networking"]["disableDefaultCNI"], true);
    assert_eq!(config["networking"]["kubeProxyMode"], "none");
    assert_eq!(config["networking"]["ipFamily"], "dual");
}

/// What kind has started makes nodes after kind is gone: here a child that waits until somebody removes the cluster.
#[test]
fn ctrl_c_removes_what_kinds_children_make_later() {
    let folder = folder();
    let gate = folder.path().join("gate");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (gate, asked_file) = (gate.display(), folder.path().join("asked"));
    let asked_file = asked_file.display();
    let answers = format!(
        "\"create cluster\") cat >/dev/null; (read word < {gate}; echo a node >> {asked_file}) & echo began >> {asked_file}; wait;;\n\
         \"delete cluster\") if [ -p {gate} ]; then echo go > {gate}; rm {gate}; fi;;"
    );
    fake(folder.path(), &answers);
    let mut command = Command::new(env!("CARGO_BIN_EXE_egret"));
    command.args(["kind", "up"]).env("EGRET_IMAGE_BINARY", folder.path().join("static"));
    command.env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    while !asked(folder.path()).iter().any(|line| line == "began") {
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", asked(folder.path()));
        std::thread::yield_now();
    }
    let process = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains("interrupted; what was made is removed"), "{error}");
    let delete = "delete cluster --name egret";
    let expected =
        ["get clusters", "create cluster --name egret --config -", "began", delete, "a node", delete];
    assert_eq!(asked(folder.path()), expected);
}

#[test]
fn an_ordinary_build_cannot_be_an_image() {
    let folder = folder();
    fake(folder.path(), "\"get clusters\") ;;");
    // Whoever built it, a shell of this machine needs its libraries.
    let program = "/bin/sh";
    let output = egret(&["kind", "up", "--image-binary", program], folder.path());
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains("it needs shared libraries") && error.contains("+crt-static"), "{error}");
    assert!(asked(folder.path()).is_empty(), "nothing was begun");
}

const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
current-context: here
contexts: [{ name: here, context: { cluster: nobody, user: me } }]
clusters: [{ name: nobody, cluster: { server: 'http://127.0.0.1:1' } }]
users: [{ name: me, user: {} }]
";

/// What `egret doctor` says of these things, without an engine.
fn doctor(folder: &Path, kubeconfig: &str) -> Vec<(String, String, String)> {
    let file = folder.join("kubeconfig");
    std::fs::write(&file, kubeconfig).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_egret"));
    command.args(["doctor", "--format", "json"]).env("PATH", folder).env("KUBECONFIG", file);
    let output = command.env("DOCKER_HOST", "unix:///nowhere.sock").output().unwrap();
    let checks: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |check: &serde_json::Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    checks
        .iter()
        .map(|check| (text(check, "name"), text(check, "state"), text(check, "advice")))
        .filter(|(name, ..)| ["kind", "kubectl", "kubeconfig", "API server"].contains(&name.as_str()))
        .collect()
}

#[test]
fn the_doctor_looks_at_programs_kubeconfig_and_api_server() {
    let folder = folder();
    fake(folder.path(), "\"version \") echo 'kind v0.30.0 go1.24.6 linux/amd64';;");
    let found = doctor(folder.path(), KUBECONFIG);
    let states: Vec<_> = found.iter().map(|(name, state, _)| (name.as_str(), state.as_str())).collect();
    assert_eq!(
        states,
        [("kind", "ok"), ("kubectl", "missing"), ("kubeconfig", "ok"), ("API server", "missing")]
    );
    assert_eq!(found[0].2, "kind v0.30.0 go1.24.6 linux/amd64");
    assert!(found[1].2.starts_with("`kubectl` is not there; "), "{}", found[1].2);
    assert_eq!(found[2].2, "context `here` leads to http://127.0.0.1:1 as `me`");
    assert!(found[3].2.contains("did not answer"), "{}", found[3].2);
}

#[test]
fn the_doctor_says_what_a_kubeconfig_lacks() {
    let folder = folder();
    for (config, problem) in [
        ("apiVersion: v1\nkind: Config\n", "no cluster to talk to"),
        (&KUBECONFIG.replace("current-context: here", "current-context: there"), "there"),
        (&KUBECONFIG.replace("name: nobody", "name: somebody"), "nobody"),
    ] {
        let found = doctor(folder.path(), config);
        let (name, state, advice) = found.last().unwrap();
        assert_eq!((name.as_str(), state.as_str()), ("kubeconfig", "missing"), "{config}");
        assert!(advice.contains(problem) && advice.contains("KUBECONFIG"), "{advice}");
    }
}
