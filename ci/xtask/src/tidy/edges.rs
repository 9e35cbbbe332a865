//! The crates' edges: what the manifests say is exactly what the crate table of ARCHITECTURE.md allows.

use std::collections::{BTreeMap, BTreeSet};

use super::{Breach, File};
use crate::workspace::Package;

const DOCUMENT: &str = "ARCHITECTURE.md";
/// The table's head; its second and last column are read.
const HEAD: &str = "| crate | folder | what it is | depends on |";

/// Compares in both directions: an edge too many is as wrong as a row that is out of date.
pub(super) fn check(files: &[File], packages: &[Package]) -> Vec<Breach> {
    let document = files.iter().find(|file| file.path == DOCUMENT);
    let allowed = document.map(|document| table(&document.text)).unwrap_or_default();
    let breach = |path: &str, problem| Breach { path: path.into(), line: None, problem };
    let mut breaches = Vec::new();
    for package in packages {
        let manifest = format!("{}/Cargo.toml", package.folder);
        let Some((folder, edges)) = allowed.get(package.name.as_str()) else {
            breaches.push(breach(DOCUMENT, format!("the table of crates lacks `{}`", package.name)));
            continue;
        };
        if *folder != package.folder {
            breaches.push(breach(DOCUMENT, format!("`{}` stands in `{}`", package.name, package.folder)));
        }
        // Tests may use no crate that the code itself may not use.
        for edge in package
            .dependencies
            .union(&package.dev_dependencies)
            .filter(|edge| !edges.contains(edge.as_str()))
        {
            breaches.push(breach(
                &manifest,
                format!("`{}` may not depend on `{edge}` ({DOCUMENT})", package.name),
            ));
        }
        for edge in edges.iter().filter(|edge| !package.dependencies.contains(**edge)) {
            breaches.push(breach(DOCUMENT, format!("`{}` does not depend on `{edge}`", package.name)));
        }
    }
    for name in allowed.keys().filter(|name| !packages.iter().any(|package| package.name == **name)) {
        breaches.push(breach(DOCUMENT, format!("there is no crate `{name}`")));
    }
    breaches
}

/// Crate to its folder and the crates it depends on; names stand in backticks.
fn table(text: &str) -> BTreeMap<&str, (&str, BTreeSet<&str>)> {
    let rows = text.lines().skip_while(|line| *line != HEAD).skip(2).take_while(|line| line.starts_with('|'));
    rows.filter_map(|line| {
        let mut cells = line.trim_matches('|').split('|');
        let name = names(cells.next()?).next()?;
        let folder = names(cells.next()?).next()?;
        Some((name, (folder, names(cells.nth(1)?).collect())))
    })
    .collect()
}

/// What stands between backticks.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(edges: &str, dependencies: &[&str], dev_dependencies: &[&str]) -> Vec<String> {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let package = Package {
            name: "egret-core".into(),
            folder: "agent/core".into(),
            dependencies: set(dependencies),
            dev_dependencies: set(dev_dependencies),
            benches: Vec::new(),
        };
        let text =
            format!("# X\n\n{HEAD}\n| --- |\n| `egret-core` | `agent/core` | pure | {edges} |\n\ntext\n");
        let document = File { path: DOCUMENT.into(), text };
        check(&[document], &[package]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_tables_edges_are_in_order() {
        assert!(problems("`egret-shared`", &["egret-shared"], &["egret-shared"]).is_empty());
        assert!(problems("nothing of ours", &[], &[]).is_empty());
    }

    #[test]
    fn an_edge_too_many_is_named_for_code_and_for_tests() {
        let expected =
            ["agent/core/Cargo.toml: `egret-core` may not depend on `egret-agent` (ARCHITECTURE.md)"];
        assert_eq!(problems("nothing", &["egret-agent"], &[]), expected);
        assert_eq!(problems("nothing", &[], &["egret-agent"]), expected);
    }

    #[test]
    fn a_row_that_is_out_of_date_is_named() {
        assert_eq!(
            problems("`egret-shared`", &[], &[]),
            ["ARCHITECTURE.md: `egret-core` does not depend on `egret-shared`"]
        );
    }

    #[test]
    fn a_crate_without_a_row_and_a_row_without_a_crate_are_breaches() {
        let text = format!("{HEAD}\n| --- |\n| `gone` | `gone` | x | nothing |\n");
        let document = File { path: DOCUMENT.into(), text };
        assert_eq!(check(&[document], &[]).len(), 1);
    }
}
