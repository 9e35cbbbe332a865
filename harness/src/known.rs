//! Known failures of one subject: `cases/known/<subject>.yaml` lists cases that fail for a reason.
//!
//! ```yaml
//! - case: cilium-network-policy/fqdn/cname
//!   reason: the subject matches the canonical name too
//!   link: https://github.com/cilium/cilium/issues/1
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::compare::KnownReason;
use crate::diagnostic::Diagnostic;
use crate::input::open;
use crate::source::Source;
use crate::yaml::{Located, documents};

/// Known failures by case name.
pub type Known = BTreeMap<String, KnownReason>;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    case: Located<String>,
    reason: Located<String>,
    link: Located<String>,
}

/// Reads the list of one subject; a subject without a file has no known failures.
///
/// # Errors
/// The file cannot be read, or everything that is wrong with it.
pub fn read(cases: &Path, subject: &str) -> Result<Known, Vec<Diagnostic>> {
    let path = cases.join("known").join(format!("{subject}.yaml"));
    if !path.exists() {
        return Ok(Known::new());
    }
    read_file(&path)
}

/// Reads a list by its path, which must be there.
///
/// # Errors
/// As for [`read`].
pub fn read_file(path: &Path) -> Result<Known, Vec<Diagnostic>> {
    of_source(&open(path, path).map_err(|problem| vec![*problem])?)
}

/// Reads a list from its text.
///
/// # Errors
/// Everything that is wrong with it.
pub fn of_source(source: &Arc<Source>) -> Result<Known, Vec<Diagnostic>> {
    let (mut known, mut problems) = (Known::new(), Vec::new());
    for document in documents(source)? {
        for Entry { case, reason, link } in document.read::<Vec<Entry>>()? {
            let empty = [("reason", &reason), ("link", &link)]
                .into_iter()
                .find(|(_, text)| text.value.trim().is_empty());
            if let Some((key, text)) = empty {
                let problem = format!("the entry for `{}` has an empty `{key}`", case.value);
                problems.push(Diagnostic::error(problem).at(text.at.in_source(source)));
            }
            let why = KnownReason { reason: reason.value, link: link.value };
            if known.insert(case.value.clone(), why).is_some() {
                let problem = format!("`{}` is listed twice", case.value);
                problems.push(Diagnostic::error(problem).at(case.at.in_source(source)));
            }
        }
    }
    if problems.is_empty() { Ok(known) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_needs_all_three() {
        let read = |text: &str| {
            of_source(&Source::new("known/lab.yaml", text)).map_err(|problems| {
                let at = problems[0].location.as_ref().map(ToString::to_string);
                format!("{} {}", at.unwrap_or_default(), problems[0].message)
            })
        };
        let known = read("- case: a/b\n  reason: slow\n  link: https://x\n").unwrap();
        assert_eq!(known["a/b"].reason, "slow");
        let wrong = [
            ("- case: a\n  reason: r\n", "known/lab.yaml:1:3 the key `link` is missing in `[0]`"),
            (
                "- { case: a, reason: '', link: l }",
                "known/lab.yaml:1:22 the entry for `a` has an empty `reason`",
            ),
            (
                "- { case: a, reason: r, link: l }\n- { case: a, reason: r, link: l }",
                "known/lab.yaml:2:11 `a` is listed twice",
            ),
        ];
        for (text, expected) in wrong {
            assert_eq!(read(text).unwrap_err(), expected);
        }
    }

    #[test]
    fn the_lists_of_this_repository_name_its_cases() {
        let cases = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../cases"));
        let lists = std::fs::read_dir(cases.join("known")).unwrap();
        let entries = lists.flat_map(|list| read_file(&list.unwrap().path()).unwrap());
        let entries: Vec<_> = entries.collect();
        assert!(!entries.is_empty());
        for (case, why) in entries {
            assert!(cases.join(format!("{case}.yaml")).is_file(), "there is no case `{case}`");
            assert!(why.link.starts_with("https://"), "{case}: {}", why.link);
        }
    }

    #[test]
    fn no_file_means_no_known_failures() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path(), "lab").unwrap().is_empty());
    }
}
