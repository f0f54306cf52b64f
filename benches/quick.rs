use std::time::*;
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
    let n = 100_000;
    let dir = std::env::temp_dir().join("wmq");
    std::fs::create_dir_all(&dir).unwrap();
    let mut all = vec![];
    let mut w = vec![];
    if std::env::var("RELINK").is_ok() {
        let path = dir.join("o.wasm");
        let mut m = Module::create(
            &path,
            ModuleOptions {
                redirect: Redirect::Table,
                ..Default::default()
            },
        )
        .unwrap();
        let style = m.body_style();
        let ids: Vec<_> = (0..n)
            .map(|i| {
                m.declare(DeclKind::Function, &format!("function_{i}"))
                    .unwrap()
            })
            .collect();
        for (i, id) in ids.iter().enumerate() {
            let f = body(style, i as i32, 36, (i > 0).then(|| ids[i * 7919 % n]));
            m.define_function(*id, f).unwrap();
        }
        m.commit().unwrap();
        for _ in 0..60 {
            m.request_relink();
            let p = m.commit().unwrap();
            all.push(p.phases.total());
            println!("{:?}", p.phases);
        }
        return;
    }
    for r in 0..11 {
        let path = dir.join("o.wasm");
        let mut m = Module::create(
            &path,
            ModuleOptions {
                redirect: Redirect::Table,
                ..Default::default()
            },
        )
        .unwrap();
        let style = m.body_style();
        let ids: Vec<_> = (0..n)
            .map(|i| {
                m.declare(DeclKind::Function, &format!("function_{i}"))
                    .unwrap()
            })
            .collect();
        for (i, id) in ids.iter().enumerate() {
            let f = body(style, i as i32, 36, (i > 0).then(|| ids[i * 7919 % n]));
            m.define_function(*id, f).unwrap();
        }
        let t = Instant::now();
        let p = m.commit().unwrap();
        all.push(t.elapsed());
        if r == 5 {
            println!("{:?} {}", p.phases, p.file_len);
        }
        let data = m.bytes().unwrap();
        let t = Instant::now();
        std::fs::write(dir.join("w"), &data).unwrap();
        w.push(t.elapsed());
        std::fs::remove_file(dir.join("w")).unwrap();
    }
    all.sort();
    w.sort();
    println!(
        "create {:?} write {:?} ratio {:.2}",
        all[5],
        w[5],
        all[5].as_secs_f64() / w[5].as_secs_f64()
    );
}
