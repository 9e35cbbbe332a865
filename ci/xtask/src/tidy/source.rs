//! Rules for one Rust file: length, first line, place, name, and that some module declares it.

use super::{Breach, File};

/// House style, rule 1: 200 lines are normal, more than this is two files.
const PRODUCTION_LINES: usize = 400;
/// House style, rule 2: more than this moves to `<module>/tests.rs`.
const TEST_LINES: usize = 100;
/// House style, rule 7: a file with such a name holds a concept that nobody has named.
const NAMES: [&str; 10] = [
    "common",
    "helper",
    "helpers",
    "manager",
    "managers",
    "misc",
    "shared_utils",
    "util",
    "utils",
    "utilities",
];
/// The folder of fuzz targets in their crate.
const FUZZ_TARGETS: &str = "targets";

/// Every breach in every Rust file.
pub(super) fn check(files: &[File]) -> Vec<Breach> {
    let sources: Vec<&File> = files.iter().filter(|file| file.path.ends_with(".rs")).collect();
    let mut breaches = Vec::new();
    for file in &sources {
        let orphan = orphan(file, &sources).or_else(|| unlisted(file, files));
        let problems = [length(file), tests(file), first_line(file), name(&file.path), orphan];
        let problems = problems.into_iter().flatten();
        breaches.extend(problems.map(|problem| Breach { path: file.path.clone(), line: None, problem }));
    }
    breaches
}

fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// Lines before the inline test module and lines of it. A declaration `mod tests;` ends nothing.
fn parts(text: &str) -> (usize, usize) {
    let lines: Vec<&str> = text.lines().collect();
    let starts = |at: &usize| {
        let following = lines.iter().skip(at + 1).find(|line| !line.starts_with("#["));
        lines.get(*at) == Some(&"#[cfg(test)]")
            && following.is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
    };
    let production = (0..lines.len()).find(starts).unwrap_or(lines.len());
    (production, lines.len() - production)
}

fn length(file: &File) -> Option<String> {
    let (production, _) = parts(&file.text);
    (!is_test(&file.path) && production > PRODUCTION_LINES)
        .then(|| format!("{production} production lines, at most {PRODUCTION_LINES}"))
}

fn tests(file: &File) -> Option<String> {
    let (_, tests) = parts(&file.text);
    (tests > TEST_LINES)
        .then(|| format!("{tests} lines of tests: move them to a file `tests.rs` of their own"))
}

fn first_line(file: &File) -> Option<String> {
    (!file.text.starts_with("//! "))
        .then(|| "line 1 is not a `//!` sentence that says what the file is for".into())
}

fn name(path: &str) -> Option<String> {
    if path.ends_with("/mod.rs") {
        return Some("`foo/mod.rs` is written `foo.rs` here".into());
    }
    let mut parts = path.trim_end_matches(".rs").split('/');
    parts.find(|part| NAMES.contains(part)).map(|part| format!("`{part}` names no concept"))
}

/// A file below `src/` or `tests/` that no module declares is never compiled.
fn orphan(file: &File, sources: &[&File]) -> Option<String> {
    let (folder, name) = file.path.trim_end_matches(".rs").rsplit_once('/')?;
    let (parent, last) = folder.rsplit_once('/')?;
    // Cargo itself finds these, or the manifest lists them.
    let target = matches!(last, "bin" | "tests" | "benches" | "examples" | FUZZ_TARGETS);
    if target || matches!(name, "main" | "build") || (last, name) == ("src", "lib") {
        return None;
    }
    let parents = match last {
        "src" => vec![format!("{folder}/lib.rs"), format!("{folder}/main.rs")],
        _ => vec![format!("{parent}/{last}.rs")],
    };
    let declaration = format!("mod {name};");
    let by_path = format!("{last}/{name}.rs\"]");
    let declared = sources.iter().any(|source| {
        let lines = || source.text.lines().map(str::trim_start);
        parents.contains(&source.path)
            && lines().any(|line| !line.starts_with("//") && line.ends_with(&declaration))
            || lines().any(|line| line.starts_with("#[path") && line.ends_with(&by_path))
    });
    (!declared).then(|| format!("no module declares `{name}`: the file is never compiled"))
}

