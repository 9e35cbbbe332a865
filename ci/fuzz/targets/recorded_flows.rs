//! A record is refused with its line, or read whole; and no change changes nothing.
#![no_main]

use std::sync::LazyLock;

use egret::case::PolicyLocations;
use egret::diff::{Difference, InvalidRecord, Version, read_record};
use egret_core::judge::Cluster;
use libfuzzer_sys::fuzz_target;

static CLUSTER: LazyLock<(Cluster, PolicyLocations)> = LazyLock::new(egret_fuzz::cluster);

fuzz_target!(|input: &[u8]| {
    let lines: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    match read_record(input) {
        Ok(record) => {
            let is_blank = |line: &&&[u8]| std::str::from_utf8(line).is_ok_and(|text| text.trim().is_empty());
            assert_eq!(record.len(), lines.len() - lines.iter().filter(is_blank).count());
            let (cluster, places) = &*CLUSTER;
            let version = Version { cluster, places };
            let difference = Difference::of_record(version, version, &record);
            assert!(difference.workloads.is_empty(), "no change, and yet {}", difference.text());
            let count = difference.recorded.expect("a record was compared");
            assert_eq!(count.judged + count.unknown + count.skipped, record.len());
        }
        Err(InvalidRecord::Line { line, problem }) => {
            assert!((1..=lines.len()).contains(&line) && !problem.is_empty(), "line {line}: {problem}");
        }
        Err(InvalidRecord::Read(error)) => panic!("memory can be read: {error}"),
    }
});
