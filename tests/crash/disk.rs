//! A disk that forgets: what a process has asked of the system, as strace saw it, and what a loss of power leaves of that.
//!
//! Kept apart are what the system shows, and what is on the disk for certain: contents that were flushed, and names in folders that
//! were. Everything since then may have reached the disk or not, each write on its own, and of a rename each of its two names.
//! What writes must not be told apart from others: pages are written one by one.
//!
//! What is written through a mapping is not seen, and so is never there. Folders are always there.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rng::Rng;

/// The calls that change something, or say what a descriptor is.
const CALLS: &str = "trace=openat,close,fcntl,dup,dup2,dup3,write,pwrite64,writev,pwritev,pwritev2,ftruncate,fallocate,ioctl,\
                     copy_file_range,sendfile,rename,renameat,renameat2,linkat,unlink,unlinkat,mkdirat,fsync,fdatasync,statx";

/// So much of a file is written at once.
const PAGE: usize = 4096;

/// strace with what it needs for [`Trace`], up to the command that it runs.
pub fn strace(log: &Path) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-xx", "-s", "10000000", "-e", CALLS, "-o"]);
    strace.arg(log);
    strace
}

/// A call that went well.
#[derive(Debug, Clone)]
pub struct Call {
    pub name: String,
    arguments: Vec<String>,
    result: String,
}

impl Call {
    /// A text among its arguments, such as what is written.
    pub fn text(&self, at: usize) -> Vec<u8> {
        unescaped(
            self.arguments
                .get(at)
                .map_or("", |text| text.trim_matches('"')),
        )
    }

    fn number(&self, at: usize) -> usize {
        let text = self.arguments.get(at).map_or("", String::as_str);
        number(text).unwrap_or_else(|| panic!("no number {at} in {self:?}"))
    }

    /// A descriptor among the arguments, or that was returned, with the path of a folder if it is one.
    fn descriptor(text: &str) -> (Option<usize>, PathBuf) {
        let (number_text, path) = text.split_once('<').unwrap_or((text, ""));
        let path = path.rsplit_once('>').map_or(path, |(path, _)| path);
        let path = String::from_utf8_lossy(&unescaped(path)).into_owned();
        (number(number_text), PathBuf::from(path))
    }

    /// The path that a folder and a name make.
    fn path(&self, folder: usize) -> PathBuf {
        let (_, folder_path) = Call::descriptor(&self.arguments[folder]);
        folder_path.join(String::from_utf8_lossy(&self.text(folder + 1)).into_owned())
    }
}

fn number(text: &str) -> Option<usize> {
    let text = text.trim();
    match text.strip_prefix("0x") {
        Some(hex) => usize::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        match (first, after) {
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).unwrap();
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

/// The calls of a log that went well, in order.
pub fn calls(log: &Path) -> Vec<Call> {
    let mut begun: HashMap<String, String> = HashMap::new();
    let mut calls = Vec::new();
    for line in fs::read_to_string(log).unwrap().lines() {
        let (thread, line) = line.split_once(' ').unwrap();
        let line = line.trim_start();
        if let Some(start) = line.strip_suffix("<unfinished ...>") {
            begun.insert(thread.to_owned(), start.to_owned());
            continue;
        }
        let whole = match line.strip_prefix("<... ") {
            None => line.to_owned(),
            Some(rest) => {
                let (_, rest) = rest.split_once("resumed>").unwrap();
                begun.remove(thread).unwrap() + rest
            }
        };
        calls.extend(call(&whole));
    }
    calls
}

fn call(line: &str) -> Option<Call> {
    let (name, rest) = line.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    let arguments = arguments.trim_end().strip_suffix(')')?;
    if result.starts_with('-') || result.starts_with('?') {
        // What is looked for need not be there: a mark is such a call.
        (name == "statx").then_some(())?;
    }
    // Texts have no commas of their own: all their characters are numbers.
    let mut parts = Vec::new();
    let (mut depth, mut part) = (0, String::new());
    for character in arguments.chars() {
        match character {
            '<' | '{' | '[' | '(' => depth += 1,
            '>' | '}' | ']' | ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(std::mem::take(&mut part).trim().to_owned());
                continue;
            }
            _ => {}
        }
        part.push(character);
    }
    parts.push(part.trim().to_owned());
    Some(Call {
        name: name.to_owned(),
        arguments: parts,
        result: result.to_owned(),
    })
}

/// What is done to the contents of a file.
#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    /// It has this length.
    Len(usize),
    /// It has this length at least.
    AtLeast(usize),
}

