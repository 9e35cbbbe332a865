//! The image that containers and pods run: one static program on an empty base, named by its content.

use std::fs;
#[cfg(feature = "kubernetes")]
use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The flag that names another program than the running one, which an ordinary build does not make static.
pub(super) const FLAG: &str = "--image-binary";
/// The variable that names it where the flag does not.
pub(super) const BINARY: &str = "EGRET_IMAGE_BINARY";
/// Name of the image without its tag.
pub(super) const REPOSITORY: &str = "egret";
/// Digits of the content's hash in the tag.
const DIGITS: usize = 16;

/// The program that goes into the image, read and checked.
pub(super) struct Binary {
    #[cfg_attr(not(feature = "docker"), expect(dead_code, reason = "said where an engine refuses the file"))]
    pub(super) path: PathBuf,
    pub(super) content: Vec<u8>,
}

/// A program that cannot be all that an image holds.
#[derive(Debug, thiserror::Error)]
#[error("`{path}`{by} cannot be the image's one file: {problem}", by = named(*.named_by))]
pub struct Unusable {
    path: PathBuf,
    /// Who named it; nobody names the running program.
    named_by: Option<&'static str>,
    problem: String,
}

fn named(named_by: Option<&str>) -> String {
    named_by.map(|by| format!(", which {by} names,")).unwrap_or_default()
}

impl Binary {
    /// The program that the flag names, or that the environment names, or the running one.
    ///
    /// # Errors
    /// It cannot be read, or cannot run alone.
    pub(super) fn find(named: Option<&Path>) -> Result<Self, Unusable> {
        let flag = named.map(|path| (path.to_path_buf(), FLAG));
        let given = flag.or_else(|| std::env::var_os(BINARY).map(|path| (PathBuf::from(path), BINARY)));
        let named_by = given.as_ref().map(|(_, by)| *by);
        let file = given.map_or_else(|| PathBuf::from("/proc/self/exe"), |(path, _)| path);
        // The link is of use only to this process; people know the file behind it.
        let path = fs::read_link(&file).ok().filter(|_| named_by.is_none()).unwrap_or_else(|| file.clone());
        let unusable = |problem: String| Unusable { path: path.clone(), named_by, problem };
        let content = fs::read(&file).map_err(|error| unusable(error.to_string()))?;
        stands_alone(&content).map_err(|problem| unusable(problem.to_owned()))?;
        Ok(Self { path, content })
    }

    /// The image's tag: it is the content.
    pub(super) fn tag(&self) -> String {
        digits(&self.content).chars().take(DIGITS).collect()
    }

    /// The image's only layer, a tar archive.
    pub(super) fn layer(&self) -> std::io::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::with_capacity(self.content.len().saturating_add(4096)));
        append(&mut archive, "egret", 0o755, &self.content)?;
        archive.into_inner()
    }

    /// The image as an archive that runtimes import, in a file that goes with the value.
    #[cfg(feature = "kubernetes")]
    pub(super) fn archive(&self, name: &str) -> std::io::Result<tempfile::NamedTempFile> {
        let layer = self.layer()?;
        let config = serde_json::json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "config": { "Entrypoint": ["/egret"] },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", digits(&layer))] },
        });
        let manifest =
            serde_json::json!([{ "Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"] }]);
        let mut archive = tar::Builder::new(Vec::with_capacity(layer.len().saturating_add(16_384)));
        append(&mut archive, "manifest.json", 0o644, manifest.to_string().as_bytes())?;
        append(&mut archive, "config.json", 0o644, config.to_string().as_bytes())?;
        append(&mut archive, "layer.tar", 0o644, &layer)?;
        let mut file = tempfile::Builder::new().prefix("egret-").suffix(".tar").tempfile()?;
        file.write_all(&archive.into_inner()?)?;
        file.flush()?;
        Ok(file)
    }
}

fn digits(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn append(archive: &mut tar::Builder<Vec<u8>>, name: &str, mode: u32, content: &[u8]) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(u64::try_from(content.len()).unwrap_or(u64::MAX));
    header.set_mode(mode);
    header.set_mtime(0);
    archive.append_data(&mut header, name, content)
}

/// Whether a program needs no other file to run (elf(5): no program header names an interpreter).
fn stands_alone(content: &[u8]) -> Result<(), &'static str> {
    /// `p_type` of the header that names the dynamic linker.
    const INTERPRETER: u32 = 3;
    let number = |at: usize, length: usize| -> Option<u64> {
        let bytes = content.get(at..at.checked_add(length)?)?;
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    if !content.starts_with(b"\x7fELF\x02\x01") {
        return Err("it is no 64-bit Linux program");
    }
    let headers = || {
        let (start, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        (0..count)
            .map(|index| number(usize::try_from(start.checked_add(index.checked_mul(size)?)?).ok()?, 4))
            .collect::<Option<Vec<_>>>()
    };
    let types = headers().ok_or("its headers are cut off")?;
    if types.contains(&u64::from(INTERPRETER)) {
        return Err("it needs shared libraries, and the image has none");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// A header with program headers of these types.
    fn program(types: &[u32]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01".to_vec();
        bytes.resize(64, 0);
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = u8::try_from(types.len()).unwrap();
        for kind in types {
            bytes.extend(kind.to_le_bytes());
            bytes.resize(bytes.len() + 52, 0);
        }
        bytes
    }

    #[rstest]
    #[case::static_one(program(&[1, 1, 7]), Ok(()))]
    #[case::dynamic(program(&[6, 3, 1]), Err("it needs shared libraries, and the image has none"))]
    #[case::script(b"#!/bin/sh".to_vec(), Err("it is no 64-bit Linux program"))]
    #[case::cut_off(program(&[1, 1])[..80].to_vec(), Err("its headers are cut off"))]
    #[case::empty(Vec::new(), Err("it is no 64-bit Linux program"))]
    fn what_stands_alone(#[case] content: Vec<u8>, #[case] expected: Result<(), &str>) {
        assert_eq!(stands_alone(&content), expected);
    }

    #[test]
    fn who_named_a_program_is_said_with_what_is_wrong_with_it() {
        let error = Binary::find(Some(Path::new("/etc/hostname"))).err().map(|error| error.to_string());
        let expected = "`/etc/hostname`, which --image-binary names, cannot be the image's one file: it is no 64-bit Linux program";
        assert_eq!(error.as_deref(), Some(expected));
    }

    #[test]
    fn the_tag_is_the_content() {
        let tag = |content: &[u8]| Binary { path: PathBuf::new(), content: content.to_vec() }.tag();
        assert_eq!(tag(b"a"), "ca978112ca1bbdca");
        assert_ne!(tag(b"a"), tag(b"b"));
    }
}
