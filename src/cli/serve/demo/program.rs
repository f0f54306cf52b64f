//! The demo's program: sparks in memory, which a fixed function moves by what the formulas say. From texts to versions of a
//! module; of files to watch and of pages it knows nothing.

use std::collections::HashMap;
use std::path::Path;

use wasmend::{
    BodyStyle, Data, DeclId, DeclKind, Error, Function, FunctionBuilder, Ieee64, ImportType,
    Instruction, MemArg, MemArgTarget, MemoryType, Module, ModuleOptions, Patch, ValType,
};

use super::formula::{self, Callees, Fault, Formula};

const F64: ValType = ValType::F64;
/// How many sparks there are.
const SPARKS: u32 = 2500;
/// Bytes of a spark: x, y, their speeds, hue and size.
const SPARK: u32 = 48;
/// The width and the height of where they fly; what leaves it comes in at the other side.
const WORLD: [f64; 2] = [1280.0, 800.0];

/// What the host gives.
const GIVEN: [(&str, usize); 2] = [("sin", 1), ("cos", 1)];
/// What the program calls, and how its values are called.
const NEEDED: [(&str, &[&str]); 5] = [
    ("push_x", &["x", "y", "t", "n"]),
    ("push_y", &["x", "y", "t", "n"]),
    ("drag", &[]),
    ("hue", &["speed", "t", "n"]),
    ("size", &["speed", "t", "n"]),
];

/// Why there is no new version.
pub(super) enum Failed {
    Text(Fault),
    Commit(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed::Commit(error)
    }
}

/// The module, and the formulas that it was made from.
pub(super) struct Program {
    module: Module,
    formulas: HashMap<String, (DeclId, Formula)>,
    is_begun: bool,
}

impl Program {
    pub(super) fn create(output: &Path) -> wasmend::Result<Program> {
        let options = ModuleOptions {
            live: true,
            ..ModuleOptions::default()
        };
        Ok(Program {
            module: Module::create(output, options)?,
            formulas: HashMap::new(),
            is_begun: false,
        })
    }

    /// Compiles what is written otherwise than before, and publishes it. What fails changes nothing.
    pub(super) fn update(&mut self, text: &str) -> Result<Patch, Failed> {
        let formulas = read(text).map_err(Failed::Text)?;
        let done = self.edit(formulas).and_then(|formulas| {
            let patch = self.module.commit()?;
            Ok((formulas, patch))
        });
        match done {
            Ok((formulas, patch)) => {
                self.formulas = formulas;
                self.is_begun = true;
                Ok(patch)
            }
            Err(error) => {
                self.module.discard();
                Err(Failed::Commit(error))
            }
        }
    }

    fn edit(
        &mut self,
        formulas: Vec<Formula>,
    ) -> wasmend::Result<HashMap<String, (DeclId, Formula)>> {
        let mut callees = Callees::new();
        for (name, takes) in GIVEN {
            callees.insert(name.to_owned(), (self.given(name, takes)?, takes));
        }
        for formula in &formulas {
            let id = match self.formulas.get(&formula.name) {
                Some((id, _)) => *id,
                None => self.module.declare(DeclKind::Function, &formula.name)?,
            };
            callees.insert(formula.name.clone(), (id, formula.parameters));
        }
        let style = self.module.body_style();
        let mut now = HashMap::new();
        for formula in formulas {
            let before = self.formulas.get(&formula.name);
            let (id, _) = callees[&formula.name];
            if before.is_none_or(|(_, before)| *before != formula) {
                let body = formula.compile(style, &callees)?;
                self.module.define_function(id, body)?;
            }
            now.insert(formula.name.clone(), (id, formula));
        }
        for (name, (id, _)) in &self.formulas {
            if !now.contains_key(name) {
                self.module.remove(*id)?;
            }
        }
        if !self.is_begun {
            self.fixed(style, &callees)?;
        }
        Ok(now)
    }

    /// A function of the host's.
    fn given(&mut self, name: &str, takes: usize) -> wasmend::Result<DeclId> {
        let key = format!("math.{name}");
        if let Some(id) = self.module.lookup(&key) {
            return Ok(id);
        }
        let id = self.module.declare(DeclKind::Function, &key)?;
        let ty = ImportType::Function(vec![F64; takes], vec![F64]);
        self.module.define_import(id, "math", name, &ty)?;
        Ok(id)
    }

    /// What no edit changes: the memory with the sparks, and the function that moves them.
    fn fixed(&mut self, style: BodyStyle, callees: &Callees) -> wasmend::Result<()> {
        let module = &mut self.module;
        let memory = module.declare(DeclKind::Memory, "memory")?;
        let ty = MemoryType {
            minimum: 4,
            maximum: None,
            shared: false,
            is_64: false,
        };
        module.define_memory(memory, ty)?;
        module.export("memory", memory)?;
        let sparks = module.declare(DeclKind::Data, "sparks")?;
        module.define_data(sparks, memory, Data::zero((SPARKS * SPARK).into(), 3))?;
        let functions = [
            ("frame", frame(style, sparks, callees)?),
            ("sparks", address(style, sparks)?),
        ];
        for (name, body) in functions {
            // No formula is called like that.
            let id = module.declare(DeclKind::Function, &format!("{name}()"))?;
            module.define_function(id, body)?;
            module.export(name, id)?;
        }
        Ok(())
    }
}

