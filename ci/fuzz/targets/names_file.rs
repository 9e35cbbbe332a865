//! A file of learned names is refused with places inside its text, or every address in it is one that was learned.
#![no_main]

use egret::source::Source;
use egret::verdict::names_of_source;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match names_of_source(&Source::new("names.yaml", text)) {
        Ok(names) => {
            for address in names.addresses() {
                assert!(names.of(address).next().is_some(), "{address} without a name");
            }
        }
        Err(problems) => egret_fuzz::assert_says_where(&problems),
    }
});
