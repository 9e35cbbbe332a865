//! Parts from files: a case's own, those of the shared worlds it uses, and its manifests'.

use std::sync::Arc;

use egret_core::ObjectName;

use super::files::Files;
use super::object;
use super::parts::{Given, Parts};
use super::problems::Problems;
use crate::case::schema::WorldFile;
use crate::diagnostic::Diagnostic;
use crate::source::Source;
use crate::yaml::{documents, manifests};

/// Adds what a file gives: the shared worlds it uses, its manifests, and its own entries.
pub(super) fn gather(
    parts: &mut Parts,
    source: &Arc<Source>,
    world: &WorldFile,
    files: &Files,
    problems: &mut Problems,
) {
    for name in &world.uses {
        let at = name.at.in_source(source);
        let Some(shared) = files.world(&name.value, at, problems) else { continue };
        if let Some(file) = problems.take(read_world(&shared)) {
            gather(parts, &shared, &file, files, problems);
        }
    }
    for path in &world.manifests {
        let Some(manifest) = files.beside(source, &path.value, path.at.in_source(source), problems) else {
            continue;
        };
        for object in problems.take(manifests(&manifest)).unwrap_or_default() {
            object::gather(&object, parts, problems);
        }
    }
    for (name, node) in &world.nodes.0 {
        parts.node(name.value.clone(), Given::new(source, name.at, node.clone()), problems);
    }
    for (name, namespace) in &world.namespaces.0 {
        parts.namespace(name.value.clone(), Given::new(source, name.at, namespace.clone()), problems);
    }
    for (name, pod) in &world.pods.0 {
        parts.pod(&ObjectName::parse(&name.value), Given::new(source, name.at, pod.clone()), problems);
    }
    for (name, service) in &world.services.0 {
        parts.service(ObjectName::parse(&name.value), Given::new(source, name.at, service.clone()), problems);
    }
    for (name, records) in &world.internet.0 {
        parts.outside(&name.value, Given::new(source, name.at, records.clone()), problems);
    }
}

/// The content of a shared world: one document, shaped like the `world` of a case.
fn read_world(source: &Arc<Source>) -> Result<WorldFile, Vec<Diagnostic>> {
    documents(source)?.first().map_or_else(|| Ok(WorldFile::default()), crate::yaml::Document::read)
}
