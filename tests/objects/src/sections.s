# What compilers rarely write: absolute data symbols, retained segments, a custom section with a COMDAT.
    .globl exported_from_assembly
    .type exported_from_assembly,@function
exported_from_assembly:
    .functype exported_from_assembly (i32) -> (i32)
    local.get 0
    i32.load value
    end_function
    .section .data.value,"R",@
    .globl value
    .p2align 2
value:
    .int32 42
    .int32 value+4
    .size value, 8
    .section .custom_section.notes,"",@
    .ascii "remember"
