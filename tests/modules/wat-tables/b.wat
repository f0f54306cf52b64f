;; Tables: several, imported and grown; passive and declared elements; references; tail calls; a start function.
(module $tables
  (type $unary (func (param i32) (result i32)))
  (type $step (func (param i32 i32) (result i32)))
  (type $pair (func (param i32) (result i32 i32)))

  (import "env" "shared" (table $shared 4 funcref))
  (import "env" "offset" (global $offset i32))
  (import "env" "warn" (func $warn (param i32)))
  (import "env" "report" (func $report (type $unary)))

  (table $calls (export "calls") 7 30 funcref)
  (table $things 2 externref)
  (elem (table $calls) (i32.const 0) func $double $cube $negate)
  (elem $late func $even $odd)
  (elem $more funcref (ref.func $cube) (ref.func $report))
  (elem (table $shared) (offset (i32.add (global.get $offset) (i32.const 1))) func $double)
  (elem declare func $bump)

  (global $started (mut i32) (i32.const 41))
  (global $handler (mut funcref) (ref.func $square))

  (export "report" (func $report))
  (start $start)

  (func $start
    (table.init $calls $late (i32.const 3) (i32.const 0) (i32.const 2))
    (elem.drop $late)
    (global.set $started (i32.add (global.get $started) (i32.const 1))))

  (func $double (type $unary) (i32.shl (local.get 0) (i32.const 1)))
  (func $square (type $unary) (i32.mul (local.get 0) (local.get 0)))
  (func $negate (type $unary) (i32.sub (i32.const 0) (local.get 0)))
  (func $cube (type $unary) (i32.mul (call $square (local.get 0)) (local.get 0)))
  (func $bump (type $unary)
    (call $warn (local.get 0))
    (i32.add (local.get 0) (i32.const 2)))

  (func $even (type $unary)
    (if (result i32) (i32.eqz (local.get 0))
      (then (i32.const 1))
      (else (return_call $odd (i32.sub (local.get 0) (i32.const 1))))))
  (func $odd (type $unary)
    (if (result i32) (i32.eqz (local.get 0))
      (then (i32.const 0))
      (else (return_call_indirect $calls (type $unary)
        (i32.sub (local.get 0) (i32.const 1))
        (i32.const 3)))))

  (func $sum (type $step)
    (if (i32.eqz (local.get 0)) (then (return (local.get 1))))
    (return_call $sum
      (i32.sub (local.get 0) (i32.const 1))
      (i32.add (local.get 1) (call $square (local.get 0)))))

  (func (export "apply") (param $slot i32) (param $value i32) (result i32)
    (call_indirect $calls (type $unary) (local.get $value) (local.get $slot)))

  (func (export "is_even") (param i32) (result i32)
    (return_call $even (local.get 0)))

  (func (export "sum") (param i32) (result i32)
    (call $sum (local.get 0) (i32.const 0)))

  (func (export "grow") (param $by i32) (result i32)
    (drop (table.grow $calls (ref.func $bump) (local.get $by)))
    (table.set $calls (i32.const 5) (global.get $handler))
    (i32.add
      (i32.mul (table.size $calls) (i32.const 1000))
      (call_indirect $calls (type $unary)
        (i32.const 7)
        (i32.sub (table.size $calls) (i32.const 1)))))

  (func (export "copy") (result i32)
    (table.init $calls $more (i32.const 0) (i32.const 0) (i32.const 1))
    (table.copy $shared $calls (i32.const 0) (i32.const 0) (i32.const 1))
    (call_indirect $shared (type $unary) (i32.const 5) (i32.const 0)))

  (func (export "keep") (param externref) (result i32)
    (table.set $things (i32.const 0) (local.get 0))
    (table.fill $things (i32.const 1) (ref.null extern) (i32.const 1))
    (i32.add
      (ref.is_null (table.get $things (i32.const 0)))
      (ref.is_null (table.get $things (i32.const 1)))))

  (func $divide (type $pair)
    (i32.div_s (local.get 0) (i32.const 7))
    (i32.rem_s (local.get 0) (i32.const 7)))
  (func (export "divide") (param i32) (result i32 i32)
    (local.get 0)
    (block (param i32) (result i32 i32) (call $divide)))

  (func (export "reset")
    (global.set $handler (ref.null func)))

  (func (export "started") (result i32)
    (global.get $started)))
