/* wasi-libc of this age has no setjmp; Lua is built with an error handler that aborts instead. */
typedef int jmp_buf;
