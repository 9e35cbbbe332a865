//! Asks the agent of this node.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::line::send_with;
use super::{ControlError, Reply, Request};

/// How long an agent may take to answer what it does not have to wait for.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection to the agent.
pub struct Client {
    socket: String,
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// When no agent listens there.
    pub fn connect(socket: &Path) -> Result<Self, ControlError> {
        let socket = socket.display().to_string();
        let connected = UnixStream::connect(&socket).and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(BufReader::new(stream))
        });
        match connected {
            Ok(stream) => Ok(Self { socket, stream }),
            Err(source) => Err(ControlError::Socket { socket, source }),
        }
    }

    /// Waits for answers for as long as the agent runs.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn wait_for_ever(&mut self) -> Result<(), ControlError> {
        self.stream.get_ref().set_read_timeout(None).map_err(|source| self.failed(source))
    }

    /// Asks, and returns the first answer.
    ///
    /// # Errors
    /// When the agent refuses, or ends first.
    pub fn ask(&mut self, request: &Request) -> Result<Reply, ControlError> {
        let first = self.begin(request)?;
        first.ok_or_else(|| self.failed(io::ErrorKind::UnexpectedEof.into()))
    }

    /// Asks, and returns the first answer, where there is any; [`Client::answer`] gives the others.
    ///
    /// # Errors
    /// As for [`Client::ask`].
    pub fn begin(&mut self, request: &Request) -> Result<Option<Reply>, ControlError> {
        let line = line_of(request)?;
        self.stream.get_mut().write_all(&line).map_err(|source| self.failed(source))?;
        self.answer()
    }

    /// As [`Client::ask`], with a descriptor beside the request.
    ///
    /// # Errors
    /// As for [`Client::ask`].
    pub fn ask_with(&mut self, request: &Request, descriptor: &impl AsFd) -> Result<Reply, ControlError> {
        let line = line_of(request)?;
        send_with(self.stream.get_ref(), &line, descriptor).map_err(|source| self.failed(source))?;
        self.answer()
            .and_then(|answer| answer.ok_or_else(|| self.failed(io::ErrorKind::UnexpectedEof.into())))
    }

    /// The next answer; `None` when there are no more.
    ///
    /// # Errors
    /// When the agent refuses, or its answer is not understood.
    pub fn answer(&mut self) -> Result<Option<Reply>, ControlError> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line);
        if read.map_err(|source| self.failed(source))? == 0 {
            return Ok(None);
        }
        match serde_json::from_str(&line).map_err(ControlError::Answer)? {
            Reply::Refused { message, again } => Err(ControlError::Refused { message, again }),
            other @ (Reply::Added(_) | Reply::Done | Reply::Status(_) | Reply::Flow(_)) => Ok(Some(other)),
        }
    }

    fn failed(&self, source: io::Error) -> ControlError {
        ControlError::Socket { socket: self.socket.clone(), source }
    }
}

fn line_of(request: &Request) -> Result<Vec<u8>, ControlError> {
    let mut line = serde_json::to_vec(request).map_err(ControlError::Answer)?;
    line.push(b'\n');
    Ok(line)
}