/// A fuzz target that its manifest does not list is never compiled either.
fn unlisted(file: &File, files: &[File]) -> Option<String> {
    let (folder, name) = file.path.rsplit_once('/')?;
    let crate_folder = folder.strip_suffix(FUZZ_TARGETS)?.strip_suffix('/')?;
    let manifest = format!("{crate_folder}/Cargo.toml");
    let entry = format!("path = \"{FUZZ_TARGETS}/{name}\"");
    let listed =
        files.iter().any(|file| file.path == manifest && file.text.lines().any(|line| line == entry));
    (!listed).then(|| format!("`{manifest}` does not list it: the file is never compiled"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(files: &[(&str, &str)]) -> Vec<String> {
        let file = |(path, text): &(&str, &str)| File { path: (*path).into(), text: (*text).into() };
        let files: Vec<File> = files.iter().map(file).collect();
        check(&files).iter().map(ToString::to_string).collect()
    }

    fn with_lines(lines: usize, rest: &str) -> String {
        format!("//! A file.\n{}{rest}", "fn line() {}\n".repeat(lines - 1))
    }

    #[test]
    fn the_limit_counts_what_stands_before_the_test_module() {
        let tests = "#[cfg(test)]\nmod tests {\n}\n";
        assert!(problems(&[("a/src/lib.rs", &with_lines(400, tests))]).is_empty());
        let long = problems(&[("a/src/lib.rs", &with_lines(401, tests))]);
        assert_eq!(long, ["a/src/lib.rs: 401 production lines, at most 400"]);
        assert!(problems(&[("a/tests/big.rs", &with_lines(900, ""))]).is_empty());
    }

    #[test]
    fn a_test_import_or_a_declared_test_module_hides_no_production_lines() {
        let early = with_lines(1, "#[cfg(test)]\nuse x::y;\n#[cfg(test)]\nmod tests;\n");
        let text = early + &with_lines(400, "");
        let tests = ("a/src/lib/tests.rs", "//! Tests.");
        let lib = ("a/src/lib.rs", text.as_str());
        assert!(problems(&[lib, tests])[0].contains("405 production lines"));
    }

    #[test]
    fn a_long_test_module_gets_a_file_of_its_own() {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "// line\n".repeat(98));
        assert_eq!(problems(&[("a/src/lib.rs", &with_lines(9, &tests))]).len(), 1);
    }

    #[test]
    fn the_first_line_is_a_sentence() {
        assert_eq!(problems(&[("a/src/lib.rs", "\n//! Late.\n")]).len(), 1);
        assert_eq!(problems(&[("a/src/lib.rs", "")]).len(), 1);
    }

    #[test]
    fn names_without_a_concept_are_refused_as_file_and_as_folder() {
        let lib = ("a/src/lib.rs", "//! A.\nmod utils;\nmod misc;\nmod mod;\n");
        assert_eq!(
            problems(&[lib, ("a/src/utils.rs", "//! U.")]),
            ["a/src/utils.rs: `utils` names no concept"]
        );
        let folder = problems(&[("a/src/misc.rs", "//! M.\nmod x;"), ("a/src/misc/x.rs", "//! X."), lib]);
        assert_eq!(folder.len(), 2);
        let module = problems(&[("a/src/x/mod.rs", "//! X."), ("a/src/x.rs", "//! X.\nmod mod;"), lib]);
        assert!(module.contains(&"a/src/x/mod.rs: `foo/mod.rs` is written `foo.rs` here".into()));
    }

    #[test]
    fn a_file_that_no_module_declares_is_an_orphan() {
        let lib = ("a/src/lib.rs", "//! A.\npub mod kept;\n// mod lost;\n");
        let found = problems(&[lib, ("a/src/kept.rs", "//! K."), ("a/src/lost.rs", "//! L.")]);
        assert_eq!(found, ["a/src/lost.rs: no module declares `lost`: the file is never compiled"]);
        let path = ("b/tests/x.rs", "//! X.\n#[path = \"../../a/tests/table/rows.rs\"]\nmod rows;\n");
        assert!(problems(&[path, ("a/tests/table/rows.rs", "//! R.")]).is_empty());
    }

    #[test]
    fn a_fuzz_target_stands_in_its_manifest() {
        let manifest = ("f/Cargo.toml", "[[bin]]\npath = \"targets/kept.rs\"\n");
        let found = problems(&[manifest, ("f/targets/kept.rs", "//! K."), ("f/targets/lost.rs", "//! L.")]);
        assert_eq!(found, ["f/targets/lost.rs: `f/Cargo.toml` does not list it: the file is never compiled"]);
    }
}
