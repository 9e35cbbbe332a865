//! One command of this machine inside a pod: the pod's network and resolver settings, the machine's files.
//!
//! The command runs behind a re-execution of this program, which enters the pod's network, puts the pod's
//! resolver settings over the machine's in a mount namespace of its own, and becomes the command. When either
//! ends, the kernel takes all of it back.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};

use egret_core::ObjectName;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::{Lab, LabOptions};
use crate::case::Case;
use crate::flows::monitor::{self, EventType};
use crate::subject::site::{SiteError, failed};
use crate::subject::{Subject, SubjectError, question};

/// `egret lab run`: one command of the host inside a pod.
pub struct LabRun<'a> {
    /// The case whose world comes up.
    pub case: &'a Case,
    /// Index of the last step to apply.
    pub step: usize,
    /// The pod.
    pub pod: ObjectName,
    /// Command and arguments; empty for a shell.
    pub command: Vec<OsString>,
    /// Commands that serve in other pods meanwhile, each as a shell reads it.
    pub servers: Vec<(ObjectName, String)>,
    /// Monitor lines of these types go to standard error; none when empty.
    pub monitor: Vec<EventType>,
}

/// What the re-executed program needs to become the command.
#[derive(Clone, Debug, clap::Args)]
pub struct Inside {
    /// Path of a descriptor of the pod's network
    #[arg(long)]
    network: PathBuf,
    /// Text of the pod's /etc/resolv.conf
    #[arg(long)]
    resolv_conf: String,
    /// Command and arguments
    #[arg(last = true, required = true, num_args = 1..)]
    command: Vec<OsString>,
}

/// Brings the case up to the step and runs the command in the pod; gives the command's exit code.
///
/// # Errors
/// The lab or the command could not run.
pub fn run(run: &LabRun<'_>) -> Result<u8, SubjectError> {
    let mut lab = Lab::new(LabOptions::default())?;
    lab.begin(run.case)?;
    for step in run.case.steps.iter().take(run.step.saturating_add(1)) {
        lab.apply(step)?;
    }
    let mut servers = Servers(Vec::new());
    for (pod, command) in &run.servers {
        let command = ["/bin/sh", "-c", command].map(OsString::from);
        let mut inside = lab.inside(pod, &command).map_err(failed::<SiteError>("start a server"))?;
        // Standard output is the command's alone.
        let server =
            io::stderr().as_fd().try_clone_to_owned().and_then(|stderr| inside.stdout(stderr).spawn());
        servers.0.push(server.map_err(failed::<io::Error>("start a server"))?);
    }
    let child = lab.inside(&run.pod, &run.command).and_then(|mut inside| Ok(inside.spawn()?));
    let child = child.map_err(failed::<SiteError>("start the command"))?;
    let status = lab.attend(child, &run.monitor).map_err(failed::<SiteError>("wait for the command"))?;
    // As a shell reports a signal.
    let code = status.code().or_else(|| status.signal().map(|signal| signal.saturating_add(128)));
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}

/// Servers of other pods, which end with the command.
struct Servers(Vec<Child>);

impl Drop for Servers {
    fn drop(&mut self) {
        for server in &mut self.0 {
            // One that has ended by itself has said why.
            let _ended = server.kill().and_then(|()| server.wait());
        }
    }
}

impl Lab {
    /// What becomes the command inside the pod.
    fn inside(&self, pod: &ObjectName, command: &[OsString]) -> Result<Command, SiteError> {
        let missing = || question::NotThere(format!("pod `{pod}`"));
        let network = self.site.network_of(pod).ok_or_else(missing)?;
        let resolver = question::resolver_of(&self.world, pod);
        let mut inside = Command::new("/proc/self/exe");
        inside.arg("lab-inside").arg("--network").arg(network);
        // Without a DNS service a pod has no resolver: the file is empty.
        inside.arg("--resolv-conf").arg(resolver.map(|it| it.resolv_conf()).unwrap_or_default());
        inside.arg("--");
        if command.is_empty() {
            inside.arg(std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into()));
        } else {
            inside.args(command);
        }
        Ok(inside)
    }

    /// Serves the world until the command ends, printing monitor lines as they come.
    fn attend(&mut self, mut child: Child, types: &[EventType]) -> Result<ExitStatus, SiteError> {
        let (tell, mut ended) = oneshot::channel();
        std::thread::Builder::new().name("command".into()).spawn(move || drop(tell.send(child.wait())))?;
        let Self { runtime, site, .. } = self;
        runtime.block_on(async {
            // The terminal's interrupt is the command's to handle; it ends the lab by ending the command.
            let mut interrupt = signal(SignalKind::interrupt())?;
            loop {
                let status = tokio::select! {
                    status = &mut ended => Some(status),
                    () = site.news() => None,
                    _ = interrupt.recv() => None,
                };
                for flow in site.drain() {
                    for line in monitor::lines(&flow, types) {
                        eprintln!("{line}");
                    }
                }
                if let Some(status) = status {
                    return Ok(status.map_err(io::Error::other)??);
                }
            }
        })
    }
}

/// Becomes the command inside the pod; returns only when that fails.
pub fn enter(inside: &Inside) -> io::Error {
    if let Err(error) = prepare(inside) {
        return error;
    }
    let Some((program, arguments)) = inside.command.split_first() else {
        return io::Error::from(io::ErrorKind::InvalidInput);
    };
    let error = Command::new(program).args(arguments).exec();
    io::Error::new(error.kind(), format!("cannot run `{}`: {error}", program.display()))
}

fn prepare(inside: &Inside) -> io::Result<()> {
    // The lab must not outlive the program that serves it.
    set_pdeathsig(Signal::SIGKILL)?;
    setns(fs::File::open(&inside.network)?, CloneFlags::CLONE_NEWNET)?;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    cover(inside)
}

/// Puts the pod's resolver settings over the machine's, from a file system that lives in memory.
fn cover(inside: &Inside) -> io::Result<()> {
    // Any directory does: it is covered only while the files are being bound from there.
    let scratch = Path::new("/tmp");
    mount(Some("egret"), scratch, Some("tmpfs"), MsFlags::empty(), Some("mode=755,size=64k"))?;
    // Straight to the DNS server: no cache or resolver daemon of the machine, which sit in another network.
    let files = [
        ("resolv.conf", inside.resolv_conf.as_str(), true),
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n", false),
    ];
    for (name, text, needed) in files {
        let target = Path::new("/etc").join(name);
        if !needed && !target.exists() {
            continue;
        }
        let source = scratch.join(name);
        fs::write(&source, text)?;
        mount(Some(&source), &target, None::<&str>, MsFlags::MS_BIND, None::<&str>).map_err(|error| {
            let error = io::Error::from(error);
            io::Error::new(error.kind(), format!("cannot cover {}: {error}", target.display()))
        })?;
    }
    let daemon = Path::new("/run/nscd");
    if daemon.exists() {
        mount(Some(scratch), daemon, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    }
    Ok(umount2(scratch, MntFlags::MNT_DETACH)?)
}
