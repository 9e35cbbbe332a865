//! The corpus loads, refused cases say what they must, the schema does not drift.

use std::path::PathBuf;

use super::*;
use crate::diagnostic::{Style, render_all};
use crate::source::Source;
use crate::yaml::documents;

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../cases")
}

#[test]
fn every_case_of_the_corpus_loads() {
    let found = find(&corpus(), &[]).expect("cases");
    let loaded = load(&found).unwrap_or_else(|problems| panic!("{}", render_all(&problems, Style::Plain)));
    let cases = loaded.iter().filter(|loaded| matches!(loaded, Loaded::Case(_))).count();
    assert!(cases >= 13, "the corpus holds {cases} cases");
    for loaded in &loaded {
        let Loaded::Case(case) = loaded else { continue };
        for step in &case.steps {
            assert!(step.select_nothing.is_empty(), "{}: {} selects nothing", case.name, step.name);
        }
    }
}

#[test]
fn refused_cases_say_what_they_must() {
    let found = find(&corpus(), &["refused".to_owned()]).expect("cases");
    let value = std::env::var("EGRET_BLESS").ok();
    if wants_bless(value.as_deref()).expect("known word") {
        bless(&found).expect("written");
    }
    let mut count = 0;
    for loaded in load(&found).expect("refused cases load") {
        let Loaded::Refused { name, expected, actual } = loaded else { panic!("not a refused case") };
        assert_eq!(actual, expected, "{name}; EGRET_BLESS=1 rewrites the message");
        count += 1;
    }
    assert!(count >= 9, "the corpus holds {count} refused cases");
    // A case that is only called so is an ordinary one.
    let named = find(&corpus(), &["cilium-network-policy/l7-dns/refused".to_owned()]).expect("found");
    assert!(!named[0].must_be_refused);
}

#[test]
fn the_committed_schema_is_the_types() {
    let path = corpus().join("schema.json");
    let now = serde_json::to_string_pretty(&json_schema()).expect("json") + "\n";
    if wants_bless(std::env::var("EGRET_BLESS").ok().as_deref()).expect("known word") {
        std::fs::write(&path, &now).expect("written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(committed, now, "`egret schema` prints another schema; EGRET_BLESS=1 rewrites the file");
}

#[test]
fn cases_of_the_corpus_name_their_source() {
    for found in find(&corpus(), &[]).expect("cases") {
        let exempt =
            ["refused/", "scenarios/", "regression/"].iter().any(|folder| found.name.starts_with(folder));
        let text = std::fs::read_to_string(&found.path).expect("readable");
        assert!(exempt || text.contains("\nspec: https://"), "{} has no `spec`", found.name);
    }
}

/// The table of `cases/README.md` names every decision vector once, and cases that are there.
#[test]
fn every_decision_vector_has_a_case_or_a_reason() {
    /// As many as the table of decisions has.
    const VECTORS: u32 = 45;
    let text = std::fs::read_to_string(corpus().join("README.md")).expect("readable");
    let (_, behind) = text.split_once("\n## Decision vectors\n").expect("the section");
    let table = behind.split_once("\n## ").map_or(behind, |(table, _)| table);
    let names: Vec<String> =
        find(&corpus(), &[]).expect("cases").into_iter().map(|found| found.name).collect();
    let mut vectors = Vec::new();
    for row in table.lines().filter(|line| line.starts_with("| ")).skip(2) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, numbers, _, shown, _] = cells.as_slice() else { panic!("not a row of three: {row}") };
        vectors.extend(numbers.split(", ").map(|number| number.parse::<u32>().expect("a number")));
        let cases: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        assert_eq!(cases.is_empty(), shown.starts_with("not simulated: "), "{row}");
        for case in cases {
            assert!(names.iter().any(|name| name == case), "there is no case `{case}`");
        }
    }
    vectors.sort_unstable();
    assert_eq!(vectors, (1..=VECTORS).collect::<Vec<_>>());
}

