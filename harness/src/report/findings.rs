//! Errors and warnings about input as a build server, a program or a code scanner reads them.

use serde::Serialize;
use serde_json::{Value, json};

use super::github;
use crate::diagnostic::{Diagnostic, Severity};
use crate::lint::catalogue::CATALOGUE;

/// One line for each, for GitHub Actions.
#[must_use]
pub fn github(findings: &[Diagnostic]) -> String {
    let line = |finding: &Diagnostic| {
        let title = finding.code.unwrap_or("egret");
        github::command(word(finding.severity), finding.location.as_ref(), title, &text(finding))
    };
    findings.iter().map(line).collect()
}

/// One document: the findings, and how many there are of each kind.
#[must_use]
pub fn json(findings: &[Diagnostic]) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        errors: usize,
        warnings: usize,
        findings: &'a [Diagnostic],
    }
    pretty(&Document {
        errors: count(findings, Severity::Error),
        warnings: count(findings, Severity::Warning),
        findings,
    })
}

/// SARIF 2.1.0 (OASIS), as code scanners take it.
#[must_use]
pub fn sarif(findings: &[Diagnostic]) -> String {
    let mut codes: Vec<_> = findings.iter().map(code).collect();
    codes.sort_unstable();
    codes.dedup();
    let rule = |code: &&str| match CATALOGUE.iter().find(|known| known.name == *code) {
        Some(known) => json!({ "id": code, "shortDescription": { "text": known.about } }),
        None => json!({ "id": code }),
    };
    let rules: Vec<Value> = codes.iter().map(rule).collect();
    let results: Vec<Value> = findings
        .iter()
        .map(|finding| {
            let places: Vec<Value> = finding
                .location
                .iter()
                .map(|at| {
                    json!({ "physicalLocation": {
                        "artifactLocation": { "uri": at.source.path.display().to_string() },
                        "region": { "startLine": at.line, "startColumn": at.column },
                    } })
                })
                .collect();
            json!({
                "ruleId": code(finding),
                "level": word(finding.severity),
                "message": { "text": text(finding) },
                "locations": places,
            })
        })
        .collect();
    let driver = json!({ "name": "egret", "version": env!("CARGO_PKG_VERSION"), "rules": rules });
    pretty(&json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{ "tool": { "driver": driver }, "columnKind": "unicodeCodePoints", "results": results }],
    }))
}

/// How many findings are this bad.
#[must_use]
pub fn count(findings: &[Diagnostic], severity: Severity) -> usize {
    findings.iter().filter(|finding| finding.severity == severity).count()
}

fn pretty(document: &impl Serialize) -> String {
    serde_json::to_string_pretty(document).expect("plain structs of text always serialise") + "\n"
}

/// What is refused has no code of its own.
fn code(finding: &Diagnostic) -> &'static str {
    finding.code.unwrap_or("refused")
}

const fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// The message with its reason and remedy.
fn text(finding: &Diagnostic) -> String {
    let notes = finding.notes.iter().cloned();
    let help = finding.help.iter().map(|help| format!("help: {help}"));
    [finding.message.clone()].into_iter().chain(notes).chain(help).collect::<Vec<_>>().join("\n")
}
