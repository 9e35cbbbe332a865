//! The corpus loads, refused cases say what they must, the schema does not drift.

use std::path::PathBuf;

use super::*;
use crate::diagnostic::{Style, render_all};

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
fn only_known_words_bless() {
    assert_eq!(wants_bless(None), Ok(false));
    assert_eq!(wants_bless(Some("1")), Ok(true));
    assert!(wants_bless(Some("yes")).is_err());
}
