//! DNS names against `matchName` and `matchPattern`, by trying every way (policy semantics 4.2 and 15 row 25).

use alloc::string::String;

use crate::spec::cilium_network_policy::NameRule;

/// Whether a name is meant.
pub(super) fn matches(written: &NameRule, name: &str) -> bool {
    match (&written.match_name, &written.match_pattern) {
        (Some(wanted), _) => plain(wanted) == plain(name),
        (None, Some(pattern)) => fits_pattern(pattern, name),
        (None, None) => false,
    }
}

/// Whether a name fits a pattern.
pub(super) fn fits_pattern(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (plain(pattern), plain(name));
    let stars = pattern.bytes().take_while(|byte| *byte == b'*').count();
    if stars == pattern.len() {
        return true;
    }
    match pattern.get(stars..).and_then(|rest| rest.strip_prefix('.')) {
        // One or more whole labels, and then the rest.
        Some(rest) if stars >= 2 => name.match_indices('.').any(|(dot, _)| {
            let (labels, after) = name.split_at(dot);
            let whole = labels.split('.').all(|label| !label.is_empty() && label.bytes().all(in_label));
            whole && after.strip_prefix('.').is_some_and(|after| fits(rest.as_bytes(), after.as_bytes()))
        }),
        Some(_) | None => fits(pattern.as_bytes(), name.as_bytes()),
    }
}

/// A star takes any number of characters, but no dot.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some((b'*', rest)), next) => {
            fits(rest, name) || next.is_some_and(|(byte, after)| in_label(*byte) && fits(pattern, after))
        }
        (Some((wanted, rest)), Some((byte, after))) => wanted == byte && fits(rest, after),
        (Some(_), None) => false,
    }
}

fn in_label(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// In lower case, without blanks around it and without the last dot.
pub(super) fn plain(name: &str) -> String {
    let name = name.trim().to_ascii_lowercase();
    name.strip_suffix('.').unwrap_or(&name).into()
}
