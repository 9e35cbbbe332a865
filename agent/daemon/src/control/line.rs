//! One line of JSON over a socket, with at most one descriptor beside it.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// Longest request in bytes.
pub(super) const LONGEST: usize = 64 * 1024;

/// Sends a whole line, with a descriptor beside its first byte.
pub(super) fn send_with(socket: &impl AsRawFd, line: &[u8], descriptor: &impl AsFd) -> io::Result<()> {
    let descriptors = [descriptor.as_fd().as_raw_fd()];
    let beside = [ControlMessage::ScmRights(&descriptors)];
    let sent =
        sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(line)], &beside, MsgFlags::MSG_NOSIGNAL, None)?;
    if sent == line.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Receives what is there into a buffer, and the descriptor beside it; 0 bytes: the other side has ended.
pub(super) fn receive_with(socket: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut parts = [IoSliceMut::new(buffer)];
    let mut space = cmsg_space!(RawFd);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let mut descriptor = None;
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(descriptors) = part {
            for raw in descriptors {
                descriptor = Some(own(raw));
            }
        }
    }
    Ok((message.bytes, descriptor))
}

fn own(raw: RawFd) -> OwnedFd {
    #![expect(unsafe_code, reason = "a received descriptor comes as a number")]
    // SAFETY: the kernel has just made this descriptor for this process, and nobody else knows of it.
    unsafe { OwnedFd::from_raw_fd(raw) }
}

/// Whether the other side has closed its end.
pub(super) fn is_closed(socket: &impl AsRawFd) -> bool {
    let mut byte = [0];
    let peeked =
        nix::sys::socket::recv(socket.as_raw_fd(), &mut byte, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT);
    peeked.is_ok_and(|bytes| bytes == 0)
}
