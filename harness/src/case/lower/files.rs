//! Files that a case refers to: manifests beside it, and shared worlds.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::problems::Problems;
use crate::diagnostic::Diagnostic;
use crate::input::open;
use crate::source::{Location, Source};

/// Shared worlds that come with Egret, so that a case in any folder can use them.
const BUILT_IN: [(&str, &str); 1] = [("kube-dns", include_str!("../../../../cases/worlds/kube-dns.yaml"))];

/// Where files are read from.
#[derive(Clone, Debug)]
pub(in crate::case) struct Files {
    /// Folder to which the paths in messages are relative; empty for the working directory.
    pub(in crate::case) base: PathBuf,
    /// The cases folder as messages name it; its `worlds/` holds shared worlds.
    pub(in crate::case) root: PathBuf,
}

// === impl Files ===

impl Files {
    /// Reads a file by its path in messages.
    ///
    /// # Errors
    /// What the operating system says, as one diagnostic without place.
    pub(in crate::case) fn read(&self, path: &Path) -> Result<Arc<Source>, Vec<Diagnostic>> {
        open(&self.base.join(path), path).map_err(|problem| vec![*problem])
    }

    /// Reads a file that stands beside another one; `at` is where it is named.
    pub(super) fn beside(
        &self,
        source: &Source,
        name: &str,
        at: Location,
        problems: &mut Problems,
    ) -> Option<Arc<Source>> {
        let folder = source.path.parent().unwrap_or(Path::new(""));
        let shown = folder.join(name);
        let path = self.base.join(&shown);
        match open(&path, &shown) {
            Ok(source) => Some(source),
            // What is there speaks for itself.
            Err(problem) if path.exists() => {
                problems.add(if problem.location.is_some() { *problem } else { problem.at(at) });
                None
            }
            Err(_) => {
                let named = Path::new(name);
                let near = folder.join(named.parent().unwrap_or(Path::new("")));
                let others = self.names(&near).into_iter().filter(|other| !source.path.ends_with(other));
                let there: Vec<_> =
                    others.map(|other| named.with_file_name(other).display().to_string()).collect();
                problems.add(
                    Diagnostic::error(format!("cannot read `{name}`: there is no such file"))
                        .at(at)
                        .nearest(name, &there),
                );
                None
            }
        }
    }

    /// A shared world by its name.
    pub(super) fn world(&self, name: &str, at: Location, problems: &mut Problems) -> Option<Arc<Source>> {
        let built_in = BUILT_IN.iter().find(|(built_in, _)| *built_in == name).map(|(_, text)| *text);
        let folder = self.root.join("worlds");
        let path = folder.join(format!("{name}.yaml"));
        let own = open(&self.base.join(&path), &path).ok();
        match (own, built_in) {
            (Some(own), Some(built_in)) if own.text != built_in => {
                problems.add(
                    Diagnostic::error(format!(
                        "the shared world `{name}` is built in, and this folder has another"
                    ))
                    .at(at)
                    .help(format!("give `{}` another name", path.display())),
                );
                None
            }
            (Some(own), _) => Some(own),
            (None, Some(text)) => Some(Source::new(format!("<built in>/{name}.yaml"), text)),
            (None, None) => {
                let own = self.names(&folder).into_iter();
                let own = own.filter_map(|file| file.strip_suffix(".yaml").map(str::to_owned));
                let all: Vec<_> = own.chain(BUILT_IN.iter().map(|(name, _)| (*name).to_owned())).collect();
                problems.add(
                    Diagnostic::error(format!("there is no shared world `{name}`"))
                        .at(at)
                        .nearest(name, &all),
                );
                None
            }
        }
    }

    /// Names of the YAML files in a folder, ordered.
    fn names(&self, folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(self.base.join(folder)).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<_> = names.filter(|name| name.ends_with(".yaml") && name != "case.yaml").collect();
        names.sort();
        names
    }
}
