int from_b(int x) { return x * 3; }
int maybe_there(void) { return 5; }