impl Change {
    fn apply(&self, contents: &mut Vec<u8>) {
        match self {
            Change::Write(at, bytes) => {
                let end = at + bytes.len();
                contents.resize(contents.len().max(end), 0);
                contents[*at..end].copy_from_slice(bytes);
            }
            Change::Len(len) => contents.resize(*len, 0),
            Change::AtLeast(len) => contents.resize(contents.len().max(*len), 0),
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Contents {
    live: Vec<u8>,
    durable: Vec<u8>,
    since: Vec<Change>,
}

impl Contents {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.since.push(change);
    }
}

/// What stands under a path.
type Names = BTreeMap<PathBuf, usize>;

/// A name that was given or taken away.
type Named = (PathBuf, Option<usize>);

/// Files, as they are and as they would be after a loss of power.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    files: Vec<Contents>,
    live: Names,
    durable: Names,
    since: Vec<Named>,
    /// Of each descriptor the file, and where it is written next.
    open: HashMap<usize, (usize, usize)>,
}

/// What a loss of power may leave: a choice of everything that is not certain, and how often to choose.
#[derive(Debug)]
pub struct Left<'a> {
    disk: &'a Disk,
    /// Files whose writes count.
    files: Vec<usize>,
    names: Vec<&'a Named>,
}

impl Disk {
    /// All that is there by now is on the disk, and a process begins.
    pub fn of_folder(folder: &Path) -> Disk {
        let mut disk = Disk::default();
        let mut folders = vec![folder.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let contents = fs::read(&path).unwrap();
                    let at = disk.add(contents.clone());
                    disk.files[at].durable = contents;
                    disk.live.insert(path.clone(), at);
                    disk.durable.insert(path, at);
                }
            }
        }
        disk
    }

    fn add(&mut self, live: Vec<u8>) -> usize {
        self.files.push(Contents {
            live,
            ..Contents::default()
        });
        self.files.len() - 1
    }

    /// Another process begins.
    pub fn begin_process(&mut self) {
        self.open.clear();
    }

    /// Somebody takes a file away, for good.
    pub fn remove(&mut self, path: &Path) {
        self.live.remove(path);
        self.durable.remove(path);
        self.since.retain(|(name, _)| name != path);
    }

    fn name(&mut self, path: PathBuf, file: Option<usize>) {
        match file {
            Some(file) => self.live.insert(path.clone(), file),
            None => self.live.remove(&path),
        };
        self.since.push((path, file));
    }

    fn file(&self, call: &Call, at: usize) -> Option<usize> {
        let (descriptor, _) = Call::descriptor(&call.arguments[at]);
        Some(self.open.get(&descriptor?)?.0)
    }

    fn write(&mut self, file: usize, at: usize, bytes: &[u8]) {
        let mut at = at;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (page, after) = rest.split_at((PAGE - at % PAGE).min(rest.len()));
            self.files[file].change(Change::Write(at, page.to_vec()));
            at += page.len();
            rest = after;
        }
    }

    /// What a call did. Says whether it changed anything that counts.
    pub fn follow(&mut self, call: &Call) -> bool {
        match call.name.as_str() {
            "openat" => self.open(call),
            "close" => {
                let (descriptor, _) = Call::descriptor(&call.arguments[0]);
                descriptor.map(|descriptor| self.open.remove(&descriptor));
                false
            }
            "fcntl" | "dup" | "dup2" | "dup3" => {
                let is_copy = call.name != "fcntl" || call.arguments[1].starts_with("F_DUPFD");
                let (from, _) = Call::descriptor(&call.arguments[0]);
                let (to, _) = Call::descriptor(&call.result);
                if let (true, Some(from), Some(to)) = (is_copy, from, to)
                    && let Some(file) = self.open.get(&from).copied()
                {
                    self.open.insert(to, file);
                }
                false
            }
            "write" | "pwrite64" => {
                let Some(file) = self.file(call, 0) else {
                    return false;
                };
                let bytes = call.text(1);
                let written = number(&call.result).unwrap();
                let at = match call.name.as_str() {
                    "pwrite64" => call.number(3),
                    _ => self.next_place(call, written),
                };
                self.write(file, at, &bytes[..written]);
                true
            }
            "ftruncate" => self.change(call, Change::Len(call.number(1))),
            "fallocate" => {
                let end = call.number(2) + call.number(3);
                match call.arguments[1].as_str() {
                    "0" => self.change(call, Change::AtLeast(end)),
                    // Of no file that counts holes are made.
                    _ => false,
                }
            }
            "ioctl" if call.arguments[1].contains("FICLONE") => {
                let (Some(to), Some(from)) = (self.file(call, 0), self.file(call, 2)) else {
                    panic!("{call:?}");
                };
                let bytes = self.files[from].live.clone();
                self.files[to].change(Change::Write(0, bytes));
                true
            }
            "ioctl" | "statx" | "mkdirat" => false,
            "rename" | "unlink" | "copy_file_range" | "sendfile" | "writev" | "pwritev"
            | "pwritev2" => {
                panic!("the disk does not know of this: {call:?}")
            }
            "renameat" | "renameat2" => {
                let (from, to) = (call.path(0), call.path(2));
                let Some(file) = self.live.get(&from).copied() else {
                    return false;
                };
                let is_exchange = call
                    .arguments
                    .get(4)
                    .is_some_and(|flags| flags.contains("EXCHANGE"));
                let other = self.live.get(&to).copied().filter(|_| is_exchange);
                self.name(to, Some(file));
                self.name(from, other);
                true
            }
            "linkat" => {
                let (from, to) = (call.path(0), call.path(2));
                if let Some(file) = self.live.get(&from).copied() {
                    self.name(to, Some(file));
                }
                true
            }
            "unlinkat" => {
                self.name(call.path(0), None);
                true
            }
            "fsync" | "fdatasync" => {
                self.flush(call);
                true
            }
            other => panic!("the disk does not know of {other}"),
        }
    }

    fn change(&mut self, call: &Call, change: Change) -> bool {
        let file = self.file(call, 0);
        if let Some(file) = file {
            self.files[file].change(change);
        }
        file.is_some()
    }

    fn open(&mut self, call: &Call) -> bool {
        let path = call.path(0);
        let flags = &call.arguments[2];
        let (descriptor, _) = Call::descriptor(&call.result);
        let (known, creates) = (self.live.get(&path).copied(), flags.contains("O_CREAT"));
        let file = match (known, creates) {
            (Some(file), _) => file,
            (None, true) => {
                let file = self.add(Vec::new());
                self.name(path, Some(file));
                file
            }
            (None, false) => {
                // A folder, or a file that is not on this disk. The number may have been another file's.
                descriptor.map(|descriptor| self.open.remove(&descriptor));
                return false;
            }
        };
        if flags.contains("O_TRUNC") {
            self.files[file].change(Change::Len(0));
        }
        let at = match flags.contains("O_APPEND") {
            true => self.files[file].live.len(),
            false => 0,
        };
        descriptor.map(|descriptor| self.open.insert(descriptor, (file, at)));
        creates
    }

    fn next_place(&mut self, call: &Call, len: usize) -> usize {
        let (descriptor, _) = Call::descriptor(&call.arguments[0]);
        let place = descriptor.and_then(|descriptor| self.open.get_mut(&descriptor));
        let (_, at) = place.unwrap();
        *at += len;
        *at - len
    }

    fn flush(&mut self, call: &Call) {
        if let Some(file) = self.file(call, 0) {
            let file = &mut self.files[file];
            file.durable.clone_from(&file.live);
            file.since.clear();
            return;
        }
        let (_, folder) = Call::descriptor(&call.arguments[0]);
        let is_in = |path: &Path| path.parent() == Some(&folder);
        for (path, file) in self.since.iter().filter(|(path, _)| is_in(path)) {
            match file {
                Some(file) => self.durable.insert(path.clone(), *file),
                None => self.durable.remove(path),
            };
        }
        self.since.retain(|(path, _)| !is_in(path));
    }

    /// What the system shows under a path.
    pub fn shown(&self, path: &Path) -> Option<&[u8]> {
        self.live.get(path).map(|file| &*self.files[*file].live)
    }

    /// What a loss of power leaves of what stands under these paths; of all if there are none.
    pub fn left(&self, paths: &[&Path]) -> Left<'_> {
        let counts = |path: &Path| paths.is_empty() || paths.contains(&path);
        let names: Vec<&Named> = self.since.iter().filter(|(path, _)| counts(path)).collect();
        let certain = self.durable.iter().filter(|(path, _)| counts(path));
        let mut files: Vec<usize> = certain.map(|(_, file)| *file).collect();
        files.extend(names.iter().filter_map(|(_, file)| *file));
        files.sort_unstable();
        files.dedup();
        Left {
            disk: self,
            files,
            names,
        }
    }
}

