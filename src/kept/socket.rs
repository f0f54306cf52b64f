//! Where a process can be asked that keeps something of an output in memory: a socket in the state folder, which nobody else can
//! look into. What it is asked, and whether there is such a process, is not known here.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use crate::output::{StateFolder, suffix};

/// Where a process can be asked that keeps something of an output in memory.
#[derive(Debug)]
pub struct Socket {
    folder: StateFolder,
    /// The device and the inode of the socket that this process listens at, if it does.
    listens_at: Option<(u64, u64)>,
}

impl Socket {
    /// The one of an output, whose state folder is made if there is none.
    ///
    /// # Errors
    /// If the output is not a regular file, or the folder cannot be used.
    pub fn beside(output: &Path) -> io::Result<Socket> {
        StateFolder::beside(output).map(Socket::of)
    }

    /// The one of an output that has a state folder.
    ///
    /// # Errors
    /// If there is none, or it cannot be used.
    pub fn existing(output: &Path) -> io::Result<Socket> {
        StateFolder::existing(output).map(Socket::of)
    }

    fn of(folder: StateFolder) -> Socket {
        Socket {
            folder,
            listens_at: None,
        }
    }

    /// Asks the process that listens here.
    ///
    /// # Errors
    /// If there is none.
    pub fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(self.folder.path(suffix::SOCKET)?)
    }

    /// Listens here from now on, in the place of any process that did.
    ///
    /// # Errors
    /// If the file system has no sockets, or no room, or another process was quicker.
    pub fn listen(&mut self) -> io::Result<UnixListener> {
        let path = self.folder.path(suffix::SOCKET)?;
        self.folder.remove(suffix::SOCKET)?;
        let listener = UnixListener::bind(&path)?;
        let found = std::fs::symlink_metadata(&path)?;
        self.listens_at = Some((found.dev(), found.ino()));
        Ok(listener)
    }

    /// Whether this process still is the one that others find here.
    pub fn stands(&self) -> bool {
        let found = self.folder.path(suffix::SOCKET);
        let found = found.and_then(std::fs::symlink_metadata);
        found.is_ok_and(|found| self.listens_at == Some((found.dev(), found.ino())))
    }

    /// Lets nobody find this process any more.
    pub fn leave(&mut self) {
        if self.stands() {
            // Whoever comes to a socket at which nobody listens goes on alone.
            let _ = self.folder.remove(suffix::SOCKET);
        }
        self.listens_at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_to_listen_is_the_one_who_is_found() {
        let folder = tempfile::tempdir().unwrap();
        // The names of sockets are short, those of outputs need not be.
        let deep = folder
            .path()
            .join("a folder with quite a long name of its own".repeat(4));
        std::fs::create_dir(&deep).unwrap();
        let output = deep.join("out.wasm");
        let mut first = Socket::beside(&output).unwrap();
        assert!(first.connect().is_err());
        let one = first.listen().unwrap();
        assert!(first.stands() && first.connect().is_ok());
        let mut second = Socket::beside(&output).unwrap();
        let other = second.listen().unwrap();
        assert!(!first.stands() && second.stands());
        first.leave();
        assert!(second.connect().is_ok());
        drop((one, other));
        assert!(second.connect().is_err(), "nobody listens");
        second.leave();
        assert!(!deep.join(".wasmend/out.wasm.sock").exists());
    }
}
