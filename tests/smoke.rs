//! smoke
use wasm_encoder::Instruction as I;
use wasmend::*;

fn body(m: &Module, k: i32, n: usize, callee: Option<DeclId>) -> Function {
    let mut b = FunctionBuilder::new(m.body_style(), &[ValType::I32], &[ValType::I32]);
    b.op(&I::LocalGet(0));
    for i in 0..n {
        b.op(&I::I32Const(k + i as i32)).op(&I::I32Add);
    }
    if let Some(c) = callee {
        b.call(c, &[ValType::I32], &[ValType::I32]);
    }
    b.finish().unwrap()
}

#[test]
fn smoke() {
    for redirect in [Redirect::Table, Redirect::TableThunks, Redirect::Direct] {
        for types in [Types::PerDeclaration, Types::Interned] {
            let mut m = Module::in_memory(ModuleOptions {
                redirect,
                types,
                ..Default::default()
            })
            .unwrap();
            let ids: Vec<_> = (0..50)
                .map(|i| m.declare(DeclKind::Function, &format!("f{i}")).unwrap())
                .collect();
            for (i, id) in ids.iter().enumerate() {
                let f = body(&m, i as i32, 10, (i > 0).then(|| ids[i - 1]));
                m.define_function(*id, f).unwrap();
            }
            m.export("last", ids[49]).unwrap();
            let p = m.commit().unwrap();
            println!("{redirect:?} {types:?} {:?} {}", p.outcome, p.file_len);
            let v = |m: &Module| {
                let b = m.bytes().unwrap();
                std::fs::write("/tmp/x.wasm", &b).unwrap();
                wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
                    .validate_all(&b)
                    .unwrap();
            };
            v(&m);
            for r in 0..200usize {
                let i = (r * 7) % 50;
                let f = body(&m, i as i32, 5 + r % 60, (i > 0).then(|| ids[i - 1]));
                m.define_function(ids[i], f).unwrap();
                let p = m.commit().unwrap();
                if r < 4 {
                    if let Some(rs) = p.ranges() {
                        for (r, _) in rs.iter() {
                            print!(" {:x}+{} {};", r.offset, r.len, r.reason);
                        }
                        println!();
                    }
                }
                if let Some(r) = p.relink_reason() {
                    println!("relink {r}");
                }
                v(&m);
            }
        }
    }
}
