//! The image for the nodes, as an archive that `kind load image-archive` takes.

use std::path::Path;

use crate::subject::cluster::error::ClusterError;
use crate::subject::image::{Binary, REPOSITORY};

/// A program and the name of the image that it makes.
pub(super) struct Image {
    name: String,
    binary: Binary,
}

impl Image {
    /// Reads the program: the one that is named, or that the environment names, or this one.
    ///
    /// # Errors
    /// It cannot be read, or is not static.
    pub(super) fn read(path: Option<&Path>) -> Result<Self, ClusterError> {
        let binary = Binary::find(path)?;
        // Runtimes of nodes write names out in full.
        Ok(Self { name: format!("docker.io/library/{REPOSITORY}:{}", binary.tag()), binary })
    }

    /// Name and tag; the tag is the content.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Writes the archive to a file that goes with the value.
    pub(super) fn archive(&self) -> Result<tempfile::NamedTempFile, ClusterError> {
        let written = self.binary.archive(&self.name);
        written.map_err(|source| ClusterError::System { what: "write the image's archive", source })
    }
}
