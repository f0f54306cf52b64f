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
    {"Lovelace", 1815, 97}, {"Hopper", 1906, 99},   {"Turing", 1912, 98}, {"Dijkstra", 1930, 91},
    {"Liskov", 1939, 95},   {"Knuth", 1938, 96},    {"Hamilton", 1936, 94}, {"Kay", 1940, 90},
};
enum { RECORDS = sizeof records / sizeof *records };

static unsigned comparisons;
static char buffer[512];
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

static int by_year(const void *a, const void *b) {
    comparisons++;
    return ((const struct record *)a)->year - ((const struct record *)b)->year;
}

static int by_score(const void *a, const void *b) {
    comparisons++;
    return ((const struct record *)b)->score - ((const struct record *)a)->score;
}

static const struct {
    const char *title;
    int (*compare)(const void *, const void *);
} orders[] = {
    {"by name", by_name},
    {"by year", by_year},
    {"by score", by_score},
};

static void print(const struct record *record) {
    text("  ");
    text(record->name);
    text(" ");
    number(record->year);
    text("\n");
}

static unsigned sum(int (*of)(const struct record *)) {
    unsigned total = 0;
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
    number(sum(year_of) / RECORDS);
    text(", mean score ");
    number(sum(score_of) / RECORDS);
    text(", comparisons ");
    number(comparisons);
    text("\n");
    flush();
    return 0;
}
