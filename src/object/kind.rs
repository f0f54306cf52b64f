//! Telling files apart by how they begin.

/// What a file or an archive member is, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A WebAssembly module; whether it is relocatable shows when it is read.
    Wasm,
    /// An archive with its members inside.
    Archive,
    /// An archive that names files.
    ThinArchive,
    /// LLVM bitcode.
    Bitcode,
    /// A text file that names symbols which somebody else will provide.
    Stub,
    /// Anything else.
    Unknown,
}

impl FileKind {
    /// What `bytes` are.
    pub fn of(bytes: &[u8]) -> FileKind {
        match bytes {
            [b'\0', b'a', b's', b'm', ..] => FileKind::Wasm,
            [b'B', b'C', 0xc0, 0xde, ..] | [0xde, 0xc0, 0x17, 0x0b, ..] => FileKind::Bitcode,
            _ if bytes.starts_with(b"!<arch>\n") => FileKind::Archive,
            _ if bytes.starts_with(b"!<thin>\n") => FileKind::ThinArchive,
            _ if bytes.starts_with(b"#STUB") => FileKind::Stub,
            _ => FileKind::Unknown,
        }
    }
}
