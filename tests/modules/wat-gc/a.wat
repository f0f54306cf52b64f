;; Managed types and exceptions: recursive groups, subtypes, finality, casts, arrays, typed calls; tags imported and own.
(module $managed
  (rec
    (type $node (sub (struct (field $value (mut i32)) (field $next (ref null $node)))))
    (type $leaf (sub final $node (struct (field (mut i32)) (field (ref null $node)) (field $weight f64)))))
  (type $bytes (array (mut i8)))
  (type $row (array (mut (ref null $node))))
  (type $shape (sub (struct (field $area f64))))
  (type $circle (sub $shape (struct (field f64) (field $radius f64))))
  (type $visit (func (param (ref $node)) (result i32)))
  (type $problem (func (param i32)))

  (import "env" "failed" (tag $failed (type $problem)))
  (import "env" "give_up" (func $give_up (type $problem)))

  (tag $not_found (export "not_found") (type $problem))
  (tag $stopped)

  (global $root (mut (ref null $node)) (ref.null $node))
  (global $origin (ref $shape) (struct.new $shape (f64.const 0)))
  (global $small i31ref (ref.i31 (i32.const 17)))

  (table $visitors 2 (ref null $visit))
  (elem (table $visitors) (i32.const 0) (ref null $visit) (ref.func $visit_value) (ref.func $visit_next))
  (data $letters "abcdefgh")

  (func $visit_value (type $visit)
    (struct.get $node $value (local.get 0)))

  (func $visit_next (type $visit)
    (block $none
      (return (call $visit_value (br_on_null $none (struct.get $node $next (local.get 0))))))
    (i32.const -1))

  (func $push (export "push") (param $value i32)
    (global.set $root (struct.new $node (local.get $value) (global.get $root))))

  (func $weigh (export "weigh") (param $value i32) (param $weight f64) (result f64)
    (local $node (ref null $node))
    (local.set $node (struct.new $leaf (local.get $value) (global.get $root) (local.get $weight)))
    (if (result f64) (ref.test (ref $leaf) (local.get $node))
      (then (struct.get $leaf $weight (ref.cast (ref $leaf) (local.get $node))))
      (else (f64.const nan))))

  (func (export "visit") (param $which i32) (result i32)
    (call_ref $visit
      (ref.as_non_null (global.get $root))
      (ref.as_non_null (table.get $visitors (local.get $which)))))

  (func (export "radius") (param $shape (ref null $shape)) (result f64)
    (block $round (result (ref $circle))
      (br_on_cast $round (ref null $shape) (ref $circle) (local.get $shape))
      (drop)
      (return (struct.get $shape $area (global.get $origin))))
    (struct.get $circle $radius))

  (func (export "spell") (param $from i32) (result i32)
    (local $bytes (ref $bytes))
    (local.set $bytes (array.new_data $bytes $letters (local.get $from) (i32.const 4)))
    (array.set $bytes (local.get $bytes) (i32.const 0) (i32.const 90))
    (i32.add
      (array.get_u $bytes (local.get $bytes) (i32.const 0))
      (array.len (local.get $bytes))))

  (func $find (param $value i32) (result i32)
    (local $at (ref null $node))
    (local $steps i32)
    (local.set $at (global.get $root))
    (block $end
      (loop $next
        (br_if $end (ref.is_null (local.get $at)))
        (if (i32.eq (struct.get $node $value (local.get $at)) (local.get $value))
          (then (return (local.get $steps))))
        (local.set $steps (i32.add (local.get $steps) (i32.const 1)))
        (local.set $at (struct.get $node $next (local.get $at)))
        (br $next)))
    (throw $not_found (local.get $value)))

  (func (export "find") (param $value i32) (result i32)
    (i32.const 0)
    (block $missing (result i32)
      (block $other (result exnref)
        (return
          (try_table (result i32) (catch $not_found $missing) (catch_all_ref $other)
            (call $find (local.get $value)))))
      (throw_ref))
    (i32.sub))

  (func (export "attempt") (param $value i32)
    (block $caught (result i32)
      (try_table (catch $failed $caught)
        (call $give_up (local.get $value))
        (throw $stopped))
      (return))
    (drop))

  (func (export "small") (result i32)
    (i31.get_s (ref.cast (ref i31) (global.get $small)))))
