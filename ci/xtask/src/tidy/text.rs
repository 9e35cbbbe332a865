//! Rules for text: the paths that a document names exist, and no file names a path of somebody's machine.

use std::collections::BTreeSet;

use super::{Breach, File};

/// The documents whose paths are checked; every one of them exists.
const DOCUMENTS: [&str; 5] =
    ["ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "README.md", "cases/README.md"];
/// Where users' own folders stand on the usual systems; written apart so that this file does not name one.
const HOMES: [&str; 4] =
    [concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/ro", "ot/"), concat!("\\Us", "ers\\")];

/// Every breach; `machine` holds the folders of the machine at hand.
pub(super) fn check(files: &[File], machine: &[String]) -> Vec<Breach> {
    let known = known(files);
    let mut breaches = Vec::new();
    for name in DOCUMENTS {
        match files.iter().find(|file| file.path == name) {
            Some(document) => breaches.extend(missing(document, &known)),
            None => breaches.push(Breach { path: name.into(), line: None, problem: "is missing".into() }),
        }
    }
    breaches.extend(files.iter().flat_map(|file| machine_paths(file, machine)));
    breaches
}

/// Every file and every folder that holds one.
fn known(files: &[File]) -> BTreeSet<&str> {
    let mut known = BTreeSet::new();
    for file in files {
        let ends = file.path.match_indices('/').map(|(at, _)| at).chain([file.path.len()]);
        known.extend(ends.filter_map(|end| file.path.get(..end)));
    }
    known
}

/// Names in backticks and link targets that look like a path of this repository and lead nowhere.
fn missing(document: &File, known: &BTreeSet<&str>) -> Vec<Breach> {
    let folder = document.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut breaches = Vec::new();
    let mut fenced = false;
    for (line, text) in (1..).zip(document.text.lines()) {
        // Listings hold the files of an example, not of this repository.
        if text.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let named = text.split('`').skip(1).step_by(2).filter(|name| is_path(name, known));
        let named = named.map(|name| name.trim_end_matches('/').to_owned());
        let linked = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        let linked = linked.filter(|target| !target.is_empty() && !target.contains("://"));
        let linked = linked.map(|target| format!("{folder}/{target}").trim_matches('/').to_owned());
        for path in named.chain(linked).filter(|path| !known.contains(path.as_str())) {
            breaches.push(Breach {
                path: document.path.clone(),
                line: Some(line),
                problem: format!("`{path}` does not exist"),
            });
        }
    }
    breaches
}

/// A word of path characters that begins with a folder of the root, or names a document or manifest of the root.
fn is_path(name: &str, known: &BTreeSet<&str>) -> bool {
    let characters = name.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    characters
        && match name.split_once('/') {
            Some((folder, _)) => known.contains(folder),
            None => !name.starts_with('.') && (name.ends_with(".md") || name.ends_with(".toml")),
        }
}

fn machine_paths(file: &File, machine: &[String]) -> Vec<Breach> {
    let words = || HOMES.iter().copied().chain(machine.iter().map(String::as_str));
    let lines = (1..).zip(file.text.lines());
    let found = lines.filter_map(|(line, text)| Some((line, words().find(|word| text.contains(word))?)));
    let breach = |(line, word)| Breach {
        path: file.path.clone(),
        line: Some(line),
        problem: format!("`{word}` is a path of one machine"),
    };
    found.map(breach).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let mut files: Vec<File> =
            DOCUMENTS.iter().map(|path| File { path: (*path).into(), text: String::new() }).collect();
        files.push(File { path: "harness/src/case.rs".into(), text: String::new() });
        files.push(File { path: "ARCHITECTURE.md".into(), text: text.into() });
        files.remove(0);
        check(&files, &["/srv/checkout/".into()]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn paths_that_exist_are_accepted_as_file_folder_and_link() {
        assert!(
            problems("`harness/src/case.rs` `harness/` [x](harness/src) [y](https://a/b) [z](#top)")
                .is_empty()
        );
    }

    #[test]
    fn paths_that_lead_nowhere_are_named_with_their_line() {
        assert_eq!(
            problems("\n`harness/src/gone.rs`"),
            ["ARCHITECTURE.md:2: `harness/src/gone.rs` does not exist"]
        );
        assert_eq!(problems("`GONE.md`").len(), 1);
        assert_eq!(problems("[x](gone.md#part)").len(), 1);
    }

    #[test]
    fn other_words_and_listings_are_no_paths() {
        assert!(
            problems("`tests/policies` `x/a -> y/b` `target/egret`\n```\n`harness/gone`\n```\n").is_empty()
        );
    }

    #[test]
    fn a_missing_document_is_a_breach() {
        assert_eq!(check(&[], &[]).len(), DOCUMENTS.len());
    }

    #[test]
    fn paths_of_a_machine_are_refused() {
        assert_eq!(problems("see /srv/checkout/x").len(), 1);
        assert_eq!(problems(concat!("see /ho", "me/somebody/x")).len(), 1);
    }
}
