//! A DNS name pattern matches what a small matcher of its own, over sets of positions, says.
#![no_main]

use egret_core::selector::NamePattern;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // The first line is the pattern, the rest the name.
    let (pattern, name) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(read) = NamePattern::pattern(pattern) else { return };
    assert_eq!(
        NamePattern::pattern(read.text()).as_ref(),
        Ok(&read),
        "normalising twice changes the pattern"
    );
    let ours = normal(name);
    assert_eq!(read.text(), normal(pattern));
    assert_eq!(read.matches(name), matches(read.text(), &ours), "`{}` and `{ours}`", read.text());
    let as_name = NamePattern::name(pattern);
    assert_eq!(as_name.is_ok(), !pattern.contains('*'));
    assert!(as_name.is_err() || read.matches(pattern), "a name does not match itself");
});

fn normal(name: &str) -> String {
    let name = name.trim();
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Keeps the positions of the name up to which the pattern so far matches.
fn matches(pattern: &str, name: &str) -> bool {
    if pattern.chars().all(|character| character == '*') {
        return true;
    }
    let name = name.as_bytes();
    let mut reached = vec![false; name.len() + 1];
    let rest = match pattern.trim_start_matches('*').strip_prefix('.') {
        // Several stars, then a dot: behind each dot that ends one or more whole labels.
        Some(rest) if pattern.starts_with("**") => {
            for (at, _) in name.iter().enumerate().filter(|(_, byte)| **byte == b'.') {
                reached[at + 1] = name[..at].split(|byte| *byte == b'.').all(is_label);
            }
            rest
        }
        _ => {
            reached[0] = true;
            pattern
        }
    };
    for byte in rest.bytes() {
        if byte == b'*' {
            for at in 0..name.len() {
                reached[at + 1] |= reached[at] && is_label(&name[at..=at]);
            }
        } else {
            reached = (0..=name.len()).map(|at| at > 0 && reached[at - 1] && name[at - 1] == byte).collect();
        }
    }
    reached[name.len()]
}

fn is_label(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
}
