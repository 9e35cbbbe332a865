//! Each line that is not empty is answered with one line of JSON, and a bad one is counted.
#![no_main]

use std::io::BufReader;
use std::sync::LazyLock;

use egret::case::PolicyLocations;
use egret::verdict::answer_lines;
use egret_core::judge::Cluster;
use libfuzzer_sys::fuzz_target;

static CLUSTER: LazyLock<(Cluster, PolicyLocations)> = LazyLock::new(egret_fuzz::cluster);

fn answers(input: &[u8]) -> (String, u64, u64) {
    let (cluster, places) = &*CLUSTER;
    let mut out = Vec::new();
    let counts = answer_lines(cluster, places, BufReader::new(input), &mut out).expect("memory");
    (String::from_utf8(out).expect("JSON is UTF-8"), counts.lines, counts.bad)
}

fuzz_target!(|input: &[u8]| {
    let (text, lines, bad) = answers(input);
    let asked =
        input.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count() as u64;
    assert_eq!(lines, asked);
    let mut errors = 0;
    for line in text.lines() {
        let answer: serde_json::Value = serde_json::from_str(line).expect("an answer is JSON");
        let (verdict, error) = (answer.get("verdict"), answer.get("error"));
        assert!(answer.get("id").is_some() && verdict.is_some() != error.is_some(), "{line}");
        errors += u64::from(error.is_some());
    }
    assert_eq!((text.lines().count() as u64, errors), (lines, bad));
    assert_eq!(answers(input).0, text, "asked twice, two answers");
});
