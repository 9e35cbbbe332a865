//! Bad input to the real binary: each ends with exit code 2, a message that says what is wrong, and bounded memory.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::sys::resource::{UsageWho, getrusage};

/// Most memory that a run may take, in bytes; the largest file that is read takes 64 MiB of it.
const MOST_MEMORY: i64 = 512 << 20;
/// Most bytes that a run may say.
const MOST_OUTPUT: usize = 64 << 10;

const POLICY: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: a }\nspec:\n  \
                      podSelector: {}\n";

/// Content that nobody should be able to bring the command down with.
enum Content {
    Bytes(Vec<u8>),
    /// As many zeros, without a byte on the disk.
    Zeros(u64),
    /// A file that is not there.
    Absent,
}

impl Content {
    fn text(text: impl Into<String>) -> Self {
        Self::Bytes(text.into().into_bytes())
    }

    fn put(&self, path: &Path) {
        match self {
            Self::Bytes(bytes) => std::fs::write(path, bytes).unwrap(),
            Self::Zeros(length) => File::create(path).unwrap().set_len(*length).unwrap(),
            Self::Absent => {}
        }
    }
}

/// Nine aliases in each of twelve lists of the one before.
fn bomb() -> String {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let item = format!("*a{}", level - 1);
        text += &format!("a{level}: &a{level} [{}]\n", [item.as_str(); 9].join(", "));
    }
    text
}

fn http(path: &str) -> String {
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{ name: a }}\nspec:\n  endpointSelector: {{}}\n  \
         ingress:\n  - toPorts: [{{ ports: [{{ port: '80', protocol: TCP }}], rules: {{ http: [{{ path: '{path}' }}] }} }}]\n"
    )
}

/// What stands in a file of YAML, whoever reads it, and the words that must be said.
fn yaml() -> Vec<(&'static str, Content, &'static str)> {
    let text = |text: String| Content::text(text);
    vec![
        ("aliases", text(bomb()), "the aliases of this document stand for too much"),
        (
            "aliases of one list",
            text(format!("a: &a [{}]\nb: [{}]\n", "x, ".repeat(20_000), "*a, ".repeat(20_000))),
            "the aliases of this document stand for too much",
        ),
        (
            "aliases of a text",
            text(format!("a: &a {}\nb: [{}]\n", "x".repeat(1_000_000), "*a, ".repeat(20_000))),
            "the aliases of this document stand for too much",
        ),
        (
            "merge keys",
            text("a: &a { x: 1 }\nb:\n".to_owned() + &"  - { <<: *a }\n".repeat(20_000)),
            "the aliases of this document stand for too much",
        ),
        ("an alias of nothing", text("a: *b\n".to_owned()), "alias"),
        ("deep lists", text("[".repeat(200_000)), "too many lists and mappings"),
        ("deep mappings", text("{a: ".repeat(200_000)), "too many lists and mappings"),
        ("deep items", text("- ".repeat(50_000)), "too many lists and mappings"),
        (
            "deep indentation",
            text((0..3000).map(|depth| " ".repeat(depth) + "k:\n").collect()),
            "too many lists and mappings",
        ),
        ("many values", text(format!("[{}a]", "a,".repeat(3_100_000))), "more than 3000000 values"),
        ("many values in blocks", text("- a\n".repeat(3_100_000)), "more than 3000000 values"),
        (
            "many values and an anchor",
            text(format!("[&a a, {}a]", "a,".repeat(1_100_000))),
            "more than 1000000 values",
        ),
        ("many ends of documents", text("a: 1\n...\n".repeat(5_000)), "end with `...`"),
        ("a key twice", text("a: 1\na: 2\n".to_owned()), "the key `a` stands twice"),
        ("Latin 1", Content::Bytes(b"a: 1\nb: \xe9\n".to_vec()), ":2:4"),
        ("UTF-16", Content::Bytes(b"\xff\xfea\0:\0".to_vec()), "this is not UTF-8 text"),
        ("a zero", text("a: 1\0\n".to_owned()), "this is not YAML"),
        ("an open quote", text(format!("a: \"{}\n", "x".repeat(4 << 20))), "unclosed quote"),
        ("100 MB", Content::Zeros(100 << 20), "is larger than 64 MiB"),
        ("nothing there", Content::Absent, "there is no such file"),
    ]
}

/// What only manifests can have wrong.
fn manifests() -> Vec<(&'static str, Content, &'static str)> {
    vec![
        ("many documents", Content::text("---\na: 1\n".repeat(600_000)), "more than 500000 documents"),
        (
            "many misspelt keys",
            Content::text(
                POLICY.to_owned() + &(0..20_000).map(|key| format!("  k{key}: x\n")).collect::<String>(),
            ),
            "unknown key `k0` in `spec`",
        ),
        (
            "many errors",
            Content::text(
                (0..5_000)
                    .map(|n| {
                        POLICY
                            .replace("name: a", &format!("name: a{n}"))
                            .replace("podSelector", "podSelecter")
                            + "---\n"
                    })
                    .collect::<String>(),
            ),
            "and 4900 more",
        ),
        (
            "an expression that only Envoy takes",
            Content::text(http(r"/\pL")),
            "has a Unicode class such as `\\pL`, which Envoy takes and Egret cannot simulate",
        ),
        (
            "an expression that Envoy refuses",
            Content::text(http("/(?=a)")),
            "has a look-around, which RE2 does not know",
        ),
        ("a large expression", Content::text(http(&format!("(({}){{1000}}){{1000}}", "a"))), "is too large"),
        ("no expression", Content::text(http("/(")), "is not a regular expression"),
    ]
}

