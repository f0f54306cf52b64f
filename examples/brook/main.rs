//! brook: a small language whose programs run while they are written. An example of how a compiler uses wasmend.
mod check;
mod code;
mod compile;
mod emit;
mod lex;
mod library;
mod run;
mod syntax;

fn main() {
    let mut compiler = compile::Compiler::new(None).unwrap();
    let mut running: Option<run::Running> = None;
    for path in std::env::args().skip(1) {
        let text = std::fs::read_to_string(path).unwrap();
        let checked = check::check(&syntax::parse(&text));
        match checked.program {
            Err(mistakes) => println!("{mistakes:#?}"),
            Ok(program) => {
                let patch = compiler.update(&program).unwrap();
                println!("{:?}", patch.outcome);
                match &mut running {
                    None => {
                        running = Some(run::Running::start(&compiler.output().unwrap()).unwrap())
                    }
                    Some(r) => println!("{:?}", r.take(&patch, || compiler.output()).unwrap()),
                }
                let r = running.as_mut().unwrap();
                for (n, look) in program.looks.iter().enumerate() {
                    println!(
                        "{} = {:?}",
                        look.name,
                        r.look(n, look).map(|v| v.to_string())
                    );
                }
            }
        }
    }
}
