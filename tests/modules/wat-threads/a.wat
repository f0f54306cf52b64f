;; Shared memory and atomic operations: a counter, a lock and a queue that several instances could use at once.
(module $threads
  (import "env" "memory" (memory $memory 1 16 shared))
  (memory $own 1 1 shared)

  (global $lock i32 (i32.const 0))
  (global $head i32 (i32.const 8))
  (global $tail i32 (i32.const 12))
  (global $slots i32 (i32.const 64))

  (data (memory $memory) (i32.const 0) "\00\00\00\00")
  (data $table "\01\02\03\05\08\0d\15\22")

  (func $acquire
    (block $taken
      (loop $again
        (br_if $taken
          (i32.eqz (i32.atomic.rmw.cmpxchg $memory (global.get $lock) (i32.const 0) (i32.const 1))))
        (drop (memory.atomic.wait32 $memory (global.get $lock) (i32.const 1) (i64.const -1)))
        (br $again))))

  (func $release
    (i32.atomic.store $memory (global.get $lock) (i32.const 0))
    (drop (memory.atomic.notify $memory (global.get $lock) (i32.const 1))))

  (func (export "push") (param $value i32) (result i32)
    (local $at i32)
    (call $acquire)
    (local.set $at (i32.atomic.rmw.add $memory (global.get $tail) (i32.const 1)))
    (i32.atomic.store $memory offset=64
      (i32.shl (i32.and (local.get $at) (i32.const 15)) (i32.const 2))
      (local.get $value))
    (call $release)
    (local.get $at))

  (func (export "pop") (result i32)
    (local $at i32)
    (local $value i32)
    (call $acquire)
    (local.set $at (i32.atomic.rmw.add $memory (global.get $head) (i32.const 1)))
    (local.set $value
      (i32.atomic.load $memory offset=64 (i32.shl (i32.and (local.get $at) (i32.const 15)) (i32.const 2))))
    (call $release)
    (local.get $value))

  (func (export "add") (param $by i64) (result i64)
    (atomic.fence)
    (i64.atomic.rmw.add $own (i32.const 16) (local.get $by)))

  (func (export "mask") (param $bits i32) (result i32)
    (i32.add
      (i32.atomic.rmw8.or_u $own (i32.const 24) (local.get $bits))
      (i32.atomic.rmw16.xchg_u $own (i32.const 26) (local.get $bits))))

  (func (export "prepare")
    (memory.init $own $table (i32.const 32) (i32.const 0) (i32.const 8))
    (data.drop $table)))
