//! Finding and reading cases.
//!
//! Below the cases folder every `NAME.yaml` is a case called by its path without `.yaml`. A folder that holds
//! `case.yaml` is one case, called by the folder; the other files in it are what that case refers to. Folders
//! called `worlds` and `known`, and names that begin with a point, hold no cases. What stands in a folder
//! called `refused` must be refused, with the message in `NAME.stderr` beside it.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::lower::{Files, lower};
use super::{Case, Found, Loaded};
use crate::diagnostic::{Diagnostic, Style, nearest, render_all};

/// Folders without cases.
const NO_CASES: [&str; 2] = ["worlds", "known"];
/// The folder whose cases must be refused.
const REFUSED: &str = "refused";

/// Finds cases without opening any: all below `root`, or those that the arguments name.
///
/// An argument is a path of a file or folder, the name of a case or of a folder of cases, or a part of names.
///
/// # Errors
/// An argument that finds nothing, or two files for one name.
pub fn find(root: &Path, arguments: &[String]) -> Result<Vec<Found>, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    let mut add = |cases: Vec<Found>, problems: &mut Vec<Diagnostic>| {
        for case in cases {
            if let Some(other) = found.get(&case.name)
                && other.path != case.path
            {
                problems.push(
                    Diagnostic::error(format!("two files are the case `{}`", case.name))
                        .note(other.path.display().to_string())
                        .note(case.path.display().to_string()),
                );
            }
            found.insert(case.name.clone(), case);
        }
    };
    // A path on the command line needs no cases folder.
    let all = if root.exists() || arguments.is_empty() { walk(root, root)? } else { Vec::new() };
    if arguments.is_empty() {
        if all.is_empty() {
            problems.push(Diagnostic::error(format!("no case found below `{}`", root.display())));
        }
        add(all.clone(), &mut problems);
    }
    for argument in arguments {
        let named: Vec<_> = all.iter().filter(|case| is_named(&case.name, argument)).cloned().collect();
        let path = Path::new(argument);
        let cases = if !named.is_empty() {
            named
        } else if path.exists() {
            at_path(root, path)?
        } else {
            all.iter().filter(|case| case.name.contains(argument.as_str())).cloned().collect()
        };
        if cases.is_empty() {
            let names: Vec<_> = all.iter().map(|case| case.name.as_str()).collect();
            let problem = Diagnostic::error(format!("no case found for `{argument}`"));
            problems.push(match nearest(argument, &names) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem.help("`egret list` shows what there is"),
            });
        }
        add(cases, &mut problems);
    }
    if problems.is_empty() { Ok(found.into_values().collect()) } else { Err(problems) }
}

/// Reads the cases that were found.
///
/// # Errors
/// Everything that is wrong with any of them, except with those that must be refused.
pub fn load(found: &[Found]) -> Result<Vec<Loaded>, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let mut loaded = Vec::new();
    for case in found {
        match load_one(case) {
            Ok(case) => loaded.push(case),
            Err(wrong) => problems.extend(wrong),
        }
    }
    if problems.is_empty() { Ok(loaded) } else { Err(problems) }
}

/// Reads one case that was found.
///
/// # Errors
/// Everything that is wrong with it, unless it must be refused.
pub fn load_one(found: &Found) -> Result<Loaded, Vec<Diagnostic>> {
    if !found.must_be_refused {
        let files = Files { base: PathBuf::new(), root: found.root.clone() };
        return lower(&found.name, &found.path, &files).map(|case| Loaded::Case(Box::new(case)));
    }
    let message = found.path.with_extension("stderr");
    let expected = std::fs::read_to_string(&message).unwrap_or_default();
    Ok(Loaded::Refused {
        name: found.name.clone(),
        expected,
        actual: refusal(found).unwrap_or_else(|| "the case was not refused\n".to_owned()),
    })
}

/// The messages of a case that must be refused, with paths relative to the cases folder, so that they are the
/// same wherever the folder stands; `None` when it is not refused.
fn refusal(found: &Found) -> Option<String> {
    let files = Files { base: found.root.clone(), root: PathBuf::new() };
    let path = found.path.strip_prefix(&found.root).unwrap_or(&found.path);
    lower(&found.name, path, &files).err().map(|problems| render_all(&problems, Style::Plain))
}

