//! Forth whose words are patched while they run: a word that is defined anew is the new one for every word that uses it, and
//! the stack and all variables are what they were.
//!
//! `cargo run --example forth` reads lines, and `cargo run --example forth -- --demo` shows a few. It knows whole numbers,
//! `: NAME ... ;`, `variable NAME`, `if else then`, `begin until`, `begin while repeat`, `do i loop`, `." TEXT"`, `.`, `emit`,
//! `cr`, `!`, comments, and the words of [`PRIMITIVES`].

use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex};
use std::{env, io};

use wasmend::live::{Live, LiveOptions, Runtime, WasmiRuntime};
use wasmend::{
    BlockType, ConstExpr, Data, DeclId, DeclKind, Error, FunctionBuilder, ImportType,
    Instruction as I, MemArg, MemArgTarget, MemoryType, Module, ModuleOptions, Result,
    ValType::I32,
};
use wasmi::{Engine, Linker, Store};

/// Where the stack stands in memory, and how far it may grow.
const STACK: i32 = 32 << 10;
const STACK_END: i32 = 64 << 10;
/// The function that a line becomes. No word of Forth's has a blank in it.
const LINE: &str = "the line";

fn wrong(text: impl Into<String>) -> Error {
    Error::bad_input(text)
}

/// What every word's code needs of the module.
#[derive(Clone, Copy)]
struct Base {
    memory: DeclId,
    /// Routines that put a number onto the stack, and take one from it.
    push: DeclId,
    pop: DeclId,
    /// The host's.
    emit: DeclId,
    print: DeclId,
}

/// A Forth, with the program that runs.
struct Forth {
    module: Module,
    base: Base,
    live: Live<WasmiRuntime<()>>,
    said: Arc<Mutex<String>>,
}

impl Forth {
    fn new() -> Result<Forth> {
        let options = ModuleOptions {
            live: true,
            ..ModuleOptions::default()
        };
        let mut module = Module::in_memory(options)?;
        let base = base(&mut module)?;
        let line = module.declare(DeclKind::Function, LINE)?;
        let empty = FunctionBuilder::new(module.body_style(), &[], &[]);
        module.define_function(line, empty.finish()?)?;
        module.export(LINE, line)?;
        module.commit()?;
        let said = Arc::new(Mutex::new(String::new()));
        let runtime = runtime(&said)?;
        let live = Live::load(runtime, &module.bytes()?, LiveOptions::default())?;
        Ok(Forth {
            module,
            base,
            live,
            said,
        })
    }

    /// Compiles a text, patches the program that runs, and runs what stands outside of words. What it says is the answer. A
    /// text with a mistake changes nothing.
    fn line(&mut self, text: &str) -> Result<String> {
        let compiled = Compiler::new(self, text).compile();
        let patch = match compiled.and_then(|()| self.module.commit()) {
            Ok(patch) => patch,
            Err(error) => {
                self.module.discard();
                return Err(error);
            }
        };
        let module = &self.module;
        self.live.take(patch.live.as_ref(), || module.bytes())?;
        let line = self.live.export(LINE).ok_or_else(|| wrong("no line"))?;
        let ran = self.live.runtime().call(&line, &[]);
        let said = self.said.lock().map(|mut said| std::mem::take(&mut *said));
        ran.map(|_| said.unwrap_or_default())
    }
}

/// Declares the memory with the stack, what works on it, and what the host is to give.
fn base(module: &mut Module) -> Result<Base> {
    let memory = module.declare(DeclKind::Memory, "its memory")?;
    let pages = MemoryType {
        minimum: 1,
        ..MemoryType::default()
    };
    module.define_memory(memory, pages)?;
    module.reserve_data(memory, 1024..STACK as u64)?;
    let top = module.declare(DeclKind::Global, "its top")?;
    module.define_global(top, I32, true, ConstExpr::I32(STACK))?;
    // Moves the top, and traps where that leaves the stack, which is empty then.
    let moved = |body: &mut FunctionBuilder, by| {
        body.global_get(top).op(&I::I32Const(by)).op(&I::I32Add);
        body.global_set(top).global_get(top);
        body.op(&I::I32Const(STACK)).op(&I::I32Sub);
        body.op(&I::I32Const(STACK_END - STACK)).op(&I::I32GeU);
        body.op(&I::If(BlockType::Empty)).op(&I::I32Const(STACK));
        body.global_set(top).op(&I::Unreachable).op(&I::End);
    };
    let push = module.declare(DeclKind::Function, "its push")?;
    let mut body = FunctionBuilder::new(module.body_style(), &[I32], &[]);
    body.global_get(top).op(&A).op(&I::I32Store(WORD));
    moved(&mut body, 4);
    module.define_function(push, body.finish()?)?;
    let pop = module.declare(DeclKind::Function, "its pop")?;
    let mut body = FunctionBuilder::new(module.body_style(), &[], &[I32]);
    moved(&mut body, -4);
    body.global_get(top).op(&I::I32Load(WORD));
    module.define_function(pop, body.finish()?)?;
    let [emit, print] = ["emit", "print"].map(|name| {
        let id = module.declare(DeclKind::Function, &format!("the host's {name}"))?;
        let ty = ImportType::Function(vec![I32], Vec::new());
        module.define_import(id, "forth", name, &ty).map(|()| id)
    });
    Ok(Base {
        memory,
        push,
        pop,
        emit: emit?,
        print: print?,
    })
}