/// What lines of flows can have wrong; each answers for itself.
fn flows() -> Vec<(&'static str, Content, &'static str)> {
    vec![
        (
            "a long line",
            Content::text(format!("{{\"id\":\"{}\"}}\n", "x".repeat(3 << 20))),
            "longer than 1 MiB",
        ),
        ("100 MB without a line's end", Content::Zeros(100 << 20), "longer than 1 MiB"),
        ("deep lists", Content::text("[".repeat(200_000)), "error"),
        (
            "deep headers",
            Content::text(format!("{{\"from\":\"world\",\"to\":\"world\",\"x\":{}", "[".repeat(100_000))),
            "error",
        ),
        ("Latin 1", Content::Bytes(b"{\"from\":\"\xe9\"}\n".to_vec()), "error"),
        ("no JSON", Content::text("from: a\n"), "error"),
    ]
}

/// Runs the binary in a folder, and holds what every run must keep.
fn run(folder: &Path, name: &str, arguments: &[&str], input: Option<&str>) -> Output {
    let input = input.map_or_else(Stdio::null, |file| {
        File::open(folder.join(file)).map_or_else(|_| Stdio::null(), Stdio::from)
    });
    let output = Command::new(env!("CARGO_BIN_EXE_egret"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("GITHUB_ACTIONS")
        .stdin(input)
        .output()
        .unwrap();
    // Of all children that ended; in order, the first that takes too much is the one named.
    let memory = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss() * 1024;
    assert!(memory <= MOST_MEMORY, "`{name}` with {arguments:?} took {} MiB", memory >> 20);
    let said = output.stdout.len() + output.stderr.len();
    assert!(said <= MOST_OUTPUT, "`{name}` with {arguments:?} said {said} bytes");
    output
}

fn assert_refused(name: &str, arguments: &[&str], output: &Output, expected: &str) {
    let text =
        String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned();
    assert_eq!(output.status.code(), Some(2), "`{name}` with {arguments:?}: {text}");
    assert!(text.contains(expected), "`{name}` with {arguments:?}, expected `{expected}`: {text}");
}

#[test]
fn bad_input_is_refused_in_words_and_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("right.yaml"), POLICY).unwrap();
    let (yaml, manifests, flows) = (yaml(), manifests(), flows());
    // The file as a manifest, on standard input, as learned names, and as a list of known failures.
    let everywhere: [(&[&str], Option<&str>); 3] = [
        (&["validate", "-f", "bad.yaml"], None),
        (&["validate", "-f", "-"], Some("bad.yaml")),
        (&["verdict", "-f", "right.yaml", "--names", "bad.yaml"], None),
    ];
    let elsewhere: [(&[&str], Option<&str>); 4] = [
        (&["validate", "bad.yaml"], None),
        (&["test", "bad.yaml", "--subject", "model"], None),
        (&["explain", "world", "world:80", "-f", "bad.yaml"], None),
        (&["diff", "right.yaml", "bad.yaml"], None),
    ];
    let mut runs = 0;
    for (row, (name, content, expected)) in yaml.iter().chain(&manifests).enumerate() {
        content.put(&folder.join("bad.yaml"));
        let is_yaml = row < yaml.len();
        // The rarer ways share the readers of the first: a few rows show it.
        let is_sample = is_yaml
            && (matches!(content, Content::Absent | Content::Zeros(_))
                || ["aliases", "Latin 1"].contains(name));
        let is_large = matches!(content, Content::Bytes(bytes) if bytes.len() > 1 << 20);
        let mut ways: Vec<_> = everywhere[..if is_yaml && !is_large { 3 } else { 1 }].to_vec();
        if is_sample {
            ways.extend(elsewhere);
        }
        for (arguments, input) in ways {
            let is_absent = matches!(content, Content::Absent);
            if is_absent && (input.is_some() || arguments[0] == "test") {
                continue;
            }
            let output = run(folder, name, arguments, input);
            assert_refused(name, arguments, &output, expected);
            runs += 1;
        }
        std::fs::remove_file(folder.join("bad.yaml")).ok();
    }
    for (name, content, expected) in &flows {
        content.put(&folder.join("flows.jsonl"));
        let arguments: [(&[&str], Option<&str>, &str); 2] = [
            (&["verdict", "-f", "right.yaml"], Some("flows.jsonl"), expected),
            (&["diff", "right.yaml", "right.yaml", "--flows", "flows.jsonl"], None, "line 1: "),
        ];
        for (arguments, input, expected) in arguments {
            let output = run(folder, name, arguments, input);
            assert_refused(name, arguments, &output, expected);
            runs += 1;
        }
    }
    assert!(runs > 70, "{runs} runs");
}

/// A list of known failures is read before the first case runs.
#[test]
fn a_bad_list_of_known_failures_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let cases = folder.path().join("cases");
    std::fs::create_dir_all(cases.join("known")).unwrap();
    std::fs::write(
        cases.join("a.yaml"),
        "title: t\nsteps:\n- expect: { node node-1 -> node node-1:80: refused }\n",
    )
    .unwrap();
    for (content, expected) in
        [("- case: a\n  reasn: b\n", "did you mean `reason`?"), ("\u{0}", "this is not YAML")]
    {
        let mut file = File::create(cases.join("known/model.yaml")).unwrap();
        file.write_all(content.as_bytes()).unwrap();
        let arguments = ["test", "--subject", "model"];
        let output = run(folder.path(), "known failures", &arguments, None);
        assert_refused("known failures", &arguments, &output, expected);
    }
}
