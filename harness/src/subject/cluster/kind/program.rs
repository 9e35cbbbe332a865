//! kind's own program: create, load, delete. Its progress goes to standard error as it comes.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::Target;
use super::image::Image;
use crate::subject::cluster::error::ClusterError;

/// kind's program for one cluster.
pub(super) struct Program {
    path: PathBuf,
    name: String,
}

impl Program {
    /// Finds the program.
    ///
    /// # Errors
    /// [`ClusterError::NoKind`].
    pub(super) fn find(target: &Target) -> Result<Self, ClusterError> {
        let wanted = &target.program;
        let found = if wanted.components().count() > 1 {
            Some(wanted.clone())
        } else {
            let folders = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&folders).map(|folder| folder.join(wanted)).find(|path| path.is_file())
        };
        let path = found.filter(|path| path.is_file());
        let path = path.ok_or_else(|| ClusterError::NoKind(wanted.display().to_string()))?;
        Ok(Self { path, name: target.name.clone() })
    }

    /// Whether the cluster is there.
    pub(super) async fn exists(&self) -> Result<bool, ClusterError> {
        let clusters = self.run(&["get", "clusters"], None).await?;
        Ok(clusters.lines().any(|line| line.trim() == self.name))
    }

    /// Makes the cluster; its nodes cannot become ready before a network plugin is there, so nobody waits for them.
    pub(super) async fn create(&self, config: &str, node_image: Option<&str>) -> Result<(), ClusterError> {
        let mut arguments = vec!["create", "cluster", "--name", &self.name, "--config", "-"];
        if let Some(image) = node_image {
            arguments.extend(["--image", image]);
        }
        self.run(&arguments, Some(config)).await.map(drop)
    }

    /// Loads the image into every node.
    pub(super) async fn load(&self, image: &Image) -> Result<(), ClusterError> {
        let archive = image.archive()?;
        let path = archive.path().to_string_lossy();
        self.run(&["load", "image-archive", &path, "--name", &self.name], None).await.map(drop)
    }

    /// Removes the cluster.
    pub(super) async fn delete(&self) -> Result<(), ClusterError> {
        self.run(&["delete", "cluster", "--name", &self.name], None).await.map(drop)
    }

    /// Credentials for the cluster.
    pub(super) async fn kubeconfig(&self) -> Result<String, ClusterError> {
        self.run(&["get", "kubeconfig", "--name", &self.name], None).await
    }

    /// Runs the program and gives its standard output.
    async fn run(&self, arguments: &[&str], input: Option<&str>) -> Result<String, ClusterError> {
        let failed = |problem: String| ClusterError::Program {
            line: format!("{} {}", file_name(&self.path), arguments.join(" ")),
            problem,
        };
        let io = |error: std::io::Error| failed(error.to_string());
        let mut command = Command::new(&self.path);
        command.args(arguments).stdout(Stdio::piped()).kill_on_drop(true);
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn().map_err(io)?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            stdin.write_all(input.as_bytes()).await.map_err(io)?;
        }
        let output = child.wait_with_output().await.map_err(io)?;
        if !output.status.success() {
            return Err(failed(output.status.to_string()));
        }
        String::from_utf8(output.stdout).map_err(|error| failed(error.to_string()))
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
