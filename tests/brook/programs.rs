//! Programs that look random and are the same each time, and edits of them. They end, and call only what stands above.

/// Numbers that look random.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % most
    }

    fn one_in(&mut self, most: usize) -> bool {
        self.below(most) == 0
    }
}

/// The length of each list.
const ITEMS: usize = 4;

struct Function {
    params: usize,
    text: String,
}

/// A program, declaration by declaration.
pub struct Program {
    dice: Dice,
    constant: String,
    /// What number and text variables and lists begin with.
    pub numbers: Vec<String>,
    pub texts: Vec<String>,
    pub lists: Vec<String>,
    functions: Vec<Function>,
    pub steps: Vec<String>,
    shown: Vec<String>,
    /// Lines that mean nothing, at the start.
    comments: usize,
}

impl Program {
    pub fn new(seed: u64) -> Program {
        let mut program = Program {
            dice: Dice::new(seed),
            constant: "3".to_owned(),
            numbers: vec!["1".to_owned(), "0".to_owned()],
            texts: vec!["\"ä\"".to_owned()],
            lists: vec!["[1, 2, 3, 4]".to_owned()],
            functions: Vec::new(),
            steps: Vec::new(),
            shown: Vec::new(),
            comments: 1,
        };
        for _ in 0..6 {
            let at = program.functions.len();
            let function = program.function(at);
            program.functions.push(function);
        }
        for _ in 0..2 {
            let step = program.step();
            program.steps.push(step);
        }
        for _ in 0..4 {
            let shown = program.shown();
            program.shown.push(shown);
        }
        program
    }

    /// The text. Functions that are called stand behind those that call them as often as before.
    pub fn text(&self) -> String {
        let mut text = "# 🦀 ist kein ß\n".repeat(self.comments);
        text += &format!("let constant = {}\n", self.constant);
        for shown in &self.shown {
            text += &format!("show {shown}\n");
        }
        for (kind, all) in [("n", &self.numbers), ("t", &self.texts), ("l", &self.lists)] {
            for (at, first) in all.iter().enumerate() {
                text += &format!("var {kind}{at} = {first}\n");
            }
        }
        for (at, function) in self.functions.iter().enumerate() {
            let params: Vec<_> = (0..function.params).map(|at| format!("p{at}")).collect();
            let params = params.join(", ");
            text += &format!("fn f{at}({params}) {{{}\n}}\n", function.text);
        }
        for (at, step) in self.steps.iter().enumerate() {
            text += &format!("fn s{at}() {{{step}\n}}\n");
        }
        text
    }

    fn literal(&mut self) -> String {
        match self.dice.below(4) {
            0 => format!("{}.{}", self.dice.below(100), 25 * self.dice.below(4)),
            _ => self.dice.below(20).to_string(),
        }
    }

    fn first_list(&mut self) -> String {
        let items: Vec<_> = (0..ITEMS).map(|_| self.literal()).collect();
        format!("[{}]", items.join(", "))
    }

    fn first_text(&mut self) -> String {
        let words = ["ä", "wasm", "brook 🦀", "", "a \\\"word\\\"", "zzz"];
        let word = words[self.dice.below(words.len())];
        format!("\"{word}{}\"", self.dice.below(9))
    }

    /// A number, where these parameters are known and functions below `calls` may be called.
    fn number(&mut self, params: usize, calls: usize, depth: usize) -> String {
        let kind = if depth == 0 {
            self.dice.below(3)
        } else {
            self.dice.below(12)
        };
        let inner = |program: &mut Program| program.number(params, calls, depth.saturating_sub(1));
        match kind {
            0 => self.literal(),
            1 if params > 0 => format!("p{}", self.dice.below(params)),
            1 => "constant".to_owned(),
            2 => format!("n{}", self.dice.below(self.numbers.len())),
            3 | 4 => {
                let operators = ["+", "-", "*", "/", "%", "<", "==", "and", "or", ">="];
                let operator = operators[self.dice.below(operators.len())];
                format!("({} {operator} {})", inner(self), inner(self))
            }
            5 if calls > 0 => {
                let callee = self.dice.below(calls);
                let arguments: Vec<_> = (0..self.functions[callee].params)
                    .map(|_| inner(self))
                    .collect();
                format!("f{callee}({})", arguments.join(", "))
            }
            6 => format!(
                "if {} {{ {} }} else {{ {} }}",
                inner(self),
                inner(self),
                inner(self)
            ),
            7 => format!("l0[{} % {ITEMS}]", self.dice.below(7)),
            8 => format!("len({})", self.a_text(params, calls, depth - 1)),
            9 => format!("({} {})", "-", inner(self)),
            10 => {
                let names = ["min", "max"];
                let name = names[self.dice.below(2)];
                format!("{name}({}, {})", inner(self), inner(self))
            }
            11 => {
                let names = ["sqrt", "abs", "floor", "ceil", "round", "not "];
                let name = names[self.dice.below(names.len())];
                format!("{name}({})", inner(self))
            }
            _ => self.literal(),
        }
    }

