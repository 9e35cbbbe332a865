//! Places, errors and agreement of the two YAML readers.

use proptest::prelude::*;
use rstest::rstest;
use serde::Deserialize;

use super::*;
use crate::diagnostic::{Style, render_all};

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Sample {
    title: String,
    #[serde(default)]
    ports: Vec<Short<u16, Named>>,
    #[serde(default)]
    words: Vec<Word>,
    #[serde(default)]
    expect: Entries<Located<String>>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
    port: u16,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Word {
    Clock(String),
    Restart,
}

/// In a policy, an item that is nothing would become a rule that allows everything.
#[test]
fn a_list_item_that_is_nothing_is_refused_in_manifests_too() {
    #[derive(Clone, Copy)]
    struct SampleShape;
    impl Shape for SampleShape {
        type Output = Lists;
        fn deserialize<'de, D: serde::Deserializer<'de>>(self, from: D) -> Result<Lists, D::Error> {
            Lists::deserialize(from)
        }
    }
    #[derive(Debug, Deserialize)]
    struct Lists {
        #[expect(dead_code, reason = "only that it cannot be read counts")]
        ingress: Vec<Rule>,
    }
    #[derive(Debug, Deserialize)]
    struct Rule {}
    let text = "kind: Sample\nmetadata: {}\ningress:\n  - ~\n";
    let manifest = manifests(&Source::new("sample.yaml", text)).expect("yaml").remove(0);
    let problems = manifest.read(SampleShape).expect_err("an empty item");
    assert_eq!(problems[0].location.as_ref().expect("a place").line, 4, "{problems:?}");
}

fn document(text: &str) -> Document {
    documents(&Source::new("sample.yaml", text)).expect("yaml").remove(0)
}

#[test]
fn a_tree_knows_the_place_of_every_value() {
    let text = "# ä\na:\n  - k: v\n    \"é\": 'x'\n---\nb: |\n  one\n  two\nc: { d: [1, no] }\n";
    let documents = documents(&Source::new("sample.yaml", text)).expect("yaml");
    let show = |location: Location| format!("{location} {:?}", location.text());
    assert_eq!(show(documents[0].locate("a[0].k")), "sample.yaml:3:8 \"v\"");
    assert_eq!(show(documents[0].locate("a[0].é")), "sample.yaml:4:10 \"'x'\"");
    assert_eq!(show(documents[1].locate("b")), "sample.yaml:7:3 \"one\\n  two\\n\"");
    assert_eq!(show(documents[1].locate("c.d[1]")), "sample.yaml:9:13 \"no\"");
    assert_eq!(
        documents[1].root.get("c").and_then(|c| c.get("d")).and_then(|d| d.item(1)).and_then(Node::text),
        Some("no")
    );
}

#[test]
fn a_type_is_read_with_places() {
    let sample: Sample = document(
        "title: t\nports: [80, { name: http, port: 8080 }]\nwords: [clock: 2h, restart]\nexpect:\n  a -> b:80: ok\n",
    )
    .read()
    .expect("fits");
    assert_eq!(sample.ports, [Short::Word(80), Short::Long(Named { name: "http".into(), port: 8080 })]);
    assert_eq!(sample.words, [Word::Clock("2h".into()), Word::Restart]);
    let (key, value) = &sample.expect.0[0];
    assert_eq!((key.value.as_str(), key.at.line, key.at.column), ("a -> b:80", 5, 3));
    assert_eq!((value.value.as_str(), value.at.column), ("ok", 14));
}

#[test]
fn every_error_is_reported_with_its_place() {
    let text =
        "titel: t\nports: [80, 99999, { name: 1, port: 2 }]\nwords: [clok: 2h, restart: now]\nexpect: [x]\n";
    let errors = document(text).read::<Sample>().expect_err("does not fit");
    insta::assert_snapshot!(render_all(&errors, Style::Plain));
}

#[test]
fn text_that_is_no_yaml_is_shown() {
    let broken = ["a: 1\na: 2\n", "a: [1\n", "a: ä\n  b: 2", "x: *nope", "a: \"x"];
    let errors: Vec<_> = broken
        .iter()
        .flat_map(|text| documents(&Source::new("broken.yaml", *text)).expect_err("broken"))
        .collect();
    insta::assert_snapshot!(render_all(&errors, Style::Plain));
}

/// As the API server, which reads YAML as JSON.
#[rstest]
#[case::tags("a: 1\n!x a: 2\n", Some(2))]
#[case::other_tags("!x a: 1\n!y a: 2\n", Some(2))]
#[case::quotes("a: 1\n'a': !x 2\n", Some(2))]
#[case::numbers("a: &x\n  1: 1\n  \"1\": 2\n", Some(3))]
#[case::in_many(format!("- &x\n{}", (0..40).map(|key| format!("  k{}: x\n", key % 39)).collect::<String>()).leak(), Some(41))]
#[case::other_mappings("- &x { a: 1 }\n- { a: { a: 2 } }\n", None)]
#[case::merged("x: &x { a: 1, b: 2 }\ny: { a: 3, <<: *x }\n", None)]
fn a_key_is_its_text(#[case] text: &str, #[case] line: Option<usize>) {
    let read = documents(&Source::new("twice.yaml", text));
    let problem = read.err().map(|problems| {
        assert!(problems[0].message.contains("stands twice in one mapping"), "{problems:?}");
        problems[0].location.as_ref().expect("a place").line
    });
    assert_eq!(problem, line);
}

/// YAML ends lines at carriage returns too; message and picture say the same line.
#[test]
fn carriage_returns_end_lines_in_places_and_pictures() {
    for end in ["\r", "\r\n", "\n"] {
        let text = ["# é", "a: 1", "---", "kind: b", "kind: c", "x: y", ""].join(end);
        let problems = documents(&Source::new("cr.yaml", text)).expect_err("a key twice");
        let at = problems[0].location.as_ref().expect("a place");
        assert_eq!((at.line, at.column), (5, 1), "{end:?}");
        let picture = render_all(&problems, Style::Plain);
        assert!(picture.contains("cr.yaml:5:1") && picture.contains("5 | kind: c"), "{end:?}: {picture}");
    }
}

#[test]
fn paths_are_read_as_written() {
    for text in ["spec.egress[0].toCIDR[1]", "a", "", "labels[a.b/c].d[2][3]"] {
        assert_eq!(Path::parse(text).to_string(), text);
    }
}

#[test]
fn documents_are_counted_alike() {
    let source =
        Source::new("m.yaml", "---\n# nothing\n---\nkind: A\n---\n~\n---\nkind: B\nx: [\"on\", y]\n");
    let kinds: Vec<_> = manifests(&source)
        .expect("yaml")
        .iter()
        .map(|manifest| (manifest.text(&["kind"]).map(str::to_owned), manifest.locate("kind").to_string()))
        .collect();
    assert_eq!(kinds, [(Some("A".into()), "m.yaml:4:7".into()), (Some("B".into()), "m.yaml:8:7".into())]);
}

proptest! {
    #[test]
    fn no_text_brings_the_reader_down(text in "\\PC*|[-:{}\\[\\]&*!|>'\"#%@, \\n a-c]*") {
        let source = Source::new("any.yaml", text);
        if let Err(problems) = documents(&source) {
            prop_assert!(!render_all(&problems, Style::Plain).is_empty());
        }
    }

    #[test]
    fn every_scalar_is_where_its_place_says(words in prop::collection::vec("[a-zäöü][a-zäöü0-9]{0,8}", 1..8)) {
        let keys: Vec<_> = (0..words.len()).map(|number| format!("k{number}")).collect();
        let lines: String = keys.iter().zip(&words).map(|(key, word)| format!("{key}: [é, x{word}]\n")).collect();
        let document = document(&lines);
        for (key, word) in keys.iter().zip(&words) {
            let location = document.locate(&format!("{key}[1]"));
            let expected = format!("x{word}");
            prop_assert_eq!(location.text(), expected.as_str());
        }
    }
}
