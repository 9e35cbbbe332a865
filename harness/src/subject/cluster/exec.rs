//! A command in a pod, over the API server's websocket.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::Client;
use kube::api::AttachParams;
use kube::api::AttachedProcess;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, Lines};
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;

use super::drops::Heard;
use super::error::ClusterError;

/// A pod in which commands run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) namespace: String,
    pub(super) pod: String,
    /// Which of its containers, for pods that others have made; ours have one.
    pub(super) container: Option<&'static str>,
}

impl At {
    /// A pod of ours.
    pub(super) const fn pod(namespace: String, pod: String) -> Self {
        Self { namespace, pod, container: None }
    }
}

/// Bytes that are kept on their way; a whole order of a large matrix fits.
const BUFFER: usize = 1 << 20;

/// What goes to a command's standard input.
pub(super) struct Input<'a> {
    /// First.
    pub(super) first: &'a str,
    /// Then, each as a line, until the command has ended.
    pub(super) then: Option<Heard>,
    /// Last, an empty line, when the command has written as many lines as this: it waits for that, since what it wrote
    /// may be lost on the way when it ends before somebody has read it.
    pub(super) answers: usize,
}

impl Input<'_> {
    /// Writes for as long as there is something to come.
    async fn write(mut self, mut to: impl AsyncWrite + Unpin, enough: &Notify) -> std::io::Result<()> {
        to.write_all(self.first.as_bytes()).await?;
        to.flush().await?;
        loop {
            let news = async {
                match &mut self.then {
                    Some(heard) => heard.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = enough.notified() => break,
                heard = news => match heard {
                    Ok(line) => write_line(&mut to, &line).await?,
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => self.then = None,
                },
            }
        }
        write_line(&mut to, "").await?;
        // Held to the end: not every API server can pass on that standard input has ended.
        std::future::pending().await
    }
}

async fn write_line(to: &mut (impl AsyncWrite + Unpin), line: &str) -> std::io::Result<()> {
    to.write_all(line.as_bytes()).await?;
    to.write_all(b"\n").await?;
    to.flush().await
}

/// A command that goes on until this value is dropped: what it writes, and what it is told.
pub(super) struct Following {
    _process: AttachedProcess,
    /// The command ends with it.
    input: Box<dyn AsyncWrite + Send + Unpin>,
    lines: Lines<BufReader<Box<dyn tokio::io::AsyncRead + Send + Unpin>>>,
}

impl Following {
    /// The next line; `None` when the command or the connection has ended.
    pub(super) async fn next(&mut self) -> Option<String> {
        self.lines.next_line().await.ok().flatten()
    }

    /// Tells it a line.
    ///
    /// # Errors
    /// It has ended.
    pub(super) async fn say(&mut self, line: &str) -> std::io::Result<()> {
        write_line(&mut self.input, line).await
    }
}

/// Starts a command in a pod's only container, which ends with its standard input, and follows what it writes.
///
/// # Errors
/// It could not start.
pub(super) async fn follow(client: &Client, at: &At, command: &[&str]) -> Result<Following, ClusterError> {
    let parameters = AttachParams { stdin: true, stderr: false, ..AttachParams::default() };
    let mut process = start(client, at, command, &parameters).await?;
    let (input, output) = (process.stdin(), process.stdout());
    let (Some(input), Some(output)) = (input, output) else {
        return Err(failed(command, at, "its streams did not come".into()));
    };
    let output: Box<dyn tokio::io::AsyncRead + Send + Unpin> = Box::new(output);
    Ok(Following { _process: process, input: Box::new(input), lines: BufReader::new(output).lines() })
}

async fn start(
    client: &Client,
    at: &At,
    command: &[&str],
    parameters: &AttachParams,
) -> Result<AttachedProcess, ClusterError> {
    let api: Api<Pod> = Api::namespaced(client.clone(), &at.namespace);
    let started = api.exec(&at.pod, command.iter().copied(), parameters).await;
    started.map_err(|error| {
        ClusterError::of(format!("run `{}` in {}/{}", command.join(" "), at.namespace, at.pod), error)
    })
}

pub(super) fn failed(command: &[&str], at: &At, problem: String) -> ClusterError {
    ClusterError::Exec { command: command.join(" "), pod: format!("{}/{}", at.namespace, at.pod), problem }
}

/// Runs a command in a pod; gives its standard output. `input` goes to its standard input.
///
/// # Errors
/// It could not start, it failed, or it took longer than `limit`.
pub(super) async fn run(
    client: &Client,
    at: &At,
    command: &[&str],
    input: Option<Input<'_>>,
    limit: Duration,
) -> Result<String, ClusterError> {
    let failed = |problem: String| failed(command, at, problem);
    let work = async {
        let parameters = AttachParams {
            container: at.container.map(str::to_owned),
            stdin: input.is_some(),
            max_stdin_buf_size: Some(BUFFER),
            max_stdout_buf_size: Some(BUFFER),
            max_stderr_buf_size: Some(BUFFER),
            ..AttachParams::default()
        };
        let mut process = start(client, at, command, &parameters).await?;
        let status = process.take_status();
        let (stdin, stdout, stderr) = (process.stdin(), process.stdout(), process.stderr());
        let (answers, enough) = (input.as_ref().map_or(0, |input| input.answers), Notify::new());
        let write = async {
            match (stdin, input) {
                (Some(stdin), Some(input)) => input.write(stdin, &enough).await,
                (_, _) => std::future::pending().await,
            }
        };
        let both = async { tokio::join!(read_lines(stdout, answers, &enough), read(stderr)) };
        let mut both = std::pin::pin!(both);
        let (out, err) = tokio::select! {
            // A command that reads no more may still have something to say.
            _unwritten = write => both.await,
            ended = &mut both => ended,
        };
        let io = |error: std::io::Error| failed(error.to_string());
        let (out, err) = (out.map_err(io)?, err.map_err(io)?);
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

/// Reads to the end; tells when so many lines have come.
async fn read_lines(
    stream: Option<impl tokio::io::AsyncRead + Unpin>,
    count: usize,
    enough: &Notify,
) -> std::io::Result<String> {
    let mut text = String::new();
    if let Some(stream) = stream {
        let mut stream = BufReader::new(stream);
        let mut lines = 0;
        while stream.read_line(&mut text).await? > 0 {
            lines += 1;
            if lines == count {
                enough.notify_one();
            }
        }
    }
    Ok(text)
}

async fn read(stream: Option<impl tokio::io::AsyncRead + Unpin>) -> std::io::Result<String> {
    let mut text = String::new();
    if let Some(mut stream) = stream {
        stream.read_to_string(&mut text).await?;
    }
    Ok(text)
}
