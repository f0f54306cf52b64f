/* A hash table of strings to values, and a formatter that prints it as JSON. Built without optimisation, so that every
   function stands in the module and the shadow stack is used throughout. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { KIND_NULL, KIND_BOOL, KIND_NUMBER, KIND_STRING, KIND_TABLE };

struct value {
    enum kind kind;
    union {
        int boolean;
        double number;
        const char *string;
        struct table *table;
    } as;
};

struct entry {
    const char *key;
    struct value value;
    struct entry *next;
};

struct table {
    struct entry **buckets;
    unsigned bucket_count;
    unsigned length;
    unsigned long long seed;
};

static unsigned allocations;
static unsigned collisions;
static unsigned long long seeds = 0x123456789abcdefull;
static const unsigned first_buckets = 8;
static char scratch[96] = "(something, and rather longer than before)";

static void *allocate(size_t size) {
    void *memory = calloc(1, size);
    if (!memory) abort();
    allocations++;
    return memory;
}

static unsigned long long hash(const char *key, unsigned long long seed) {
    unsigned long long h = seed ^ 14695981039346656037ull;
    while (*key) h = (h ^ (unsigned char)*key++) * 1099511628211ull;
    return h;
}

static struct table *table_new(void) {
    struct table *table = allocate(sizeof *table);
    table->bucket_count = first_buckets;
    table->seed = ++seeds;
    table->buckets = allocate(table->bucket_count * sizeof *table->buckets);
    return table;
}

static void table_grow(struct table *table) {
    unsigned count = table->bucket_count * 2;
    struct entry **buckets = allocate(count * sizeof *buckets);
    for (unsigned i = 0; i < table->bucket_count; i++) {
        struct entry *entry = table->buckets[i];
        while (entry) {
            struct entry *next = entry->next;
            unsigned slot = hash(entry->key, table->seed) % count;
            entry->next = buckets[slot];
            buckets[slot] = entry;
            entry = next;
        }
    }
    free(table->buckets);
    table->buckets = buckets;
    table->bucket_count = count;
}

static struct value *table_put(struct table *table, const char *key) {
    unsigned slot = hash(key, table->seed) % table->bucket_count;
    for (struct entry *entry = table->buckets[slot]; entry; entry = entry->next) {
        if (!strcmp(entry->key, key)) return &entry->value;
        collisions++;
    }
    if (table->length >= table->bucket_count) {
        table_grow(table);
        slot = hash(key, table->seed) % table->bucket_count;
    }
    struct entry *entry = allocate(sizeof *entry);
    entry->key = key;
    entry->next = table->buckets[slot];
    table->buckets[slot] = entry;
    table->length++;
    return &entry->value;
}

static void put_number(struct table *table, const char *key, double number) {
    struct value *value = table_put(table, key);
    value->kind = KIND_NUMBER;
    value->as.number = number;
}

static void put_string(struct table *table, const char *key, const char *string) {
    struct value *value = table_put(table, key);
    value->kind = KIND_STRING;
    value->as.string = string;
}

static struct table *put_table(struct table *table, const char *key) {
    struct value *value = table_put(table, key);
    value->kind = KIND_TABLE;
    value->as.table = table_new();
    return value->as.table;
}

static void print_byte(unsigned char byte) {
    if (byte < 32 || byte > 126) printf("\\u%04x", byte);
    else putchar(byte);
}

static void print_string(const char *string) {
    putchar('"');
    for (; *string; string++) {
        switch (*string) {
        case '"':
        case '\\':
            putchar('\\');
            putchar(*string);
            break;
        case '\n': printf("\\n"); break;
        case '\t': printf("\\t"); break;
        default: print_byte((unsigned char)*string);
        }
    }
    putchar('"');
}

static void print_table(const struct table *table, int indent);

static void print_null(const struct value *value, int indent) {
    (void)value, (void)indent;
    printf("null");
}

static void print_bool(const struct value *value, int indent) {
    (void)indent;
    printf("%s", value->as.boolean ? "true" : "false");
}

static void print_number(const struct value *value, int indent) {
    (void)indent;
    printf("%g", value->as.number);
}

static void print_text(const struct value *value, int indent) {
    (void)indent;
    print_string(value->as.string);
}

static void print_nested(const struct value *value, int indent) { print_table(value->as.table, indent); }

static void (*const printers[])(const struct value *, int) = {
    print_null, print_bool, print_number, print_text, print_nested,
};

static int by_key(const void *a, const void *b) {
    const struct entry *const *left = a, *const *right = b;
    return strcmp((*left)->key, (*right)->key);
}

static void print_table(const struct table *table, int indent) {
    struct entry **sorted = allocate((table->length + 1) * sizeof *sorted);
    unsigned n = 0;
    for (unsigned i = 0; i < table->bucket_count; i++)
        for (struct entry *entry = table->buckets[i]; entry; entry = entry->next) sorted[n++] = entry;
    qsort(sorted, n, sizeof *sorted, by_key);
    printf("{\n");
    for (unsigned i = 0; i < n; i++) {
        printf("%*s", indent + 2, "");
        print_string(sorted[i]->key);
        printf(": ");
        printers[sorted[i]->value.kind](&sorted[i]->value, indent + 2);
        printf(i + 1 < n ? ",\n" : "\n");
    }
    printf("%*s}", indent, "");
    free(sorted);
}

int main(void) {
    struct table *root = table_new();
    put_string(root, "name", "a \"quoted\" name");
    put_number(root, "answer", 42);
    put_number(root, "ratio", 0.125);
    put_string(root, "motto", "cut\tonce,\nmend \x01 often");
    put_string(root, "home", getenv("HOME") ? getenv("HOME") : "nowhere");
    table_put(root, "nothing");
    struct table *squares = put_table(root, "squares");
    static char keys[12][4];
    for (int i = 0; i < 12; i++) {
        snprintf(keys[i], sizeof keys[i], "n%d", i);
        put_number(squares, keys[i], i * i);
    }
    put_string(root, "scratch", scratch);
    print_table(root, 0);
    printf("\n%u allocations, %u collisions\n", allocations, collisions);
    return 0;
}