/// What the fast reader and the located tree make of every YAML file of the corpus must be the same.
#[test]
fn both_yaml_readers_agree_on_the_corpus() {
    let mut files = vec![corpus()];
    let mut count = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).expect("folder").map(|entry| entry.expect("entry").path()));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            let source = Source::new(&path, std::fs::read_to_string(&path).expect("readable"));
            let fast: Vec<serde_json::Value> = serde_yaml::Deserializer::from_str(&source.text)
                .map(|document| serde::Deserialize::deserialize(document).expect("yaml"))
                .collect();
            let tree = documents(&source).expect("yaml");
            let slow: Vec<serde_json::Value> =
                tree.iter().map(|tree| tree.root.read().expect("json")).collect();
            assert_eq!(fast, slow, "{}", path.display());
            count += 1;
        }
    }
    assert!(count > 30, "{count} files compared");
}

#[test]
fn a_case_is_found_by_name_folder_part_and_path() {
    let root = corpus();
    let names = |argument: &str| -> Vec<String> {
        let found = find(&root, &[argument.to_owned()]).expect("found");
        found.into_iter().map(|found| found.name).collect()
    };
    assert_eq!(names("tutorial"), ["tutorial"]);
    assert_eq!(names("network-policy/default-deny/egress"), ["network-policy/default-deny/egress"]);
    assert_eq!(names("cname"), ["cilium-network-policy/fqdn/cname"]);
    assert!(names("cilium-network-policy").len() > 10);
    let path = root.join("tutorial/case.yaml").display().to_string();
    assert_eq!(names(&path), ["tutorial"]);
    let problems = find(&root, &["tutoral".to_owned()]).expect_err("nothing");
    assert_eq!(problems[0].help.as_deref(), Some("did you mean `tutorial`?"));
}

#[test]
fn a_folder_of_ones_own_uses_the_built_in_world() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("mine.yaml");
    let text = "title: t\nworld: { use: [kube-dns], pods: { a: {} } }\nsteps: [{ expect: { a -> dns kubernetes.default: nxdomain } }]\n";
    std::fs::write(&path, text).expect("written");
    let loaded = load(&find(folder.path(), &[]).expect("found")).expect("loads");
    let [Loaded::Case(case)] = loaded.as_slice() else { panic!("one case") };
    assert_eq!(case.name, "mine");
    assert!(case.world.services.keys().any(|name| name.name == "kube-dns"));
    std::fs::create_dir(folder.path().join("worlds")).expect("folder");
    std::fs::write(folder.path().join("worlds/kube-dns.yaml"), "pods: {}\n").expect("written");
    let problems = load(&find(folder.path(), &[]).expect("found")).expect_err("a clash");
    assert!(problems[0].message.contains("built in"), "{}", problems[0].message);
}

#[test]
fn an_author_leads_to_its_line() {
    let found = find(&corpus(), &["tutorial".to_owned()]).expect("found");
    let Ok(Loaded::Case(case)) = load_one(&found[0]) else { panic!("a case") };
    let policy = PolicyId {
        kind: "CiliumNetworkPolicy".into(),
        namespace: Some("default".into()),
        name: "allow-egress-fqdn".into(),
    };
    let place = |author: &Author| {
        let places: Vec<_> = case.policies.of(author).iter().map(ToString::to_string).collect();
        places.iter().map(|place| place.rsplit('/').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let rule = Author::Rule { policy: policy.clone(), path: "egress[1].toPorts[0]".into() };
    assert_eq!(place(&rule), ["allow-egress-fqdn.yaml:19:11"]);
    assert_eq!(place(&Author::DefaultDeny { because: vec![policy] }), ["allow-egress-fqdn.yaml:4:9"]);
    assert!(place(&Author::Kubelet).is_empty());
}

#[test]
fn only_known_words_bless() {
    assert_eq!(wants_bless(None), Ok(false));
    assert_eq!(wants_bless(Some("1")), Ok(true));
    assert!(wants_bless(Some("yes")).is_err());
}
