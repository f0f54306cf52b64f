#include "inline.h"
int use_b(int x) { return squared(x + 1) + largest(x, 9); }
