// Calls `twice` with another signature than twice.c defines it with.
extern long long twice(long long);
__attribute__((export_name("wrong"))) long long wrong(long long x) { return twice(x); }
