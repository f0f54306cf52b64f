extern "C" void *__cxa_allocate_exception(unsigned long) noexcept;
int thrower(int x) { if (x) throw x; return 1; }
extern "C" __attribute__((export_name("caught"))) int caught(int x) { try { return thrower(x); } catch (int y) { return y; } }