/// An engine in which words can say something.
fn runtime(said: &Arc<Mutex<String>>) -> Result<WasmiRuntime<()>> {
    let engine = Engine::default();
    let mut linker = Linker::new(&engine);
    for (name, is_letter) in [("emit", true), ("print", false)] {
        let said = said.clone();
        let say = move |number: i32| {
            let letter = char::from_u32(number as u32).filter(|_| is_letter);
            let text = letter.map_or_else(|| format!("{number} "), String::from);
            if let Ok(mut said) = said.lock() {
                said.push_str(&text);
            }
        };
        let defined = linker.func_wrap("forth", name, say);
        defined.map_err(|error| wrong(error.to_string()))?;
    }
    Ok(WasmiRuntime::new(Store::new(&engine, ()), linker))
}

/// A word's code while it is written. The first three locals hold numbers on their way from the stack and back.
struct Body {
    code: FunctionBuilder,
    base: Base,
    /// What is open, innermost last: the words that may close it, and for `do` its index.
    open: Vec<(&'static str, u32)>,
}

struct Compiler<'a> {
    module: &'a mut Module,
    base: Base,
    rest: &'a str,
    line: Body,
    /// The word that is being defined, and its code.
    word: Option<(DeclId, Body)>,
}

impl<'a> Compiler<'a> {
    fn new(forth: &'a mut Forth, text: &'a str) -> Compiler<'a> {
        let line = Body::new(&forth.module, forth.base);
        Compiler {
            module: &mut forth.module,
            base: forth.base,
            rest: text,
            line,
            word: None,
        }
    }

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start();
        let len = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(len);
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }

    /// What stands before a closing character.
    fn until(&mut self, end: char) -> Result<&'a str> {
        let rest = self.rest.strip_prefix(' ').unwrap_or(self.rest);
        let (text, rest) = rest
            .split_once(end)
            .ok_or_else(|| wrong(format!("`{end}` is missing")))?;
        self.rest = rest;
        Ok(text)
    }

    fn name(&mut self, of: &str) -> Result<&'a str> {
        self.next()
            .ok_or_else(|| wrong(format!("`{of}` needs a name")))
    }

    fn compile(mut self) -> Result<()> {
        while let Some(word) = self.next() {
            match word {
                "\\" => self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest),
                "(" => drop(self.until(')')?),
                ":" => {
                    if self.word.is_some() {
                        return Err(wrong("`:` stands inside of a word"));
                    }
                    let name = self.name(":")?;
                    let id = self.module.declare_or_get(DeclKind::Function, name)?;
                    self.word = Some((id, Body::new(self.module, self.base)));
                }
                ";" => {
                    let (id, body) = self.word.take().ok_or_else(|| wrong("`;` ends no word"))?;
                    let body = body.finish()?;
                    self.module.define_function(id, body)?;
                }
                "variable" => {
                    let name = self.name(word)?;
                    // One that is there keeps its value.
                    let key = format!("the data of {name}");
                    let data = self.module.declare_or_get(DeclKind::Data, &key)?;
                    let zero = Data::zero(4, 2);
                    self.module.define_data(data, self.base.memory, zero)?;
                    let id = self.module.declare_or_get(DeclKind::Function, name)?;
                    let mut body = Body::new(self.module, self.base);
                    body.code.address_of_data(data, 0);
                    body.push();
                    self.module.define_function(id, body.finish()?)?;
                }
                _ => self.code(word)?,
            }
        }
        if self.word.is_some() {
            return Err(wrong("`;` is missing"));
        }
        let line = self.module.declare_or_get(DeclKind::Function, LINE)?;
        self.module.define_function(line, self.line.finish()?)
    }

    /// A word inside of another one, or of the line.
    fn code(&mut self, word: &str) -> Result<()> {
        let emit = self.base.emit;
        if word == ".\"" {
            let text = self.until('"')?;
            for letter in text.chars() {
                let code = &mut self.body().code;
                code.op(&I::I32Const(letter as i32)).call(emit, &[I32], &[]);
            }
            return Ok(());
        }
        let known = self.module.lookup(word);
        let body = self.body();
        if let Some(id) = known {
            body.code.call(id, &[], &[]);
        } else if let Ok(number) = word.parse() {
            body.code.op(&I::I32Const(number));
            body.push();
        } else if !body.control(word)? && !body.primitive(word) {
            return Err(wrong(format!("there is no word `{word}`")));
        }
        Ok(())
    }

    fn body(&mut self) -> &mut Body {
        match &mut self.word {
            Some((_, body)) => body,
            None => &mut self.line,
        }
    }
}