    fn a_text(&mut self, params: usize, calls: usize, depth: usize) -> String {
        match self.dice.below(if depth == 0 { 2 } else { 5 }) {
            0 => self.first_text(),
            1 => format!("t{}", self.dice.below(self.texts.len())),
            2 => format!("text({})", self.number(params, calls, depth - 1)),
            _ => {
                let left = self.a_text(params, calls, depth - 1);
                format!("{left} + {}", self.a_text(params, calls, depth - 1))
            }
        }
    }

    fn function(&mut self, at: usize) -> Function {
        let params = self.dice.below(3);
        let mut text = String::new();
        if self.dice.one_in(2) {
            let value = self.number(params, at, 2);
            text += &format!("\n    let sum = {value}");
            let rounds = self.dice.below(5);
            let step = self.number(params, 0, 2);
            text += &format!("\n    for i in 0..{rounds} {{ sum = sum + i * {step} }}");
            if self.dice.one_in(2) {
                text += "\n    if sum > 1000 { return 1000 }";
            }
            text += "\n    sum";
        } else {
            text += &format!("\n    {}", self.number(params, at, 3));
        }
        Function { params, text }
    }

    fn step(&mut self) -> String {
        let calls = self.functions.len();
        let mut text = String::new();
        for _ in 0..1 + self.dice.below(3) {
            let value = self.number(0, calls, 2);
            text += &match self.dice.below(4) {
                0 => format!("\n    l0[{}] = {value}", self.dice.below(ITEMS)),
                1 => {
                    let text = self.a_text(0, calls, 2);
                    format!("\n    if len(t0) < 200 {{ t0 = {text} }} else {{ t0 = \"\" }}")
                }
                2 => "\n    l0 = [1, n0, 3, n1]".to_owned(),
                _ => format!("\n    n{} = {value}", self.dice.below(self.numbers.len())),
            };
        }
        text + "\n    n0"
    }

    fn shown(&mut self) -> String {
        let calls = self.functions.len();
        match self.dice.below(8) {
            0 => self.a_text(0, calls, 2),
            1 => "l0".to_owned(),
            2 => format!("[{}, {}]", self.number(0, calls, 2), self.literal()),
            3 if !self.steps.is_empty() => format!("s{}()", self.dice.below(self.steps.len())),
            _ => self.number(0, calls, 3),
        }
    }

    /// Changes something.
    pub fn edit(&mut self) {
        match self.dice.below(14) {
            0 => self.constant = self.literal(),
            1 => {
                let at = self.dice.below(self.numbers.len());
                self.numbers[at] = self.literal();
            }
            2 => {
                let at = self.dice.below(self.texts.len());
                self.texts[at] = self.first_text();
            }
            3 => self.lists[0] = self.first_list(),
            // Others call it: with other parameters, all of them are written anew.
            4..=7 => {
                let at = self.dice.below(self.functions.len());
                let new = self.function(at);
                let is_other = new.params != self.functions[at].params;
                self.functions[at] = new;
                if is_other {
                    self.write_callers_anew(at + 1);
                }
            }
            8 => {
                let at = self.dice.below(self.steps.len());
                self.steps[at] = self.step();
            }
            10 if self.shown.len() < 8 => {
                let new = self.shown();
                let at = self.dice.below(self.shown.len() + 1);
                self.shown.insert(at, new);
            }
            9 | 10 => self.comments = 1 + (self.comments + 1) % 3,
            11 if self.shown.len() > 1 => {
                let at = self.dice.below(self.shown.len());
                self.shown.remove(at);
            }
            12 if self.functions.len() < 12 => {
                let new = self.function(self.functions.len());
                self.functions.push(new);
            }
            12 => {
                self.functions.truncate(5);
                self.write_callers_anew(5);
            }
            13 if self.numbers.len() < 5 => {
                let first = self.literal();
                self.numbers.push(first);
            }
            _ => {
                let at = self.dice.below(self.shown.len());
                self.shown[at] = self.shown();
            }
        }
    }

    fn write_callers_anew(&mut self, from: usize) {
        for at in from..self.functions.len() {
            self.functions[at] = self.function(at);
        }
        for at in 0..self.steps.len() {
            self.steps[at] = self.step();
        }
        for at in 0..self.shown.len() {
            self.shown[at] = self.shown();
        }
    }
}
