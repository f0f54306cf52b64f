# Data that says how far away other data is.
    .globl through
    .type through,@function
through:
    .functype through (i32) -> (i32)
    .local i32
    local.get 0
    i32.const 2
    i32.shl
    i32.const places
    i32.add
    local.tee 1
    i32.load 0
    local.get 1
    i32.add
    i32.load 0
    end_function
    .section .data.padding,"",@
    .globl padding
    .p2align 2
padding:
    .int32 5
    .size padding, 4
    .section .data.places,"",@
    .globl places
    .p2align 2
places:
    .int32 values-places
second:
    .int32 values-second+4
third:
    .int32 padding-third
    .size places, 12
    .size second, 4
    .size third, 4
    .section .data.values,"",@
    .globl values
    .p2align 4
values:
    .int32 42
    .int32 43
    .size values, 8
