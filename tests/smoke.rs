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

#[test]
fn overhead() {
    for redirect in [Redirect::Table, Redirect::TableThunks, Redirect::Direct] {
        let mut m = Module::in_memory(ModuleOptions {
            redirect,
            ..Default::default()
        })
        .unwrap();
        let n = 2000;
        let ids: Vec<_> = (0..n)
            .map(|i| {
                m.declare(DeclKind::Function, &format!("function_number_{i}"))
                    .unwrap()
            })
            .collect();
        let mut seed = 1u64;
        let mut rnd = move |k: u64| {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (seed >> 33) % k
        };
        let size = |r: u64| -> usize {
            (match r % 10 {
                0 => 1000,
                1..=3 => 200,
                _ => 40,
            }) * (1 + (r as usize / 10) % 3)
        };
        let mk = |m: &Module, k: u64, s: usize, i: usize, ids: &[DeclId]| {
            let mut b = FunctionBuilder::new(m.body_style(), &[ValType::I32], &[ValType::I32]);
            b.op(&I::LocalGet(0));
            for i in 0..s / 3 {
                b.op(&I::I32Const(i as i32 % 50)).op(&I::I32Add);
            }
            b.call(
                ids[if k % 3 == 0 {
                    0
                } else {
                    (i * 31 + k as usize) % ids.len()
                }],
                &[ValType::I32],
                &[ValType::I32],
            );
            b.finish().unwrap()
        };
        for i in 0..n {
            let r = rnd(1000);
            let f = mk(&m, r, size(r), i, &ids);
            m.define_function(ids[i], f).unwrap();
        }
        m.commit().unwrap();
        let mut over = vec![];
        for _ in 0..3000 {
            let i = rnd(n as u64) as usize;
            let r = rnd(1000);
            let s = size(r);
            let f = mk(&m, r, s, i, &ids);
            m.define_function(ids[i], f).unwrap();
            let p = m.commit().unwrap();
            let Some(rs) = p.ranges() else {
                println!("{:?}", p.relink_reason());
                continue;
            };
            let body = s as i64 / 3 * 3 + 20;
            let o = rs.bytes() as i64 - body;
            if o > 256
                && rs.iter().all(|(r, _)| r.reason != Reason::MakeRoom)
                && over.len() < 100000
            {
                print!("{o} over {body}:");
                for (r, _) in rs.iter().take(14) {
                    print!(" {}+{}", r.reason, r.len);
                }
                println!(" ..{}", rs.len());
            }
            over.push(o);
            if over.len() % 50 == 0 {
                let b = m.bytes().unwrap();
                wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
                    .validate_all(&b)
                    .unwrap();
            }
        }
        over.sort();
        println!(
            "{redirect:?} median {} p90 {} p99 {} max {}",
            over[over.len() / 2],
            over[over.len() * 9 / 10],
            over[over.len() * 99 / 100],
            over[over.len() - 1]
        );
    }
}

#[test]
fn an_address_is_referred_to_and_moves() {
    let mut m = Module::in_memory(ModuleOptions::default()).unwrap();
    let a = m.declare(DeclKind::Data, "end").unwrap();
    m.define_address(a, 0x1234).unwrap();
    let f = m.declare(DeclKind::Function, "f").unwrap();
    let mut b = FunctionBuilder::new(m.body_style(), &[], &[ValType::I32]);
    b.address_of_data(a, 1);
    let body = b.finish().unwrap();
    m.define_function(f, body).unwrap();
    m.commit().unwrap();
    let find = |m: &Module, v: u32| {
        let mut field = [0x41u8, 0, 0, 0, 0, 0];
        for i in 0..5 {
            field[1 + i] = ((v >> (7 * i)) as u8 & 0x7f) | if i < 4 { 0x80 } else { 0 };
        }
        m.bytes().unwrap().windows(6).any(|w| w == field)
    };
    assert!(find(&m, 0x1235));
    m.define_address(a, 0x8000).unwrap();
    let p = m.commit().unwrap();
    assert!(p.ranges().is_some());
    assert!(find(&m, 0x8001) && !find(&m, 0x1235));
}
