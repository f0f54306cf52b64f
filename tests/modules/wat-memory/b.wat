;; Memories: imported, 64-bit and several; passive and active data; bulk operations; vectors; extended constants.
(module $memories
  (import "env" "base" (global $base i32))
  (import "env" "notes" (memory $notes 1))
  (import "env" "log" (func $log (param i32)))
  (import "env" "clock" (func $clock (result i64)))

  (memory $main (export "memory") 2 8)
  (memory $wide i64 1 2)

  (global $cursor (mut i32) (i32.const 64))
  (global $limit i32 (i32.add (global.get $base) (i32.mul (i32.const 16) (i32.const 4))))

  (data $greeting (memory $main) (offset (i32.add (global.get $base) (i32.const 16))) "mend, do not rebuild")
  (data $numbers (memory $main) (i32.const 512) "\01\00\00\00\02\00\00\00\03\00\00\00\04\00\00\00")
  (data $template "passive data, copied in when it is needed, and longer than it was")
  (data $note (memory $notes) (i32.const 0) "note")
  (data $extra (memory $main) (i32.const 528) "\05\00\00\00\06\00\00\00\07\00\00\00\08\00\00\00")
  (data $far (memory $wide) (i64.const 128) "\2b\00\00\00\00\00\00\00")

  (func $sum_vector (param $at i32) (result i32)
    (local $v v128)
    (local.set $v (v128.load $main align=4 (local.get $at)))
    (local.set $v (i32x4.mul (local.get $v) (v128.const i32x4 1 20 300 4000)))
    (i32.add
      (i32.add (i32x4.extract_lane 0 (local.get $v)) (i32x4.extract_lane 1 (local.get $v)))
      (i32.add (i32x4.extract_lane 2 (local.get $v)) (i32x4.extract_lane 3 (local.get $v)))))

  (func $byte_sum (param $from i32) (param $length i32) (result i32)
    (local $sum i32)
    (loop $next
      (if (local.get $length)
        (then
          (local.set $sum (i32.add (local.get $sum) (i32.load8_u $main (local.get $from))))
          (local.set $from (i32.add (local.get $from) (i32.const 1)))
          (local.set $length (i32.sub (local.get $length) (i32.const 1)))
          (br $next))))
    (local.get $sum))

  (func $stamp (export "stamp") (param $times i32) (result i32)
    (loop $again
      (memory.init $main $template (global.get $cursor) (i32.const 0) (i32.const 13))
      (global.set $cursor (i32.add (global.get $cursor) (i32.const 13)))
      (call $log (global.get $cursor))
      (br_if $again
        (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))
    (call $byte_sum (i32.const 64) (i32.const 64)))

  (func $pair_sum (param $at i32) (result i32)
    (i32.add
      (call $sum_vector (local.get $at))
      (call $sum_vector (i32.add (local.get $at) (i32.const 16)))))

  (func (export "vector") (result i32)
    (call $pair_sum (i32.const 512)))

  (func (export "across") (result i32)
    (memory.copy $main $notes (i32.const 700) (i32.const 0) (i32.const 4))
    (memory.fill $main (i32.const 704) (i32.const 33) (i32.const 3))
    (call $byte_sum (i32.const 700) (i32.const 7)))

  (func (export "wide") (param i64) (result i64)
    (i64.store $wide (i64.const 136) (local.get 0))
    (drop (memory.grow $wide (i64.const 1)))
    (i64.store $wide (i64.const 144) (call $clock))
    (i64.add
      (i64.add (memory.size $wide) (i64.load $wide (i64.const 144)))
      (i64.mul (i64.load $wide (i64.const 128)) (i64.load $wide offset=8 (i64.const 128)))))

  (func (export "shuffle") (param i64) (result v128)
    (i8x16.shuffle 0 8 1 9 2 10 3 11 4 12 5 13 6 14 7 15
      (i64x2.splat (local.get 0))
      (v128.const i64x2 0x0807060504030201 0x1817161514131211)))

  (func (export "limit") (result i32)
    (global.get $limit))

  (func (export "forget")
    (data.drop $template)))