/// Reads the formulas, which must have those that the program calls.
fn read(text: &str) -> Result<Vec<Formula>, Fault> {
    let formulas = formula::read(text, &GIVEN)?;
    for (name, values) in NEEDED {
        let found = formulas.iter().find(|formula| formula.name == name);
        if found.is_none_or(|found| found.parameters != values.len()) {
            return Err(Fault {
                line: 1,
                column: 1,
                text: format!(
                    "the program calls {name}({}): write it so",
                    values.join(", ")
                ),
            });
        }
    }
    Ok(formulas)
}

/// `sparks: () -> i32`, where they are.
fn address(style: BodyStyle, sparks: DeclId) -> wasmend::Result<Function> {
    let mut body = FunctionBuilder::new(style, &[], &[ValType::I32]);
    body.address_of_data(sparks, 0);
    body.finish()
}

/// `frame: (t, dt) -> i32` moves all sparks and returns how many there are.
fn frame(style: BodyStyle, sparks: DeclId, callees: &Callees) -> wasmend::Result<Function> {
    const T: u32 = 0;
    const DT: u32 = 1;
    let mut body = FunctionBuilder::new(style, &[F64, F64], &[ValType::I32]);
    let spark = body.locals(1, ValType::I32);
    let x = body.locals(6, F64);
    let (y, speed_x, speed_y, speed, which) = (x + 1, x + 2, x + 3, x + 4, x + 5);
    let get = Instruction::LocalGet;
    let set = Instruction::LocalSet;
    let field = |at: u64| MemArg {
        offset: at * 8,
        align: 3,
        target: MemArgTarget::default(),
        ordering: None,
    };
    let call = |body: &mut FunctionBuilder, name: &str| {
        if let Some((callee, takes)) = callees.get(name) {
            body.call(*callee, &[F64; 4][..*takes], &[F64]);
        }
    };
    body.address_of_data(sparks, 0).op(&set(spark));
    body.loop_(&[], &[]);
    for (at, value) in [x, y, speed_x, speed_y].into_iter().enumerate() {
        body.op(&get(spark));
        body.op(&Instruction::F64Load(field(at as u64)))
            .op(&set(value));
    }
    for (value, push) in [(speed_x, "push_x"), (speed_y, "push_y")] {
        body.op(&get(value))
            .op(&get(x))
            .op(&get(y))
            .op(&get(T))
            .op(&get(which));
        call(&mut body, push);
        body.op(&get(DT))
            .op(&Instruction::F64Mul)
            .op(&Instruction::F64Add);
        call(&mut body, "drag");
        body.op(&Instruction::F64Mul).op(&set(value));
        tame(&mut body, value);
    }
    for (value, speed, size) in [(x, speed_x, WORLD[0]), (y, speed_y, WORLD[1])] {
        body.op(&get(value)).op(&get(speed)).op(&get(DT));
        body.op(&Instruction::F64Mul)
            .op(&Instruction::F64Add)
            .op(&set(value));
        around(&mut body, value, size);
    }
    for value in [speed_x, speed_y] {
        body.op(&get(value))
            .op(&get(value))
            .op(&Instruction::F64Mul);
    }
    body.op(&Instruction::F64Add)
        .op(&Instruction::F64Sqrt)
        .op(&set(speed));
    for (at, value) in [x, y, speed_x, speed_y].into_iter().enumerate() {
        body.op(&get(spark)).op(&get(value));
        body.op(&Instruction::F64Store(field(at as u64)));
    }
    for (at, look) in [(4, "hue"), (5, "size")] {
        body.op(&get(spark))
            .op(&get(speed))
            .op(&get(T))
            .op(&get(which));
        call(&mut body, look);
        body.op(&Instruction::F64Store(field(at)));
    }
    let step = 1.0 / f64::from(SPARKS);
    body.op(&get(which)).op(&Instruction::F64Const(step.into()));
    body.op(&Instruction::F64Add).op(&set(which));
    body.op(&get(spark))
        .op(&Instruction::I32Const(SPARK as i32));
    body.op(&Instruction::I32Add)
        .op(&Instruction::LocalTee(spark));
    body.address_of_data(sparks, (SPARKS * SPARK) as i32);
    body.op(&Instruction::I32LtU).op(&Instruction::BrIf(0));
    body.op(&Instruction::End);
    body.op(&Instruction::I32Const(SPARKS as i32));
    body.finish()
}

/// Brings a value into the world: `value -= size * floor(value / size + 0.5)`.
fn around(body: &mut FunctionBuilder, value: u32, size: f64) {
    let number = |number: f64| Instruction::F64Const(Ieee64::from(number));
    body.op(&Instruction::LocalGet(value)).op(&number(size));
    body.op(&Instruction::LocalGet(value)).op(&number(size));
    body.op(&Instruction::F64Div)
        .op(&number(0.5))
        .op(&Instruction::F64Add);
    body.op(&Instruction::F64Floor).op(&Instruction::F64Mul);
    body.op(&Instruction::F64Sub)
        .op(&Instruction::LocalSet(value));
}

/// Ends what is no number, or far too large: it would stay so whatever the formulas say from then on.
fn tame(body: &mut FunctionBuilder, value: u32) {
    let number = |number: f64| Instruction::F64Const(Ieee64::from(number));
    body.op(&Instruction::LocalGet(value)).op(&number(0.0));
    body.op(&Instruction::LocalGet(value))
        .op(&Instruction::F64Abs);
    body.op(&number(1e5)).op(&Instruction::F64Lt);
    body.op(&Instruction::Select)
        .op(&Instruction::LocalSet(value));
}
