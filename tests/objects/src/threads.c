_Thread_local int per_thread = 3;
static _Thread_local int zero_per_thread;
__attribute__((export_name("next"))) int next(void) { zero_per_thread++; return per_thread++ + zero_per_thread; }
