//! The image as an archive that `kind load image-archive` takes: one static program on an empty base.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::subject::cluster::error::ClusterError;

/// Names another program than the running one, which an ordinary build does not make static.
const BINARY: &str = "EGRET_IMAGE_BINARY";
/// What the start of a program holds that needs a loader and libraries beside it.
const LOADERS: [&[u8]; 2] = [b"/ld-linux", b"/ld-musl"];

/// A program and the name of the image that it makes.
pub(super) struct Image {
    name: String,
    content: Vec<u8>,
}

impl Image {
    /// Reads the program: the one that is named, or that the environment names, or this one.
    ///
    /// # Errors
    /// It cannot be read, or is not static.
    pub(super) fn read(path: Option<&Path>) -> Result<Self, ClusterError> {
        let path = path.map(Path::to_path_buf).or_else(|| std::env::var_os(BINARY).map(PathBuf::from));
        let path = path.unwrap_or_else(|| PathBuf::from("/proc/self/exe"));
        let named = std::fs::read_link(&path).unwrap_or_else(|_| path.clone());
        let unusable = |problem: String| ClusterError::Binary { path: named.display().to_string(), problem };
        let content = std::fs::read(&path).map_err(|error| unusable(error.to_string()))?;
        let start = content.get(..4096.min(content.len())).unwrap_or_default();
        // The loader's path stands behind the headers, in the first page.
        if LOADERS.iter().any(|loader| start.windows(loader.len()).any(|window| window == *loader)) {
            return Err(unusable(
                "it needs shared libraries, which an image without anything else does not have".into(),
            ));
        }
        let digest = Sha256::digest(&content);
        let tag: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { name: format!("docker.io/library/egret:{tag}"), content })
    }

    /// Name and tag; the tag is the content.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Writes the archive to a file that goes with the value.
    pub(super) fn archive(&self) -> Result<tempfile::NamedTempFile, ClusterError> {
        let write = || {
            let mut layer = tar::Builder::new(Vec::new());
            append(&mut layer, "egret", 0o755, &self.content)?;
            let layer = layer.into_inner()?;
            let digest: String = Sha256::digest(&layer).iter().map(|byte| format!("{byte:02x}")).collect();
            let config = json!({
                "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
                "os": "linux",
                "config": { "Entrypoint": ["/egret"] },
                "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] },
            });
            let manifest =
                json!([{ "Config": "config.json", "RepoTags": [self.name], "Layers": ["layer.tar"] }]);
            let mut archive = tar::Builder::new(Vec::new());
            append(&mut archive, "manifest.json", 0o644, manifest.to_string().as_bytes())?;
            append(&mut archive, "config.json", 0o644, config.to_string().as_bytes())?;
            append(&mut archive, "layer.tar", 0o644, &layer)?;
            let mut file = tempfile::Builder::new().prefix("egret-").suffix(".tar").tempfile()?;
            file.write_all(&archive.into_inner()?)?;
            file.flush()?;
            Ok(file)
        };
        write().map_err(|source| ClusterError::System { what: "write the image's archive", source })
    }
}

fn append(archive: &mut tar::Builder<Vec<u8>>, name: &str, mode: u32, content: &[u8]) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    header.set_entry_type(tar::EntryType::Regular);
    archive.append_data(&mut header, name, content)
}
