extern int from_a(int);
int unused_c(int x) { return from_a(x); }
__attribute__((constructor)) static void never(void) {}
