extern int from_b(int);
int from_a(int x) { return from_b(x) + 1; }
int also_a(int x) { return x; }
