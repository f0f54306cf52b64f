use wasm_encoder::Instruction as I;
use wasmend::*;
fn body(style: BodyStyle, k: i32, n: usize, callee: Option<DeclId>) -> Function {
    let mut b = FunctionBuilder::new(style, &[ValType::I32], &[ValType::I32]);
    b.op(&I::LocalGet(0));
    for i in 0..n {
        b.op(&I::I32Const(k * 1000 + i as i32)).op(&I::I32Add);
    }
    if let Some(c) = callee {
        b.call(c, &[ValType::I32], &[ValType::I32]);
    }
    b.finish().unwrap()
}
fn main() {
    let n = 10_000;
    std::fs::create_dir_all("/tmp/load").unwrap();
    for (redirect, name) in [
        (Redirect::Table, "table"),
        (Redirect::TableThunks, "thunks"),
        (Redirect::Direct, "direct"),
    ] {
        let mut m = Module::in_memory(ModuleOptions {
            redirect,
            ..Default::default()
        })
        .unwrap();
        let style = m.body_style();
        let mut seed = 1u64;
        let mut rnd = move |k: u64| {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (seed >> 33) % k
        };
        let ids: Vec<_> = (0..n)
            .map(|i| {
                m.declare(DeclKind::Function, &format!("function_{i}"))
                    .unwrap()
            })
            .collect();
        for (i, id) in ids.iter().enumerate() {
            let f = body(
                style,
                i as i32,
                10 + rnd(52) as usize,
                (i > 0).then(|| ids[i * 7919 % i]),
            );
            m.define_function(*id, f).unwrap();
        }
        m.export("f", ids[9999]).unwrap();
        m.commit().unwrap();
        let first = m.bytes().unwrap();
        let dense = m.finish().unwrap();
        std::fs::write(format!("/tmp/load/{name}-first.wasm"), &first).unwrap();
        std::fs::write(format!("/tmp/load/{name}-dense.wasm"), &dense).unwrap();
        let mut bytes = 0;
        let mut relinks = 0;
        let mut rooms = 0;
        for _ in 0..10_000 {
            let i = rnd(n as u64) as usize;
            let f = body(
                style,
                i as i32,
                10 + rnd(52) as usize,
                (i > 0).then(|| ids[i * 7919 % i]),
            );
            m.define_function(ids[i], f).unwrap();
            let p = m.commit().unwrap();
            bytes += p.bytes_written();
            relinks += p.relink_reason().is_some() as u32;
            rooms += p
                .ranges()
                .is_some_and(|r| r.iter().any(|(r, _)| r.reason == Reason::MakeRoom))
                as u32;
        }
        let after = m.bytes().unwrap();
        let dense2 = m.finish().unwrap();
        std::fs::write(format!("/tmp/load/{name}-after.wasm"), &after).unwrap();
        std::fs::write(format!("/tmp/load/{name}-dense2.wasm"), &dense2).unwrap();
        println!(
            "{name} first {:.3} after {:.3} bytes/patch {} relinks {relinks} rooms {rooms}",
            first.len() as f64 / dense.len() as f64,
            after.len() as f64 / dense2.len() as f64,
            bytes / 10000
        );
    }
}
