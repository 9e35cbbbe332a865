//! Images of one program of this machine, the libraries that it loads and its files, and containers of them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures_util::TryStreamExt;
use testcontainers::bollard::query_parameters::{CreateImageOptions, RemoveImageOptions};
use testcontainers::bollard::{Docker, body_full};
use testcontainers::core::WaitFor;
use testcontainers::core::wait::ExitWaitStrategy;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};

use super::Result;

/// An image at the engine.
pub(super) struct Image {
    docker: Docker,
    name: String,
    tag: String,
}

/// An address of the loopback network that no other process uses: runners may start many.
pub(super) fn own_address(port: u16) -> SocketAddr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 78, high, low)), port)
}

impl Image {
    /// Makes an image of a program, the libraries that it loads, these files by their paths, and nothing else.
    pub(super) async fn make(docker: &Docker, program: &Path, files: &[(&str, &str)]) -> Result<Self> {
        let libraries = Command::new("ldd").arg(program).output()?;
        let libraries = String::from_utf8(libraries.stdout)?;
        // `libc.so.6 => /lib/libc.so.6 (0x…)` or `/lib64/ld-linux.so.2 (0x…)`.
        let libraries = libraries.split_whitespace().filter(|word| word.starts_with('/')).map(Path::new);
        let mut archive = tar::Builder::new(Vec::new());
        for path in std::iter::once(program).chain(libraries) {
            let inside = path.strip_prefix("/")?;
            archive.append_path_with_name(std::fs::canonicalize(path)?, inside)?;
        }
        for (path, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(u64::try_from(text.len())?);
            header.set_mode(0o644);
            archive.append_data(&mut header, Path::new(path).strip_prefix("/")?, text.as_bytes())?;
        }
        let file = program.file_name().and_then(|name| name.to_str()).ok_or("a program without a name")?;
        let (name, tag) = (format!("egret.test/{file}"), std::process::id().to_string());
        let options = CreateImageOptions {
            from_src: Some("-".into()),
            repo: Some(name.clone()),
            tag: Some(tag.clone()),
            changes: vec![format!("ENTRYPOINT [{:?}]", program.display().to_string())],
            ..CreateImageOptions::default()
        };
        let body = body_full(archive.into_inner()?.into());
        docker.create_image(Some(options), Some(body), None).try_collect::<Vec<_>>().await?;
        Ok(Self { docker: docker.clone(), name, tag })
    }

    /// Removes it.
    pub(super) async fn remove(self) -> Result<()> {
        let name = format!("{}:{}", self.name, self.tag);
        self.docker.remove_image(&name, None::<RemoveImageOptions>, None).await?;
        Ok(())
    }

    /// Starts a container of it in the machine's own network, which runs until it is dropped or removed.
    pub(super) async fn start(&self, arguments: Vec<String>) -> Result<ContainerAsync<GenericImage>> {
        let container = GenericImage::new(&self.name, &self.tag)
            .with_cmd(arguments)
            .with_host_config_modifier(|config| config.network_mode = Some("host".into()));
        Ok(container.start().await?)
    }

    /// Runs it to its end; what it printed.
    pub(super) async fn run(&self, arguments: Vec<String>) -> Result<String> {
        let ended = ExitWaitStrategy::new().with_poll_interval(Duration::from_millis(10));
        let container = GenericImage::new(&self.name, &self.tag)
            .with_wait_for(WaitFor::exit(ended))
            .with_cmd(arguments)
            .with_host_config_modifier(|config| config.network_mode = Some("host".into()))
            .start()
            .await?;
        let (code, said) = (container.exit_code().await?, container.stdout_to_vec().await?);
        let complaint = container.stderr_to_vec().await?;
        container.rm().await?;
        let said = String::from_utf8(said)?;
        if code == Some(0) {
            return Ok(said);
        }
        let complaint = String::from_utf8_lossy(&complaint);
        Err(io::Error::other(format!("it ended with {code:?}: {said}{complaint}")).into())
    }
}