/// So many things that are not certain are chosen from in every way.
const EVERY_WAY: usize = 8;
/// So many times otherwise.
const SOME_WAYS: usize = 60;

impl Left<'_> {
    /// Everything that may be left: what stands under each path.
    pub fn each(&self, rng: &mut Rng, mut visit: impl FnMut(&BTreeMap<PathBuf, Vec<u8>>)) {
        let writes: usize = self
            .files
            .iter()
            .map(|file| self.disk.files[*file].since.len())
            .sum();
        let count = self.names.len() + writes;
        if count <= EVERY_WAY {
            for choice in 0..1u32 << count {
                visit(&self.chosen(|at| choice & (1 << at) != 0));
            }
            return;
        }
        visit(&self.chosen(|_| false));
        visit(&self.chosen(|_| true));
        for one in 0..count {
            visit(&self.chosen(|at| at == one));
            visit(&self.chosen(|at| at != one));
        }
        for _ in 0..SOME_WAYS {
            let most = 1 + rng.below(8);
            let choice: Vec<bool> = (0..count).map(|_| rng.below(9) < most).collect();
            visit(&self.chosen(|at| choice[at]));
        }
    }

    /// One choice at random.
    pub fn one(&self, rng: &mut Rng) -> BTreeMap<PathBuf, Vec<u8>> {
        let most = rng.below(10);
        let count = 100_000;
        let picked: Vec<bool> = (0..count).map(|_| rng.below(9) < most).collect();
        self.chosen(|at| picked[at.min(count - 1)])
    }

    fn chosen(&self, is_there: impl Fn(usize) -> bool) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut at = 0;
        let mut next = || {
            at += 1;
            is_there(at - 1)
        };
        let mut names = self.disk.durable.clone();
        for (path, file) in &self.names {
            if !next() {
                continue;
            }
            match file {
                Some(file) => names.insert(path.clone(), *file),
                None => names.remove(path),
            };
        }
        let mut contents: HashMap<usize, Vec<u8>> = HashMap::new();
        for &file in &self.files {
            let found = &self.disk.files[file];
            let mut bytes = found.durable.clone();
            for change in &found.since {
                if next() {
                    change.apply(&mut bytes);
                }
            }
            contents.insert(file, bytes);
        }
        let there = names
            .into_iter()
            .filter_map(|(path, file)| Some((path, contents.get(&file)?.clone())));
        there.collect()
    }
}
