//! kind's own program: create, load, delete. Its progress goes to standard error as it comes.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::killpg;
use nix::unistd::Pid;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::Target;
use super::image::Image;
use crate::subject::cluster::error::ClusterError;
use crate::subject::cluster::pace::Pace;

/// How long what kind has started may take to end after kind; a `docker run` takes seconds.
const LIMIT: Duration = Duration::from_secs(30);
/// Between two looks.
const PACE: Duration = Duration::from_millis(100);

/// kind's program for one cluster.
pub(super) struct Program {
    path: PathBuf,
    name: String,
    /// The process group of the last run. It is kind's own: Ctrl-C at a terminal reaches this program alone, which then
    /// knows what to wait for.
    group: Cell<Option<Pid>>,
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
        Ok(Self { path, name: target.name.clone(), group: Cell::default() })
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

    /// Removes what a run of kind has made that did not come to its end.
    ///
    /// A kind that is killed leaves programs of the engine behind that go on to make nodes: the removal makes those end
    /// that work in a node, and has to be done once more when the last of them has ended.
    pub(super) async fn delete_unfinished(&self) -> Result<(), ClusterError> {
        let Some(group) = self.group.get().filter(|group| is_alive(*group)) else {
            return self.delete().await;
        };
        // Whatever it says, the second one decides.
        let _first = self.delete().await;
        let mut pace = Pace::new(PACE, LIMIT);
        while is_alive(group) && pace.next().await {}
        self.delete().await
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
        command.args(arguments).stdout(Stdio::piped()).kill_on_drop(true).process_group(0);
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn().map_err(io)?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        self.group.set(group);
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

/// Whether a process of the group is there.
fn is_alive(group: Pid) -> bool {
    killpg(group, None).is_ok()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
