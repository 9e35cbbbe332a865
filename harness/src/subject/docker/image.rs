//! The image in the engine, made through its API.

use bollard::query_parameters::{CreateImageOptions, TagImageOptions};
use bytes::Bytes;
use futures_util::StreamExt;

use super::engine::Engine;
use super::error::DockerError;
use crate::subject::image::{Binary, REPOSITORY};

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

/// Gives the engine the image of a binary, unless it has it.
///
/// # Errors
/// The engine refused.
pub(super) async fn ensure(engine: &Engine, binary: &Binary) -> Result<Image, DockerError> {
    let tag = binary.tag();
    let name = format!("{REPOSITORY}:{tag}");
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
    let layer = binary.layer().map_err(DockerError::Layer)?;
    let mut progress =
        Box::pin(engine.api.create_image(Some(options), Some(bollard::body_full(Bytes::from(layer))), None));
    while let Some(step) = progress.next().await {
        step.map_err(DockerError::refused("make the image"))?;
    }
    Ok(Image { name, made: true, size })
}

/// Gives an image the name that `kind/agent.yaml` has, for whoever loads it into nodes by hand.
///
/// # Errors
/// The engine refused.
pub(super) async fn name_latest(engine: &Engine, image: &Image) -> Result<(), DockerError> {
    let options = TagImageOptions { repo: Some(REPOSITORY.into()), tag: Some("latest".into()) };
    let named = engine.api.tag_image(&image.name, Some(options)).await;
    named.map_err(DockerError::refused("name the image"))
}
