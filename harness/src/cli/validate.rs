//! `egret validate`: cases, policies and whole clusters, read and judged, never run.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::DialectWord;
use crate::count::count;
use crate::diagnostic::{Diagnostic, Severity, Style, render_first, sort};
use crate::error::Error;
use crate::exit::Exit;
use crate::report::findings;
use crate::{case, cluster, lint};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Case files, policy files, or folders of cases
    #[arg(required_unless_present_any = ["files", "codes"])]
    paths: Vec<PathBuf>,
    /// Manifests of a cluster and its policies: files, folders, or `-`; checked together, with warnings
    #[arg(short, long = "file", id = "files", value_name = "PATH", num_args = 1..)]
    files: Vec<PathBuf>,
    /// Print the codes of all warnings and what each is about, and check nothing
    #[arg(long, exclusive = true)]
    codes: bool,
    /// What else is refused
    #[arg(long, value_enum)]
    deny: Option<Deny>,
    /// How findings are printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Whose reading of the policies holds; without it Cilium's where any policy is Cilium's own
    #[arg(long, value_enum)]
    dialect: Option<DialectWord>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Deny {
    /// Warnings, as if they were errors
    Warnings,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Format {
    /// With the lines in question, for people
    #[default]
    Human,
    /// One JSON document
    Json,
    /// Annotations for GitHub Actions
    Github,
    /// SARIF 2.1.0, for code scanners
    Sarif,
}

/// What was read, and everything that was found.
#[derive(Default)]
struct Checked {
    documents: usize,
    findings: Vec<Diagnostic>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, Error> {
    if arguments.codes {
        super::print(&lint::catalogue::listed());
        return Ok(Exit::Passed);
    }
    let mut checked = Checked::default();
    for path in &arguments.paths {
        checked.add(check(path));
    }
    if !arguments.files.is_empty() {
        checked.cluster(&arguments.files, arguments.dialect);
    }
    let Checked { documents, mut findings } = checked;
    sort(&mut findings);
    let errors = findings::count(&findings, Severity::Error);
    let warnings = findings.len() - errors;
    match arguments.format {
        Format::Human if errors > 0 && warnings == 0 => return Err(Error::Input(findings)),
        Format::Human => {
            anstream::eprint!("{}", render_first(&findings, Style::Coloured));
            let mut line = format!("{} right", count(documents, "document"));
            if warnings > 0 {
                line += &format!(", {}", count(warnings, "warning"));
            }
            super::print(&(line + "\n"));
        }
        Format::Json => super::print(&findings::json(&findings)),
        Format::Github => super::print(&findings::github(&findings)),
        Format::Sarif => super::print(&findings::sarif(&findings)),
    }
    let refused = errors > 0 || (warnings > 0 && arguments.deny == Some(Deny::Warnings));
    Ok(if refused { Exit::Usage } else { Exit::Passed })
}

/// The number of cases and policies that are right.
fn check(path: &Path) -> Result<usize, Vec<Diagnostic>> {
    if path.is_dir() {
        return case::find(path, &[]).and_then(|found| case::load(&found)).map(|cases| cases.len());
    }
    case::check(path)
}

// === impl Checked ===

impl Checked {
    fn add(&mut self, checked: Result<usize, Vec<Diagnostic>>) {
        match checked {
            Ok(number) => self.documents += number,
            Err(wrong) => self.findings.extend(wrong),
        }
    }

    /// A cluster is checked for warnings once nothing in it is refused.
    fn cluster(&mut self, files: &[PathBuf], dialect: Option<DialectWord>) {
        match cluster::read(files, dialect.map(Into::into)) {
            Ok(cluster) => {
                super::say_ignored(&cluster);
                self.documents += cluster.desired.policies.len();
                self.findings.extend(lint::lint(&cluster));
                self.findings.extend(cluster.warnings);
            }
            Err(wrong) => self.findings.extend(wrong),
        }
    }
}
