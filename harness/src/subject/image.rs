//! The image: one static binary on an empty base, named by its content, made through the engine's API.

use std::fs;
use std::path::{Path, PathBuf};

use bollard::query_parameters::CreateImageOptions;
use bytes::Bytes;
use futures_util::StreamExt;
use sha2::{Digest, Sha256};

use super::engine::Engine;
use super::error::DockerError;

/// Names another binary than the running one, which an ordinary build does not make static.
pub(super) const BINARY: &str = "EGRET_IMAGE_BINARY";
/// Name of the image without its tag.
const REPOSITORY: &str = "egret";
/// Digits of the content's hash in the tag.
const DIGITS: usize = 16;

/// The binary that goes into the image, read and checked.
pub(super) struct Binary {
    pub(super) path: PathBuf,
    content: Vec<u8>,
}

/// An image that the engine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Name with tag.
    pub name: String,
    /// Whether it was made just now.
    pub made: bool,
    /// Size of the binary in bytes.
    pub size: usize,
}

impl Binary {
    /// The one that the environment names, else the running one.
    ///
    /// # Errors
    /// It cannot be read, or cannot run alone.
    pub(super) fn find() -> Result<Self, DockerError> {
        let path = std::env::var_os(BINARY).map_or_else(|| PathBuf::from("/proc/self/exe"), PathBuf::from);
        Self::read(&path)
    }

    fn read(path: &Path) -> Result<Self, DockerError> {
        // The link is of use only to this process; people know the file behind it.
        let named = fs::read_link(path).unwrap_or_else(|_| path.to_path_buf());
        let unusable = |problem: String| DockerError::Binary { path: named.clone(), problem };
        let content = fs::read(path).map_err(|error| unusable(error.to_string()))?;
        stands_alone(&content).map_err(|problem| unusable(problem.to_owned()))?;
        Ok(Self { path: named, content })
    }

    /// The image's name: the tag is the content.
    fn image(&self) -> (String, String) {
        let digest = Sha256::digest(&self.content);
        let tag: String = digest.iter().take(DIGITS / 2).map(|byte| format!("{byte:02x}")).collect();
        (format!("{REPOSITORY}:{tag}"), tag)
    }

    /// The image's only layer.
    fn layer(&self) -> Result<Vec<u8>, DockerError> {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(self.content.len()).unwrap_or(u64::MAX));
        header.set_mode(0o755);
        header.set_mtime(0);
        let mut archive = tar::Builder::new(Vec::with_capacity(self.content.len().saturating_add(4096)));
        archive
            .append_data(&mut header, "egret", self.content.as_slice())
            .and_then(|()| archive.into_inner())
            .map_err(|error| DockerError::Binary { path: self.path.clone(), problem: error.to_string() })
    }
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

/// Gives the engine the image of a binary, unless it has it.
///
/// # Errors
/// The engine refused.
pub(super) async fn ensure(engine: &Engine, binary: &Binary) -> Result<Image, DockerError> {
    let (name, tag) = binary.image();
    let size = binary.content.len();
    if engine.api.inspect_image(&name).await.is_ok() {
        return Ok(Image { name, made: false, size });
    }
    let options = CreateImageOptions {
        from_src: Some("-".into()),
        repo: Some(REPOSITORY.into()),
        tag: Some(tag),
        changes: vec!["ENTRYPOINT [\"/egret\"]".into(), "LABEL egret.image=1".into()],
        ..CreateImageOptions::default()
    };
    let body = bollard::body_full(Bytes::from(binary.layer()?));
    let mut progress = Box::pin(engine.api.create_image(Some(options), Some(body), None));
    while let Some(step) = progress.next().await {
        step.map_err(DockerError::refused("make the image"))?;
    }
    Ok(Image { name, made: true, size })
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
    fn the_tag_is_the_content() {
        let image = |content: &[u8]| Binary { path: PathBuf::new(), content: content.to_vec() }.image().0;
        assert_eq!(image(b"a"), "egret:ca978112ca1bbdca");
        assert_ne!(image(b"a"), image(b"b"));
    }
}
