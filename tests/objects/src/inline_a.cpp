#include "inline.h"
int use_b(int);
extern "C" __attribute__((export_name("use_a"))) int use_a(int x) { Shape s; const Shape *volatile p = &s; return squared(x) + largest(x, 4) + use_b(x) + p->area(); }
