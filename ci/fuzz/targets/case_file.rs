//! A case file is refused with places inside its text, or it is a case with steps, the same each time.
#![no_main]

use std::sync::LazyLock;

use egret::case;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// Alone in its folder, so that the only other file a case can name is the built-in world.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

fuzz_target!(|text: &str| {
    let path = FOLDER.path().join("any.yaml");
    std::fs::write(&path, text).expect("written");
    match case::load_file(&path) {
        Ok(read) => {
            assert!(!read.steps.is_empty(), "a case without steps");
            let again = case::load_file(&path).expect("read once");
            assert_eq!(format!("{read:?}"), format!("{again:?}"));
        }
        Err(problems) => egret_fuzz::assert_says_where(&problems),
    }
});
