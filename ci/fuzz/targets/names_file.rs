//! A file of learned names is refused with places inside its text, or every address in it is one that was learned.
#![no_main]

use egret::source::Source;
use egret::verdict::names_of_source;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match names_of_source(&Source::new("names.yaml", text)) {
        Ok(names) => {
            for (address, learned) in names.addresses() {
                assert!(!learned.is_empty(), "{address} without a name");
                assert_eq!(names.names_of(address).len(), learned.len());
            }
        }
        Err(problems) => egret_fuzz::assert_says_where(&problems),
    }
});
