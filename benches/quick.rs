use wasm_encoder::Instruction as I;
use wasmend::*;
use std::time::*;
fn body(style: BodyStyle, k: i32, n: usize, callee: Option<DeclId>) -> Function {
    let mut b = FunctionBuilder::new(style, &[ValType::I32], &[ValType::I32]);
    b.op(&I::LocalGet(0));
    for i in 0..n { b.op(&I::I32Const(k * 1000 + i as i32)).op(&I::I32Add); }
    if let Some(c) = callee { b.call(c, &[ValType::I32], &[ValType::I32]); }
    b.finish().unwrap()
}
fn main() {
    for (n, redirect, types) in [(1000usize, Redirect::Table, Types::PerDeclaration), (100_000, Redirect::Table, Types::PerDeclaration), (100_000, Redirect::Direct, Types::PerDeclaration),(100_000, Redirect::TableThunks, Types::Interned), (900_000, Redirect::Table, Types::Interned)] {
        let dir = std::env::temp_dir().join("wmq"); std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("o.wasm");
        let mut m = Module::create(&path, ModuleOptions { redirect, types, ..Default::default() }).unwrap();
        let style = m.body_style();
        let ids: Vec<_> = (0..n).map(|i| m.declare(DeclKind::Function, &format!("function_{i}")).unwrap()).collect();
        for (i, id) in ids.iter().enumerate() {
            let f = body(style, i as i32, 46, (i > 0).then(|| ids[i - 1]));
            m.define_function(*id, f).unwrap();
        }
        let t = Instant::now();
        let p = m.commit().unwrap();
        println!("{n} {redirect:?} create {:?} len {} {:?}", t.elapsed(), p.file_len, p.phases);
        let data = vec![1u8; p.file_len as usize];
        let mut w = vec![];
        for _ in 0..5 { let t = Instant::now(); std::fs::write(dir.join("w"), &data).unwrap(); w.push(t.elapsed()); std::fs::remove_file(dir.join("w")).unwrap(); }
        w.sort(); println!("write {:?}", w[2]);
        let mut times = vec![]; let mut ph = vec![];
        for r in 0..2000usize {
            let i = (r * 7919) % n;
            let f = body(style, r as i32, 46, (i > 0).then(|| ids[i - 1]));
            m.define_function(ids[i], f).unwrap();
            let t = Instant::now();
            let p = m.commit().unwrap();
            times.push(t.elapsed()); ph.push(p.phases);
            if p.relink_reason().is_some() { println!("relink"); }
        }
        times.sort();
        println!("const edit median {:?} p99 {:?} max {:?}  {:?}", times[1000], times[1980], times[1999], ph[1500]);
        let mut times = vec![]; let mut b = 0;
        for r in 0..2000usize {
            let i = (r * 7919) % n;
            let f = body(style, r as i32, 40 + r % 30, (i > 0).then(|| ids[i - 1]));
            m.define_function(ids[i], f).unwrap();
            let t = Instant::now();
            let p = m.commit().unwrap();
            times.push(t.elapsed());
            b += p.bytes_written();
            if p.relink_reason().is_some() { println!("relink {:?}", p.relink_reason()); }
        }
        times.sort();
        println!("mixed edit median {:?} p99 {:?} max {:?} bytes {}", times[1000], times[1980], times[1999], b / 2000);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
