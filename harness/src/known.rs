//! Known failures of one subject: `cases/known/<subject>.yaml` lists cases that fail for a reason.
//!
//! ```yaml
//! - case: cilium-network-policy/fqdn/cname
//!   reason: the subject matches the canonical name too
//!   link: https://github.com/cilium/cilium/issues/1
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::compare::KnownReason;

/// Known failures by case name.
pub type Known = BTreeMap<String, KnownReason>;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    case: String,
    reason: String,
    link: String,
}

/// Why a list of known failures was not understood.
#[derive(Debug, thiserror::Error)]
pub enum InvalidKnown {
    /// The file is there and cannot be read.
    #[error("reading `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Not YAML, or not a list of `case`, `reason`, `link`.
    #[error("`{}`: {source}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        source: serde_yaml::Error,
    },
    /// A value is empty.
    #[error("`{}`: the entry for `{case}` has an empty `{key}`", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// The entry's case.
        case: String,
        /// The empty key.
        key: &'static str,
    },
    /// A case is listed twice.
    #[error("`{}`: `{case}` is listed twice", path.display())]
    Twice {
        /// The file.
        path: PathBuf,
        /// The case.
        case: String,
    },
}

/// Reads the list of one subject; a subject without a file has no known failures.
///
/// # Errors
/// The file cannot be read or understood.
pub fn read(cases: &Path, subject: &str) -> Result<Known, InvalidKnown> {
    let path = cases.join("known").join(format!("{subject}.yaml"));
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&path, &text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Known::new()),
        Err(source) => Err(InvalidKnown::Read { path, source }),
    }
}

fn parse(path: &Path, text: &str) -> Result<Known, InvalidKnown> {
    let path = || path.to_path_buf();
    let entries: Vec<Entry> =
        serde_yaml::from_str(text).map_err(|source| InvalidKnown::Shape { path: path(), source })?;
    let mut known = Known::new();
    for Entry { case, reason, link } in entries {
        let empty =
            [("reason", &reason), ("link", &link)].into_iter().find(|(_, value)| value.trim().is_empty());
        if let Some((key, _)) = empty {
            return Err(InvalidKnown::Empty { path: path(), case, key });
        }
        if known.insert(case.clone(), KnownReason { reason, link }).is_some() {
            return Err(InvalidKnown::Twice { path: path(), case });
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_needs_all_three() {
        let parse = |text| parse(Path::new("known/lab.yaml"), text).map_err(|error| error.to_string());
        let known = parse("- case: a/b\n  reason: slow\n  link: https://x\n").unwrap();
        assert_eq!(known["a/b"].reason, "slow");
        assert!(parse("- case: a\n  reason: r\n").unwrap_err().contains("missing field `link`"));
        assert_eq!(
            parse("- { case: a, reason: '', link: l }").unwrap_err(),
            "`known/lab.yaml`: the entry for `a` has an empty `reason`"
        );
        let twice = "- { case: a, reason: r, link: l }\n- { case: a, reason: r, link: l }";
        assert_eq!(parse(twice).unwrap_err(), "`known/lab.yaml`: `a` is listed twice");
    }

    #[test]
    fn no_file_means_no_known_failures() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path(), "lab").unwrap().is_empty());
    }
}
