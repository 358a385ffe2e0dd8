//! What NEXUS and its guard say to each other, over one Unix socket.
//!
//! First the start message: a length with the program's file descriptors attached, then JSON.
//! The guard passes the same message on to its exec stage. After that one JSON value a line:
//! [`Order`]s to the guard, [`Report`]s from it.
//!
//! Descriptors travel inside the message and not by inheritance, because a process cannot take
//! an inherited descriptor into its hands without unsafe code, and because this way the guard
//! holds them only until the program has them.

use crate::ProcessIdentity;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    ffi::OsString,
    io::{self, IoSlice, IoSliceMut, Read},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
};

/// As many descriptors as one start message carries, stdin, stdout and stderr included.
pub(crate) const MAX_FDS: usize = 32;

/// What is to be started. The text is `OsString` throughout, because paths need not be UTF-8.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    /// Absolute.
    pub program: OsString,
    pub args: Vec<OsString>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    pub cwd: OsString,
    /// The number that each passed descriptor has in the program, in the order they are sent.
    pub targets: Vec<RawFd>,
}

/// What NEXUS asks of the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Send SIGTERM to the program.
    Term,
    /// Kill the program and all that it started.
    Kill,
}

/// What the guard tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    Started(ProcessIdentity),
    CouldNotStart {
        reason: String,
        /// The system's number for what it has too little of, when it was that.
        exhausted: Option<i32>,
    },
    Exited {
        code: i32,
    },
    Signalled {
        signal: i32,
    },
    /// These are being killed for some time and still live. The guard goes on; the next such
    /// report, or the last one, says what came of it.
    StillThere(Vec<ProcessIdentity>),
    /// The program and all that it started are gone. The last report.
    Gone,
}

/// The bytes of `start` as [`receive`] expects them after the length.
pub(crate) fn encode(start: &Start) -> io::Result<Vec<u8>> {
    serde_json::to_vec(start).map_err(io::Error::other)
}

/// One value as a line.
pub(crate) fn line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value).map_err(io::Error::other)?;
    line.push(b'\n');
    Ok(line)
}

/// The value that a line holds.
pub(crate) fn parse<T: DeserializeOwned>(line: &str) -> io::Result<T> {
    serde_json::from_str(line).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

/// Sends the length of a start message with the descriptors. On a fresh socket this never
/// blocks. The encoded message itself is to follow.
pub(crate) fn send_length(
    socket: impl AsFd,
    message: &[u8],
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let length = u32::try_from(message.len())
        .map_err(|_| io::Error::other("the arguments and the environment are too long"))?
        .to_le_bytes();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other("too many file descriptors to pass on"));
    }
    let sent = sendmsg(
        socket,
        &[IoSlice::new(&length)],
        &mut control,
        SendFlags::empty(),
    )?;
    if sent == length.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::WriteZero.into())
    }
}

/// Waits for a start message. `None` when the other side is gone before it said anything.
pub(crate) fn receive(mut socket: &UnixStream) -> io::Result<Option<(Start, Vec<OwnedFd>)>> {
    let mut length = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut length)],
        &mut control,
        RecvFlags::empty(),
    )?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut fds: Vec<OwnedFd> = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = part {
            fds.extend(passed);
        }
    }
    socket.read_exact(&mut length[received.bytes..])?;
    let mut message = vec![0; u32::from_le_bytes(length) as usize];
    socket.read_exact(&mut message)?;
    let start: Start = serde_json::from_slice(&message)
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    if start.targets.len() != fds.len() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "file descriptors were lost on the way",
        ));
    }
    Ok(Some((start, fds)))
}
