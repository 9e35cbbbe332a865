//! A regular expression of an HTTP rule means the same inside a group, and a quoted text means itself.
#![no_main]

use egret_core::http::Pattern;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // The first line is the expression, the rest the text to match.
    let (expression, text) = text.split_once('\n').unwrap_or((text, ""));
    if !text.contains(r"\E")
        && let Ok(quoted) = Pattern::new(&format!(r"\Q{text}\E"))
    {
        assert!(quoted.matches(text), "a quoted text does not match itself");
        assert!(!quoted.matches(&format!("{text}x")) && !quoted.matches(&format!("x{text}")));
    }
    let Ok(read) = Pattern::new(expression) else { return };
    assert_eq!(read.text(), expression);
    // A quotation may be open at the end, and then takes the group's end into itself.
    if !expression.contains(r"\Q")
        && let Ok(group) = Pattern::new(&format!("(?:{expression})"))
    {
        assert_eq!(group.matches(text), read.matches(text), "in a group it means something else");
    }
});
