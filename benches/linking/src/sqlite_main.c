/* Runs a fixed SQL workload on a database in memory and prints its results. */
#include <stdio.h>
#include "sqlite3.h"

static int row(void *unused, int n, char **values, char **names) {
    (void)unused, (void)names;
    for (int i = 0; i < n; i++) printf("%s%s", i ? "|" : "", values[i] ? values[i] : "NULL");
    printf("\n");
    return 0;
}

static const char *const statements[] = {
    "CREATE TABLE net (id INTEGER PRIMARY KEY, name TEXT, weight REAL, mended INT)",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) "
    "INSERT INTO net SELECT i, printf('net-%05d', (i * 7919) % 1009), i * 0.25, i % 3 FROM n",
    "CREATE INDEX by_name ON net(name)",
    "SELECT count(*), sum(weight), min(name), max(name) FROM net WHERE mended = 1",
    "SELECT mended, count(*), avg(weight) FROM net GROUP BY mended ORDER BY 2 DESC, 1",
    "SELECT a.id, b.id FROM net a JOIN net b ON a.name = b.name AND a.id < b.id ORDER BY a.id LIMIT 5",
    "UPDATE net SET weight = abs(weight - 100) WHERE id % 7 = 0",
    "DELETE FROM net WHERE name LIKE 'net-00%'",
    "SELECT count(*), round(total(weight), 3), sum(length(name)) FROM net",
    "SELECT abs(-7), abs(-7.5), length('na\xc3\xafve'), upper('upper'), hex('ab'), json_extract('{\"a\":[1,2]}', '$.a[1]')",
    "SELECT id, row_number() OVER (PARTITION BY mended ORDER BY weight DESC) r FROM net ORDER BY r, id LIMIT 4",
};

int main(void) {
    sqlite3 *db;
    if (sqlite3_open(":memory:", &db)) {
        printf("open: %s\n", sqlite3_errmsg(db));
        return 1;
    }
    for (unsigned i = 0; i < sizeof statements / sizeof *statements; i++) {
        char *error = 0;
        if (sqlite3_exec(db, statements[i], row, 0, &error)) {
            printf("statement %u: %s\n", i, error);
            return 1;
        }
    }
    sqlite3_close(db);
    return 0;
}
