int shared_counter = 40;
__attribute__((weak)) int pick(int x) { return x - 1; }
int twice(int x) { return 2 * x; }
__attribute__((noinline, visibility("hidden"))) int hidden_one(void) { return shared_counter; }
extern __typeof(twice) doubled __attribute__((alias("twice")));
__attribute__((used)) int kept(void) { return hidden_one(); }
