/* Sorting through function pointers, with debug information. Output goes through `write` alone, which keeps most of
   the C library, and its debug information, out of the module. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct record {
    const char *name;
    int year;
    int score;
};

static struct record records[] = {
    {"Lovelace", 1815, 100}, {"Hopper", 1906, 99},   {"Turing", 1912, 98}, {"Dijkstra", 1930, 91},
    {"Liskov", 1939, 95},   {"Knuth", 1938, 96},    {"Hamilton", 1936, 94}, {"Kay", 1940, 90}, {"Wing", 1956, 93},
};
enum { RECORDS = sizeof records / sizeof *records };

static unsigned comparisons;
static char buffer[64];
static unsigned used;

static void flush(void) {
    if (used) write(1, buffer, used);
    used = 0;
}

static void text(const char *string) {
    while (*string) {
        if (used == sizeof buffer) flush();
        buffer[used++] = *string++;
    }
}

static void number(unsigned value) {
    char digits[12];
    char *at = digits + sizeof digits;
    *--at = 0;
    do *--at = '0' + value % 10;
    while (value /= 10);
    text(at);
}

static int by_name(const void *a, const void *b) {
    comparisons++;
    return strcmp(((const struct record *)a)->name, ((const struct record *)b)->name);
}

static int by_score(const void *a, const void *b) {
    comparisons++;
    return ((const struct record *)b)->score - ((const struct record *)a)->score;
}

static int by_length(const void *a, const void *b) {
    comparisons++;
    int left = strlen(((const struct record *)a)->name), right = strlen(((const struct record *)b)->name);
    return left != right ? left - right : by_name(a, b);
}

static const struct {
    const char *title;
    int (*compare)(const void *, const void *);
} orders[] = {
    {"by name", by_name},
    {"by score", by_score},
    {"by length", by_length},
};

static void print(const struct record *record) {
    text("  ");
    text(record->name);
    text(" ");
    number(record->year);
    text(" (");
    number(record->score);
    text(record->score >= 95 ? " points, with honours)" : " points)");
    text("\n");
}

static unsigned sum(int (*of)(const struct record *), unsigned total) {
    for (int i = 0; i < RECORDS; i++) total += of(&records[i]);
    return total;
}

static int year_of(const struct record *record) { return record->year; }
static int score_of(const struct record *record) { return record->score; }

int main(void) {
    for (unsigned i = 0; i < sizeof orders / sizeof *orders; i++) {
        text(orders[i].title);
        text(":\n");
        qsort(records, RECORDS, sizeof *records, orders[i].compare);
        for (int r = 0; r < RECORDS; r++) print(&records[r]);
    }
    text("mean year ");
    number(sum(year_of, 4) / RECORDS);
    text(", mean score ");
    number(sum(score_of, 4) / RECORDS);
    text(", comparisons ");
    number(comparisons);
    text("\n");
    unsigned char random[4];
    text(getentropy(random, sizeof random) ? "no dice\n" : "dice cast\n");
    flush();
    return comparisons > 80 ? 3 : 2;
}
