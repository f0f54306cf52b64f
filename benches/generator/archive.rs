//! Archives of objects, with the index by which linkers find members.

/// A member: its file's name, the names that it defines, its bytes.
pub struct Member {
    pub file: String,
    pub names: Vec<String>,
    pub bytes: Vec<u8>,
}

/// What stands before each member.
const HEADER: usize = 60;

fn header(name: &str, len: usize) -> String {
    format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{len:<10}`\n", 0, 0, 0, 644)
}

/// The bytes of an archive.
pub fn archive(members: &[Member]) -> Vec<u8> {
    let names = members.iter().flat_map(|member| &member.names);
    let names: String = names.map(|name| format!("{name}\0")).collect();
    let count: usize = members.iter().map(|member| member.names.len()).sum();
    let even = |len: usize| len + len % 2;
    let index_len = 4 + 4 * count + names.len();
    let mut at = 8 + HEADER + even(index_len);
    let mut out = b"!<arch>\n".to_vec();
    out.extend(header("/", index_len).bytes());
    out.extend((count as u32).to_be_bytes());
    for member in members {
        let place = (at as u32).to_be_bytes();
        out.extend(member.names.iter().flat_map(|_| place));
        at += HEADER + even(member.bytes.len());
    }
    out.extend(names.bytes());
    for member in members {
        out.resize(even(out.len()), b'\n');
        out.extend(header(&format!("{}/", member.file), member.bytes.len()).bytes());
        out.extend(&member.bytes);
    }
    out.resize(even(out.len()), b'\n');
    out
}
