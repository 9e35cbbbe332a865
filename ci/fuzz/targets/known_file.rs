//! A list of known failures is refused with places inside its text, or each of its entries says why.
#![no_main]

use egret::known::of_source;
use egret::source::Source;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match of_source(&Source::new("model.yaml", text)) {
        Ok(known) => {
            for (case, why) in known {
                let is_empty = why.reason.trim().is_empty() || why.link.trim().is_empty();
                assert!(!is_empty, "`{case}` is known for no reason");
            }
        }
        Err(problems) => egret_fuzz::assert_says_where(&problems),
    }
});
