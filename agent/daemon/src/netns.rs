//! Network namespaces without names, held by file descriptors.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;

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
        // On a thread of its own, so that the caller never leaves its namespace.
        thread::scope(|scope| {
            scope
                .spawn(|| {
                    unshare(CloneFlags::CLONE_NEWNET)?;
                    Self::current()
                })
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("the thread that makes a namespace panicked")))
        })
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
        if setns(&home.fd, CloneFlags::CLONE_NEWNET).is_err() {
            // Whatever ran next would send its packets into the wrong network.
            std::process::abort();
        }
        result
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
