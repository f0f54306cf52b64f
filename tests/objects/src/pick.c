// A strong definition of what twice.c defines weakly.
int pick(int x) { return x + 100; }
