//! Keys that are nearly right: one message about the word that is wrong, not about what it was taken for.

use super::piece::Piece;
use crate::diagnostic::{Diagnostic, nearest};

/// Words before the name of whoever is asked.
const KINDS: [&str; 3] = ["service", "node", "dns"];
/// What stands before `://`.
const SCHEMES: [&str; 2] = ["http", "https"];

/// What is wrong with a client that is no pod's name, `words` being those that may stand before a name.
pub(super) fn client(from: &Piece<'_>, words: &[&str]) -> Option<Diagnostic> {
    match from.words().as_slice() {
        [] => Some(missing(from, "client")),
        [_] => None,
        [first, ..] => Some(unknown(first, words)),
    }
}

/// What is wrong with a target that is none of those with a word of its own.
pub(super) fn target(to: &Piece<'_>) -> Option<Diagnostic> {
    let text = to.text();
    if let Some((scheme, _)) = to.split_once("://") {
        let problem = Diagnostic::error(format!("unknown scheme `{}`", scheme.text()));
        return Some(problem.at(scheme.location()).nearest(scheme.text(), &SCHEMES));
    }
    for scheme in SCHEMES {
        if let Some(rest) = text.strip_prefix(scheme)
            && (rest.starts_with(":/") || rest.starts_with("//"))
        {
            let rest = rest.trim_start_matches([':', '/']);
            let problem = Diagnostic::error(format!("`{text}` is no URL")).at(to.location());
            return Some(problem.help(format!("did you mean `{scheme}://{rest}`?")));
        }
    }
    match to.words().as_slice() {
        [] => Some(missing(to, "target")),
        [_] => None,
        [first, ..] if KINDS.contains(&first.text()) => None,
        [first, ..] if nearest(first.text(), &KINDS).is_some() => Some(unknown(first, &KINDS)),
        [_, .., last] if last.text() == "ping" || nearest(last.text(), &["icmp"]).is_some() => Some(
            Diagnostic::error(format!("unknown word `{}`", last.text()))
                .at(last.location())
                .help("did you mean `icmp`?"),
        ),
        [first, ..] if text.contains(':') => Some(unknown(first, &KINDS)),
        [..] => None,
    }
}

fn missing(side: &Piece<'_>, what: &str) -> Diagnostic {
    Diagnostic::error(format!("the {what} is missing"))
        .at(side.location())
        .help("write `from -> to: outcome`")
}

fn unknown(word: &Piece<'_>, words: &[&str]) -> Diagnostic {
    let problem = Diagnostic::error(format!("unknown word `{}`", word.text())).at(word.location());
    problem.nearest(word.text(), words)
}
