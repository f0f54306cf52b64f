// The program: calls into the other objects and the library.
#include <stddef.h>
extern int twice(int);
extern int pick(int);
extern int shared_counter;
extern int maybe_there(void) __attribute__((weak));
extern int maybe_number __attribute__((weak));
extern void host_log(const char *text, int len)
    __attribute__((import_module("host"), import_name("log")));
static int local_number = 7;
static const char greeting[] = "hello";
int (*chosen)(int) = twice;
const char *const words[] = {"one", "two", "three"};
int zeros[100];
static int helper(int x) { return x + local_number; }
int (*const table[])(int) = {helper, pick};
__attribute__((constructor(101))) static void first(void) { shared_counter += 1; }
__attribute__((constructor)) static void second(void) { local_number += 2; }
__attribute__((export_name("answer"))) int answer_of(int x) {
    host_log(greeting, sizeof greeting - 1);
    if (maybe_there) x += maybe_there();
    if (&maybe_number) x += maybe_number;
    zeros[x & 63] = x;
    return chosen(x) + table[x & 1](zeros[1]) + words[x & 1][0] + shared_counter;
}
void _start(void) { answer_of(1); }