/// Writes the messages of refused cases as they are now; see `EGRET_BLESS`. A case that is not refused has no
/// message, and its file stays as it is.
///
/// # Errors
/// A file cannot be written.
pub fn bless(found: &[Found]) -> Result<(), std::io::Error> {
    for case in found.iter().filter(|case| case.must_be_refused) {
        if let Some(message) = refusal(case) {
            std::fs::write(case.path.with_extension("stderr"), message)?;
        }
    }
    Ok(())
}

/// Whether `EGRET_BLESS` asks for messages to be rewritten.
///
/// # Errors
/// The variable holds an unknown word.
pub fn wants_bless(value: Option<&str>) -> Result<bool, Vec<Diagnostic>> {
    match value {
        None | Some("" | "0") => Ok(false),
        Some("1") => Ok(true),
        Some(other) => Err(vec![
            Diagnostic::error(format!("unknown value `{other}` of EGRET_BLESS"))
                .help("`1` rewrites the messages of refused cases, `0` does not"),
        ]),
    }
}

/// Reads one case from a file that need not stand in a cases folder.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load_file(path: &Path) -> Result<Case, Vec<Diagnostic>> {
    let root = path.parent().unwrap_or(Path::new("")).to_owned();
    let found = one(&root, path);
    lower(&found.name, path, &Files { base: PathBuf::new(), root })
}

/// Exactly this case, or a case in this folder.
fn is_named(name: &str, argument: &str) -> bool {
    let argument = argument.trim_end_matches('/');
    name.strip_prefix(argument).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Cases of a path on the command line. Names stay relative to the cases folder where the path lies in it.
fn at_path(root: &Path, path: &Path) -> Result<Vec<Found>, Vec<Diagnostic>> {
    let same = |path: &Path| path.canonicalize().ok();
    let is_inside = same(path).zip(same(root)).is_some_and(|(path, root)| path.starts_with(root));
    let is_file = path.is_file();
    let folder = if is_file { path.parent().unwrap_or(Path::new("")) } else { path };
    let holds_case = !is_file && path.join("case.yaml").is_file();
    let own_root = if is_inside {
        root.to_owned()
    } else if holds_case || is_file && path.file_name().is_some_and(|name| name == "case.yaml") {
        folder.parent().unwrap_or(Path::new("")).to_owned()
    } else {
        folder.to_owned()
    };
    if is_file { Ok(vec![one(&own_root, path)]) } else { walk(&own_root, path) }
}

/// Cases below a folder, ordered by name.
fn walk(root: &Path, folder: &Path) -> Result<Vec<Found>, Vec<Diagnostic>> {
    let case = folder.join("case.yaml");
    if case.is_file() {
        return Ok(vec![one(root, &case)]);
    }
    let cannot = |error: std::io::Error| {
        vec![
            Diagnostic::error(format!("cannot read the folder `{}`: {error}", folder.display()))
                .help("`--cases` names the folder that holds the cases"),
        ]
    };
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let path = entry.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with('.') || NO_CASES.contains(&name) {
            continue;
        }
        // A link to a folder is not followed: it could lead in a circle.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            cases.extend(walk(root, &path)?);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            cases.push(one(root, &path));
        }
    }
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(cases)
}

fn one(root: &Path, path: &Path) -> Found {
    let same = |path: &Path| path.canonicalize().ok();
    let relative = match path.strip_prefix(root) {
        Ok(relative) => relative.to_owned(),
        // The same folder written in another way, as `cases` and `./cases`.
        Err(_) => same(path)
            .zip(same(root))
            .and_then(|(path, root)| path.strip_prefix(root).ok().map(Path::to_owned))
            .unwrap_or_else(|| path.to_owned()),
    };
    let relative = if relative.file_name().is_some_and(|name| name == "case.yaml") {
        relative.parent().unwrap_or(Path::new("")).to_owned()
    } else {
        relative.with_extension("")
    };
    let parts: Vec<_> = relative
        .components()
        .filter_map(|part| match part {
            Component::Normal(part) => part.to_str(),
            Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
        })
        .collect();
    Found {
        name: parts.join("/"),
        // A folder, not a case that happens to have the name.
        must_be_refused: parts.split_last().is_some_and(|(_, folders)| folders.contains(&REFUSED)),
        path: path.to_owned(),
        root: root.to_owned(),
    }
}
