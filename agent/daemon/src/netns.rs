//! Network namespaces without names, held by file descriptors.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace. It lives as long as this descriptor, a socket or a process in it.
#[derive(Debug)]
pub struct Netns {
    fd: OwnedFd,
}

/// The namespace of the calling thread; a thread's namespace is not its process'.
const OWN: &str = "/proc/thread-self/ns/net";

impl Netns {
    /// Makes a new, empty namespace.
    ///
    /// # Errors
    /// Without CAP_SYS_ADMIN, or when the machine has no more room for namespaces.
    pub fn new() -> io::Result<Self> {
        let home = Self::current()?;
        unshare(CloneFlags::CLONE_NEWNET)?;
        let new = Self::current();
        home.return_home();
        new
    }

    /// The calling thread's namespace.
    ///
    /// # Errors
    /// When `/proc` is not mounted.
    pub fn current() -> io::Result<Self> {
        Ok(Self { fd: File::open(OWN)?.into() })
    }

    /// Runs `work` with the calling thread inside this namespace. Sockets that it makes stay inside.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or `work` fails.
    pub fn enter<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let home = Self::current()?;
        setns(&self.fd, CloneFlags::CLONE_NEWNET)?;
        let result = work();
        home.return_home();
        result
    }

    /// Takes the calling thread back to where it came from.
    fn return_home(&self) {
        if setns(&self.fd, CloneFlags::CLONE_NEWNET).is_err() {
            // Whatever ran next would send its packets into the wrong network.
            std::process::abort();
        }
    }

    /// Moves the calling thread into this namespace for good.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn move_into(&self) -> io::Result<()> {
        Ok(setns(&self.fd, CloneFlags::CLONE_NEWNET)?)
    }

    /// Another descriptor of the same namespace.
    ///
    /// # Errors
    /// When the process has no descriptors left.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { fd: self.fd.try_clone()? })
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<OwnedFd> for Netns {
    /// A namespace that somebody else opened or handed over.
    fn from(fd: OwnedFd) -> Self {
        Self { fd }
    }
}