const WORD: MemArg = MemArg {
    offset: 0,
    align: 2,
    target: MemArgTarget::Memory(0),
    ordering: None,
};
const A: I<'_> = I::LocalGet(0);
const B: I<'_> = I::LocalGet(1);
const C: I<'_> = I::LocalGet(2);
const ZERO: I<'_> = I::I32Const(0);

/// Words that are a few instructions: how many numbers they take, the uppermost in the last local, and what they leave. Flags
/// of Forth's are all ones.
const PRIMITIVES: &[(&str, u32, &[&[I<'_>]])] = &[
    ("drop", 1, &[]),
    ("dup", 1, &[&[A], &[A]]),
    ("swap", 2, &[&[B], &[A]]),
    ("over", 2, &[&[A], &[B], &[A]]),
    ("rot", 3, &[&[B], &[C], &[A]]),
    ("+", 2, &[&[A, B, I::I32Add]]),
    ("-", 2, &[&[A, B, I::I32Sub]]),
    ("*", 2, &[&[A, B, I::I32Mul]]),
    ("/", 2, &[&[A, B, I::I32DivS]]),
    ("mod", 2, &[&[A, B, I::I32RemS]]),
    ("and", 2, &[&[A, B, I::I32And]]),
    ("or", 2, &[&[A, B, I::I32Or]]),
    ("=", 2, &[&[ZERO, A, B, I::I32Eq, I::I32Sub]]),
    ("<", 2, &[&[ZERO, A, B, I::I32LtS, I::I32Sub]]),
    (">", 2, &[&[ZERO, A, B, I::I32GtS, I::I32Sub]]),
    ("@", 1, &[&[A, I::I32Load(WORD)]]),
];

impl Body {
    fn new(module: &Module, base: Base) -> Body {
        let mut code = FunctionBuilder::new(module.body_style(), &[], &[]);
        code.locals(3, I32);
        let open = Vec::new();
        Body { code, base, open }
    }

    fn finish(self) -> Result<wasmend::Function> {
        match self.open.last() {
            Some((end, _)) => Err(wrong(format!("`{end}` is missing"))),
            None => self.code.finish(),
        }
    }

    /// Puts a number onto the stack that an instruction has left.
    fn push(&mut self) {
        self.code.call(self.base.push, &[I32], &[]);
    }

    fn pop(&mut self) -> &mut FunctionBuilder {
        self.code.call(self.base.pop, &[], &[I32])
    }

    fn primitive(&mut self, word: &str) -> bool {
        let host = [(".", self.base.print), ("emit", self.base.emit)];
        if let Some((_, host)) = host.into_iter().find(|(name, _)| *name == word) {
            self.pop().call(host, &[I32], &[]);
        } else if word == "cr" {
            let code = self.code.op(&I::I32Const('\n' as i32));
            code.call(self.base.emit, &[I32], &[]);
        } else if word == "!" {
            self.pop().op(&I::LocalSet(0));
            self.pop().op(&I::LocalSet(1));
            self.code.op(&A).op(&B).op(&I::I32Store(WORD));
        } else if let Some((_, taken, left)) = PRIMITIVES.iter().find(|it| it.0 == word) {
            for hand in (0..*taken).rev() {
                self.pop().op(&I::LocalSet(hand));
            }
            for number in *left {
                for instruction in *number {
                    self.code.op(instruction);
                }
                self.push();
            }
        } else {
            return false;
        }
        true
    }

    fn close(&mut self, word: &str) -> Result<u32> {
        match self.open.pop() {
            Some((ends, index)) if ends.split(' ').any(|end| end == word) => Ok(index),
            Some((ends, _)) => Err(wrong(format!("`{word}` stands where `{ends}` is missing"))),
            None => Err(wrong(format!("`{word}` ends nothing"))),
        }
    }

    /// Words that are no functions but structure.
    fn control(&mut self, word: &str) -> Result<bool> {
        const EMPTY: BlockType = BlockType::Empty;
        match word {
            "if" => {
                self.pop().op(&I::If(EMPTY));
                self.open.push(("else then", 0));
            }
            "else" => {
                self.close(word)?;
                self.code.op(&I::Else);
                self.open.push(("then", 0));
            }
            "then" => {
                self.close(word)?;
                self.code.op(&I::End);
            }
            "begin" => {
                self.code.op(&I::Block(EMPTY)).op(&I::Loop(EMPTY));
                self.open.push(("until while", 0));
            }
            "while" => {
                self.close(word)?;
                self.pop().op(&I::I32Eqz).op(&I::BrIf(1));
                self.open.push(("repeat", 0));
            }
            "until" | "repeat" => {
                self.close(word)?;
                match word {
                    "until" => self.pop().op(&I::I32Eqz).op(&I::BrIf(0)),
                    _ => self.code.op(&I::Br(0)),
                };
                self.code.op(&I::End).op(&I::End);
            }
            "do" => {
                // The index, and the limit behind it.
                let index = self.code.locals(2, I32);
                self.pop().op(&I::LocalSet(index));
                self.pop().op(&I::LocalSet(index + 1));
                self.code.op(&I::Loop(EMPTY));
                self.open.push(("loop", index));
            }
            "loop" => {
                let index = self.close(word)?;
                self.code.op(&I::LocalGet(index)).op(&I::I32Const(1));
                self.code.op(&I::I32Add).op(&I::LocalTee(index));
                self.code.op(&I::LocalGet(index + 1)).op(&I::I32LtS);
                self.code.op(&I::BrIf(0)).op(&I::End);
            }
            "i" => {
                let inner = self.open.iter().rev().find(|(end, _)| *end == "loop");
                let (_, index) = inner.ok_or_else(|| wrong("`i` stands in no `do`"))?;
                self.code.op(&I::LocalGet(*index));
                self.push();
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

const DEMO: [&str; 6] = [
    ": step 1 + ;  : run 5 0 do step loop ;  variable kept",
    "10 run dup dup . kept !",
    ": step 2 * ;          \\ `run` uses the new one; the stack and `kept` are as they were",
    ". kept @ .",
    "2 run .               \\ none of the words was compiled but `step`",
    "7 nonsense            \\ a mistake changes nothing",
];

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut forth = Forth::new()?;
    let mut out = io::stdout();
    let mut answer = |forth: &mut Forth, text: &str| match forth.line(text) {
        Ok(said) => writeln!(out, "{said} ok"),
        Err(error) => writeln!(out, "{error}"),
    };
    if env::args()
        .nth(1)
        .is_some_and(|argument| argument == "--demo")
    {
        for line in DEMO {
            println!("> {line}");
            answer(&mut forth, line)?;
        }
        return Ok(());
    }
    for line in io::stdin().lock().lines() {
        answer(&mut forth, &line?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_defined_anew_are_new_for_all_and_what_the_program_holds_stays() {
        let mut forth = Forth::new().unwrap();
        let mut says = |text: &str| forth.line(text).map_err(|error| error.to_string());
        let said = |text: &str| Ok(text.to_owned());
        assert_eq!(says(DEMO[0]), said(""));
        assert_eq!(says(DEMO[1]), said("15 "));
        assert_eq!(says(DEMO[2]), said(""));
        assert_eq!(says(DEMO[3]), said("15 15 "));
        assert_eq!(says(DEMO[4]), said("64 "));
        // Mistakes change nothing, of compilation or when it runs; but a stack that is empty stays so.
        for text in [DEMO[5], ": step", ": step if ;", "then", "variable", "."] {
            assert!(says(text).is_err(), "{text}");
        }
        assert_eq!(
            says("1 2 3 rot . . . 2 run . kept @ ."),
            said("1 3 2 64 15 ")
        );
        let fib = ": fib dup 2 < if else dup 1 - fib swap 2 - fib + then ; 20 fib .";
        assert_eq!(says(fib), said("6765 "));
        let loops = ": w begin dup 0 > while dup . 1 - repeat drop ; 3 w 3 0 do i . loop ( no )";
        assert_eq!(says(loops), said("3 2 1 0 1 2 "));
        assert_eq!(says(": q .\" hello\" cr ; q"), said("hello\n"));
    }
}
