//! What goes from one process to another: a message with what is lent, and an answer. What they say is not known here.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg, sockopt,
};

/// How many descriptors go with a message.
const LENT: usize = 3;
/// No message is longer: the arguments of a process are not.
const MOST: usize = 64 << 20;
/// How long the other side may take for what it has at hand.
const PATIENCE: Duration = Duration::from_secs(10);

/// The other side listens. Until it says so nothing is lent to it: what a process has that does nothing is never given back.
const LISTENS: u8 = b'l';
/// It is done, with the exit code that follows.
const DONE: u8 = b'd';
/// Another process has to do it.
const ELSEWHERE: u8 = b'e';

/// What the other side says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It has done it, with this exit code.
    Done(u8),
    /// Another process has to do it: this one is ending.
    Elsewhere,
}

/// Sends a message, and lends these files.
pub(super) fn send(
    stream: &UnixStream,
    message: &[u8],
    lent: [BorrowedFd<'_>; LENT],
) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    let length = u32::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(LENT))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&lent));
    let length = length.to_le_bytes();
    let sent = sendmsg(
        stream,
        &[IoSlice::new(&length)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    let mut stream = stream;
    stream.write_all(&length[sent..])?;
    stream.write_all(message)
}

/// A message, and what was lent with it.
pub(super) type Message = (Vec<u8>, [OwnedFd; LENT]);

/// Receives a message; `None` if the other side wants this one to end.
pub(super) fn receive(stream: &UnixStream) -> io::Result<Option<Message>> {
    let cut_short = || io::Error::from(io::ErrorKind::InvalidData);
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(LENT))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut length = [0; 4];
    let received = recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut length)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut lent = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(files) = message {
            lent.extend(files);
        }
    }
    let mut stream = stream;
    stream.read_exact(&mut length[received.bytes..])?;
    let length = u32::from_le_bytes(length) as usize;
    if length == 0 {
        return Ok(None);
    }
    if length > MOST {
        return Err(cut_short());
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message)?;
    let lent = lent.try_into().map_err(|_| cut_short())?;
    Ok(Some((message, lent)))
}

/// Refuses another user's process. Returns which process it is.
pub(super) fn expect_same_user(stream: &UnixStream) -> io::Result<u32> {
    let other = sockopt::socket_peercred(stream)?;
    match other.uid == rustix::process::geteuid() {
        true => Ok(other.pid.as_raw_nonzero().get().unsigned_abs()),
        false => Err(io::ErrorKind::PermissionDenied.into()),
    }
}

/// Says that a message may be sent.
pub(super) fn say_listens(stream: &UnixStream) -> io::Result<()> {
    let mut stream = stream;
    stream.write_all(&[LISTENS])
}

/// Says what came of it.
pub(super) fn answer(stream: &UnixStream, answer: Answer) -> io::Result<()> {
    let mut stream = stream;
    match answer {
        Answer::Done(code) => stream.write_all(&[DONE, code]),
        Answer::Elsewhere => stream.write_all(&[ELSEWHERE]),
    }
}

/// Wants the other side to end.
pub(super) fn say_end(stream: &UnixStream) -> io::Result<()> {
    let mut stream = stream;
    stream.write_all(&0u32.to_le_bytes())
}

/// Waits until a message may be sent. False if the other side has ended instead.
pub(super) fn wait_listens(stream: &UnixStream) -> io::Result<bool> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut said = [0];
    let mut stream = stream;
    match stream.read(&mut said) {
        Ok(1) if said == [LISTENS] => Ok(true),
        Ok(0) => Ok(false),
        Ok(_) => Err(io::ErrorKind::InvalidData.into()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(false),
        Err(error) => Err(error),
    }
}

/// Waits for what comes of it, however long that takes.
pub(super) fn wait_answer(stream: &UnixStream) -> io::Result<Answer> {
    stream.set_read_timeout(None)?;
    let mut said = [0];
    let mut stream = stream;
    stream.read_exact(&mut said)?;
    match said {
        [DONE] => {
            stream.read_exact(&mut said)?;
            Ok(Answer::Done(said[0]))
        }
        [ELSEWHERE] => Ok(Answer::Elsewhere),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn messages_and_files_arrive() {
        let (one, other) = UnixStream::pair().unwrap();
        let file = tempfile::tempfile().unwrap();
        let message: Vec<u8> = (0..100_000).map(|byte| byte as u8).collect();
        let lent = [file.as_fd(); LENT];
        let sender = std::thread::scope(|scope| {
            let sending = scope.spawn(|| send(&one, &message, lent));
            let (received, files) = receive(&other).unwrap().unwrap();
            assert!(received == message);
            std::fs::File::from(files.into_iter().next().unwrap())
                .write_all(b"lent")
                .unwrap();
            sending.join().unwrap()
        });
        sender.unwrap();
        assert_eq!(file.metadata().unwrap().len(), 4);
        expect_same_user(&one).unwrap();
        say_listens(&other).unwrap();
        assert!(wait_listens(&one).unwrap());
        for said in [Answer::Done(3), Answer::Elsewhere] {
            answer(&other, said).unwrap();
            assert_eq!(wait_answer(&one).unwrap(), said);
        }
        say_end(&one).unwrap();
        assert!(receive(&other).unwrap().is_none());
        drop(other);
        assert!(!wait_listens(&one).unwrap());
        assert!(wait_answer(&one).is_err());
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bytes in [
            &[][..],
            &[1, 0],
            &[4, 0, 0, 0, 1],
            &[0xff; 4],
            &[1, 0, 0, 0, 1],
        ] {
            let (mut one, other) = UnixStream::pair().unwrap();
            one.write_all(bytes).unwrap();
            drop(one);
            assert!(receive(&other).is_err(), "{bytes:?}");
        }
    }
}
