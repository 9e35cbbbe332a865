//! A command in a pod, over the API server's websocket.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::Client;
use kube::api::AttachParams;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::error::ClusterError;

/// A pod in which commands run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) namespace: String,
    pub(super) pod: String,
}

/// Bytes that are kept on their way; a whole order of a large matrix fits.
const BUFFER: usize = 1 << 20;

/// Runs a command in a pod's only container; gives its standard output. `input` goes to its standard input.
///
/// # Errors
/// It could not start, it failed, or it took longer than `limit`.
pub(super) async fn run(
    client: &Client,
    at: &At,
    command: &[&str],
    input: Option<&str>,
    limit: Duration,
) -> Result<String, ClusterError> {
    let failed = |problem: String| ClusterError::Exec {
        command: command.join(" "),
        pod: format!("{}/{}", at.namespace, at.pod),
        problem,
    };
    let work = async {
        let api: Api<Pod> = Api::namespaced(client.clone(), &at.namespace);
        let parameters = AttachParams {
            stdin: input.is_some(),
            max_stdin_buf_size: Some(BUFFER),
            max_stdout_buf_size: Some(BUFFER),
            max_stderr_buf_size: Some(BUFFER),
            ..AttachParams::default()
        };
        let mut process = api.exec(&at.pod, command.iter().copied(), &parameters).await.map_err(|error| {
            ClusterError::of(format!("run `{}` in {}/{}", command.join(" "), at.namespace, at.pod), error)
        })?;
        let status = process.take_status();
        let (stdin, stdout, stderr) = (process.stdin(), process.stdout(), process.stderr());
        let write = async {
            if let (Some(mut stdin), Some(input)) = (stdin, input) {
                stdin.write_all(input.as_bytes()).await?;
                stdin.flush().await?;
                // Held to the end: not every API server can pass on that standard input has ended.
                return Ok(Some(stdin));
            }
            Ok(None)
        };
        let (out, err) = (read(stdout), read(stderr));
        let (written, out, err) = tokio::join!(write, out, err);
        let io = |error: std::io::Error| failed(error.to_string());
        let (_stdin, out, err) = (written.map_err(io)?, out.map_err(io)?, err.map_err(io)?);
        let status = match status {
            Some(status) => status.await,
            None => None,
        };
        match status {
            Some(status) if status.status.as_deref() == Some("Success") => Ok(out),
            Some(status) => {
                let message = status.message.unwrap_or_else(|| "no reason given".into());
                let said = err.trim();
                Err(failed(if said.is_empty() { message } else { format!("{message}: {said}") }))
            }
            None => Err(failed("the connection ended before the command did".into())),
        }
    };
    match tokio::time::timeout(limit, work).await {
        Ok(ended) => ended,
        Err(_) => Err(failed(format!("took longer than {} s", limit.as_secs()))),
    }
}

async fn read(stream: Option<impl tokio::io::AsyncRead + Unpin>) -> std::io::Result<String> {
    let mut text = String::new();
    if let Some(mut stream) = stream {
        stream.read_to_string(&mut text).await?;
    }
    Ok(text)
}
