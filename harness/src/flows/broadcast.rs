//! Monitor lines from a run to every `egret monitor` of this machine, and nothing left in the file system.
//!
//! A monitor listens on an abstract Unix socket `egret-monitor/<process>`. Before each step a run looks for such
//! sockets in `/proc/net/unix` and connects to the new ones. Both sides talk only to their own user or to root.
//! On the wire: `<type> <line>\n`, one line per event; the monitor filters by type.

use std::io::{self, BufRead, BufReader, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::monitor::EventType;

/// Start of every monitor's socket name.
const PREFIX: &str = "egret-monitor/";
/// How long a run waits for a monitor that does not read; it is left then, for a run must not hang on it.
const PATIENCE: Duration = Duration::from_secs(1);

/// The monitors that a run writes to.
#[derive(Default)]
pub struct Broadcast {
    monitors: Vec<(String, UnixStream)>,
}

impl Broadcast {
    /// Looks for monitors that have come since the last call.
    pub fn look(&mut self) {
        // A machine without this file has no abstract sockets either, so there is nobody to write to.
        let Ok(table) = std::fs::read_to_string("/proc/net/unix") else { return };
        for name in listeners(&table) {
            if self.monitors.iter().all(|(known, _)| *known != name)
                && let Ok(stream) = connect(&name)
            {
                self.monitors.push((name, stream));
            }
        }
    }

    /// Writes a line to every monitor; one that has gone, or does not read, is forgotten.
    pub fn write(&mut self, kind: EventType, line: &str) {
        let message = format!("{} {line}\n", kind.word());
        self.monitors.retain_mut(|(_, stream)| stream.write_all(message.as_bytes()).is_ok());
    }
}

fn connect(name: &str) -> io::Result<UnixStream> {
    let stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    is_trusted(&stream)?.then_some(stream).ok_or_else(|| io::ErrorKind::PermissionDenied.into())
}

/// Names of listening monitors in the text of `/proc/net/unix`; an abstract name begins with `@` there.
fn listeners(table: &str) -> impl Iterator<Item = String> {
    table.lines().filter_map(|line| {
        // Num RefCount Protocol Flags Type St Inode Path; flag 0x10000 marks a listening socket.
        let mut fields = line.split_ascii_whitespace();
        let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
        let name = fields.nth(3)?.strip_prefix('@')?;
        (flags & 0x1_0000 != 0 && name.starts_with(PREFIX)).then(|| name.to_owned())
    })
}

/// Whether the other side runs as this user or as root.
fn is_trusted(stream: &UnixStream) -> io::Result<bool> {
    let peer = getsockopt(stream, PeerCredentials)?.uid();
    Ok(peer == 0 || peer == nix::unistd::geteuid().as_raw())
}

/// A monitor: it hears every run on this machine.
pub struct Monitor {
    listener: UnixListener,
}

impl Monitor {
    /// Listens under this process's number.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn listen() -> io::Result<Self> {
        let name = format!("{PREFIX}{}", std::process::id());
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
        Ok(Self { listener })
    }

    /// Hands over each line of the wanted types as it comes, from all runs; ends when `take` fails.
    ///
    /// # Errors
    /// The socket's or `take`'s.
    pub fn run(
        self,
        types: &[EventType],
        take: &mut (dyn FnMut(&str) -> io::Result<()> + Send),
    ) -> io::Result<()> {
        let (lines, heard) = std::sync::mpsc::sync_channel::<String>(1024);
        let listener = self.listener;
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let lines = lines.clone();
                std::thread::spawn(move || {
                    if is_trusted(&stream).unwrap_or(false) {
                        // A run that ends closes its side; what it said last ends there.
                        let mut messages = BufReader::new(stream).lines().map_while(Result::ok);
                        messages.all(|message| lines.send(message).is_ok());
                    }
                });
            }
        });
        for message in heard {
            if let Some((kind, line)) = message.split_once(' ')
                && types.iter().any(|wanted| wanted.word() == kind)
            {
                take(line)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_monitors_are_found() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 11 @egret-monitor/7\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 12 @egret-monitor/7\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 13 /run/egret-monitor/8\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 14\n";
        assert_eq!(listeners(table).collect::<Vec<_>>(), ["egret-monitor/7"]);
    }

    #[test]
    fn a_monitor_hears_the_types_that_it_wants() {
        let monitor = Monitor::listen().unwrap();
        let (heard, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            monitor.run(&[EventType::Drop], &mut |line| heard.send(line.to_owned()).map_err(io::Error::other))
        });
        let mut run = Broadcast::default();
        run.look();
        run.look();
        let own = format!("{PREFIX}{}", std::process::id());
        assert_eq!(run.monitors.iter().filter(|(name, _)| *name == own).count(), 1);
        // Other runs on this machine are heard too, so only what this one says is compared.
        run.write(EventType::Trace, &format!("{own} trace"));
        run.write(EventType::Drop, &format!("{own} drop"));
        let first = lines.iter().find(|line| line.starts_with(&own));
        assert_eq!(first, Some(format!("{own} drop")));
    }
}
