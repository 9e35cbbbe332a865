//! The quick pass against the full parser: what it reads, both read alike; and how much it reads.

use proptest::prelude::*;
use rstest::rstest;

use super::super::{Document, chunks, documents_by_parser};
use super::{Quick, read};
use crate::source::Source;
use crate::yaml::node::Node;

/// What the quick pass reads of a text, after a look at what the full parser says.
fn checked(text: &str) -> Option<Node> {
    let source = Source::new("any.yaml", text);
    let chunks = chunks(text);
    let [chunk] = chunks.as_slice() else { return None };
    let quick = match read(text, chunk) {
        Quick::Document(root) => Some(root),
        Quick::Nothing => None,
        Quick::TooMany(_) => panic!("{} bytes are too many values", text.len()),
        Quick::Other => return None,
    };
    let full: Vec<Node> = documents_by_parser(&source)
        .unwrap_or_else(|problems| panic!("read though it is wrong: {text:?}: {problems:?}"))
        .into_iter()
        .map(|Document { root, .. }| root)
        .collect();
    assert_eq!(full, quick.as_slice(), "{text:?}");
    quick
}

#[rstest]
#[case::block("a: b\nc:\n  d: e\n  f:\n    - g\n    - h: i\n      j: k\n    -   l: m\n")]
#[case::list_beside_key("a:\n- b\n- c: d\ne: f\n")]
#[case::nested_lists("- - a\n  - b\n-\n  - c\n- d\n")]
#[case::comments("# x\na: b # c\n# d\n\nc: # e\n  # f\n  d: e\n   # g\n")]
#[case::quotes("a: 'it''s'\nb: \"x\\n\\\"y\\\"\"\n'c d': e\n\"f\" : g\n")]
#[case::flow("a: { b: c, 'd': [e, 1, \"f\"], g: {}, h: [] }\nb: [x, { y: z }]\n")]
#[case::flow_over_lines("a: [\n  b,\n\n  c\n  ]\n")]
#[case::json("{\"a\":1,\"b\":[true,null,\"c\"],\n\"d\":{\"e\":\"f\"}}\n")]
#[case::mark("---\na: b\n")]
#[case::marked_comment("--- # x\na: b\n")]
#[case::no_end("a: b")]
#[case::numbers("a: 8080\nb: 0\n80: c\n")]
#[case::texts(
    "a: 10.0.0.0/8\nb: 1.2.3.4\nc: 30s\nd: yes\ne: on\nf: -x\ng: a b:c #d\nh: http://x/y\ni: fd00::1\nj: 5d\n"
)]
#[case::keys("app.kubernetes.io/name: a\nk8s:io.cilium: b\n_x: c\n/y: d\n")]
#[case::umlauts("# ä\nä: ö # ü\nb: { \"é\": [x, ü], c: 日本 }\n")]
#[case::blanks_at_ends("a:  b  \nc:  \n  d: e  \n-x: y\n")]
fn plain_yaml_is_read_alike(#[case] text: &str) {
    assert!(checked(text).is_some(), "left to the full parser: {text:?}");
}

#[rstest]
#[case::twice("a: 1\na: 2\n")]
#[case::twice_in_many((0..40).map(|key| format!("k{}: x\n", key % 39)).collect::<String>().leak())]
#[case::anchor("a: &x b\nc: *x\n")]
#[case::merge("<<: { a: b }\n")]
#[case::tag("a: !!str b\n")]
#[case::block_text("a: |\n  b\n")]
#[case::longer_text("a: b\n  c\n")]
#[case::colon("a: b: c\n")]
#[case::list_in_line("a: - b\n")]
#[case::nothing("a:\nb: c\n")]
#[case::no_item("- a\n-\n")]
#[case::tab("a:\tb\n")]
#[case::carriage_return("a: b\r\n")]
#[case::line_end_of_old("a: b\u{85}c\n")]
#[case::no_letter("a: \u{ffff}\n")]
#[case::float("a: 1.5\n")]
#[case::octal("a: 0o17\nb: 017\n")]
#[case::less_indented("  a: b\nc: d\n")]
#[case::more_indented("a: b\n  c: d\n")]
#[case::list_then_key("- a\nb: c\n")]
#[case::open("a: [b\n")]
#[case::open_quote("a: 'b\n")]
#[case::bracket_below("a: [\nb]\n")]
#[case::behind_bracket("a: [b] c\n")]
#[case::pair_in_list("a: [b: c]\n")]
#[case::comma("a: [b, ]\n")]
#[case::second("a: b\n---\nc: d\n")]
#[case::end("a: b\n...\n")]
#[case::deep("- ".repeat(60).leak())]
#[case::empty("")]
fn what_is_not_plain_is_left_to_the_full_parser(#[case] text: &str) {
    assert_eq!(checked(text), None);
}

/// Lines as they stand in manifests, and as they do not.
fn lines() -> impl Strategy<Value = String> {
    let key = "[a-c]|'[a-c]'|\"d\"|[1-9]|x-y|a\\.b/c";
    let value = prop_oneof![
        "[a-zé]{1,3}",
        "[0-9]{1,3}",
        "[-a-z0-9 .:#,'\"/]{1,6}",
        "'[a-z# :]{0,3}'",
        "\"[a-z:{]{0,3}\"",
        Just(String::new()),
        "\\[[a-c1, ]{0,5}\\]",
        "\\{ ?[a-c]: ?[a-c1]?,? ?\\}",
        "\\{\"a\":[1a]\\}",
        "true|null|~|1\\.2\\.3\\.4|1/2|1e3",
    ];
    let line = (
        0..4_usize,
        prop_oneof![3 => Just(""), 2 => Just("- "), 1 => Just("-   "), 1 => Just("- - ")],
        prop::option::weighted(0.8, key),
        value,
        prop_oneof![8 => Just(""), 1 => Just(" # x"), 1 => Just("  ")],
    )
        .prop_map(|(indent, dash, key, value, end)| {
            let key = key.map_or(String::new(), |key| format!("{key}: "));
            format!("{}{dash}{key}{value}{end}\n", "  ".repeat(indent))
        });
    prop::collection::vec(line, 1..7).prop_map(|lines| lines.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn both_read_alike(text in lines()) {
        checked(&text);
    }

    #[test]
    fn both_read_any_text_alike(text in "[-:{}\\[\\],#'\" \\n?&*!|>%@a1.ä]{1,24}") {
        checked(&text);
    }
}
