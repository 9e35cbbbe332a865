//! A whole cluster from manifests: folders, files or standard input, as `kubectl get` and `helm template` write them.
//!
//! | stage | from -> to | module |
//! | --- | --- | --- |
//! | read | paths -> text of bounded size | `files` |
//! | gather | objects -> parts of a world, policies, what is ignored | `gather`, `part` |
//! | assemble | parts -> world: templates as pods, addresses, what is used and not declared | `assemble` |

mod assemble;
mod files;
mod gather;
mod part;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use egret_core::Desired;
use egret_core::rule::Dialect;

use crate::case::{PolicyLocations, Problems};
use crate::diagnostic::Diagnostic;
use crate::source::{Location, Source};
use crate::yaml::sum_manifests;
use gather::Parts;

/// A cluster that was read.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// What exists and which policies are in force.
    pub desired: Desired,
    /// Where the policies stand.
    pub policies: PolicyLocations,
    /// Objects that are neither policies nor part of the world, by kind, in the order of the kinds.
    pub ignored: BTreeMap<String, Ignored>,
    /// What is odd about the input as a whole.
    pub warnings: Vec<Diagnostic>,
}

/// Objects of one kind that say nothing here.
#[derive(Clone, Debug)]
pub struct Ignored {
    /// How many there are.
    pub count: usize,
    /// Where the first of them stands.
    pub first: Location,
}

/// Reads every object under the paths; `-` is standard input.
///
/// Without a dialect, Cilium's reading holds as soon as one policy is Cilium's own.
///
/// # Errors
/// Everything that is wrong with the input, in the order of the files.
pub fn read(paths: &[PathBuf], dialect: Option<Dialect>) -> Result<Cluster, Vec<Diagnostic>> {
    of_sources(&files::read(paths)?, dialect)
}

/// Reads every object of these texts.
///
/// # Errors
/// As for [`read`].
pub fn of_sources(sources: &[Arc<Source>], dialect: Option<Dialect>) -> Result<Cluster, Vec<Diagnostic>> {
    let add = |(parts, problems): &mut (Parts, Problems), objects| parts.add_all(objects, problems);
    let mut sums = sum_manifests(sources, add).into_iter();
    let (mut parts, mut problems) = sums.next().unwrap_or_default();
    for (more, wrong) in sums {
        problems.extend(wrong);
        parts.extend(more, &mut problems);
    }
    let world = assemble::world(&parts, &mut problems);
    problems.finish()?;
    let mut warnings = parts.warnings;
    for (policy, object) in parts.policies.values() {
        warnings.extend(policy.not_simulated.iter().map(|part| {
            Diagnostic::warning("not-simulated", format!("`{}`: {}", part.path, part.what))
                .at(object.locate_field(&part.path))
                .help("verdicts leave it out of account")
        }));
    }
    let dialect =
        dialect.unwrap_or_else(|| Dialect::of_kinds(parts.policies.keys().map(|id| id.kind.as_str())));
    let (policies, objects) = parts
        .policies
        .into_iter()
        .map(|(id, (policy, object))| ((Arc::clone(&policy.id), policy.into()), (id, object)))
        .unzip();
    Ok(Cluster {
        desired: Desired { world, policies, dialect },
        policies: PolicyLocations::new(objects),
        ignored: parts.ignored,
        warnings,
    })
}

// === impl Cluster ===

impl Cluster {
    /// What was passed over, as one line; `None` when nothing was.
    #[must_use]
    pub fn ignored_line(&self) -> Option<String> {
        let kinds: Vec<_> =
            self.ignored.iter().map(|(kind, ignored)| format!("{} {kind}", ignored.count)).collect();
        (!kinds.is_empty())
            .then(|| format!("ignored, neither a policy nor part of the world: {}", kinds.join(", ")))
    }
}
