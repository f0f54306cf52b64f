extern int from_a(int);
extern int maybe_there(void) __attribute__((weak));
__attribute__((export_name("use"))) int use(int x) { return from_a(x) + (maybe_there ? maybe_there() : 0); }
