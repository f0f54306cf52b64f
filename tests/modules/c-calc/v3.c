/* A calculator language: source text -> tokens -> bytecode -> a stack machine. Reads a script from standard input
   and prints what each statement gives. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum op { OP_END, OP_PUSH, OP_LOAD, OP_STORE, OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_MOD, OP_NEG, OP_CALL, OP_PRINT, OP_COUNT };

struct machine {
    long code[256];
    int length;
    long stack[96];
    int depth;
    long variables[26];
    const char *at;
    int errors;
};

static struct machine machine;
static int statements;
static int line_number = 100;

typedef long (*builtin)(long a, long b);

static long builtin_max(long a, long b) { return a > b ? a : b; }
static long builtin_min(long a, long b) { return a < b ? a : b; }
static long builtin_pow(long a, long b) {
    long result = 1;
    while (b-- > 0) result *= a;
    return result;
}

static long builtin_gcd(long a, long b) {
    while (b) {
        long rest = a % b;
        a = b;
        b = rest;
    }
    return a < 0 ? -a : a;
}

static const struct {
    const char *name;
    builtin function;
} builtins[] = {
    {"max", builtin_max},
    {"min", builtin_min},
    {"pow", builtin_pow},
    {"gcd", builtin_gcd},
};

static void fail(const char *what, int line) {
    if (!machine.errors++) printf("line %d: error: %s near '%.8s'\n", line, what, machine.at);
}

static void emit(long word) {
    if (machine.length < 256) machine.code[machine.length++] = word;
    else fail("program too long", line_number);
}

static void skip(void) {
    while (*machine.at == ' ') machine.at++;
}

static int accept(char c) {
    skip();
    if (*machine.at != c) return 0;
    machine.at++;
    return 1;
}

static void expression(void);

static void primary(void) {
    skip();
    if (isdigit((unsigned char)*machine.at)) {
        char *end;
        emit(OP_PUSH);
        emit(strtol(machine.at, &end, 10));
        machine.at = end;
    } else if (accept('(')) {
        expression();
        if (!accept(')')) fail("expected )", line_number);
    } else if (accept('-')) {
        primary();
        emit(OP_NEG);
    } else if (isalpha((unsigned char)*machine.at)) {
        char name[16];
        int n = 0;
        while (isalpha((unsigned char)*machine.at) && n < 15) name[n++] = *machine.at++;
        name[n] = 0;
        if (!accept('(')) {
            emit(OP_LOAD);
            emit(name[0] - 'a');
            return;
        }
        expression();
        if (!accept(',')) fail("expected ,", line_number);
        expression();
        if (!accept(')')) fail("expected )", line_number);
        for (unsigned i = 0; i < sizeof builtins / sizeof *builtins; i++) {
            if (!strcmp(name, builtins[i].name)) {
                emit(OP_CALL);
                emit(i);
                return;
            }
        }
        fail("unknown function", line_number);
    } else {
        fail("expected a value", line_number);
    }
}

static void term(void) {
    primary();
    for (;;) {
        if (accept('*')) {
            primary();
            emit(OP_MUL);
        } else if (accept('/')) {
            primary();
            emit(OP_DIV);
        } else if (accept('%')) {
            primary();
            emit(OP_MOD);
        } else {
            return;
        }
    }
}

static void expression(void) {
    term();
    for (;;) {
        if (accept('+')) {
            term();
            emit(OP_ADD);
        } else if (accept('-')) {
            term();
            emit(OP_SUB);
        } else {
            return;
        }
    }
}

static void statement(void) {
    skip();
    if (islower((unsigned char)machine.at[0]) && machine.at[1] == '=') {
        int variable = machine.at[0] - 'a';
        machine.at += 2;
        expression();
        emit(OP_STORE);
        emit(variable);
    } else {
        expression();
        emit(OP_PRINT);
    }
    emit(OP_END);
    skip();
    if (*machine.at) fail("trailing text", line_number);
}

static void run(void) {
    long *stack = machine.stack;
    int depth = 0;
    for (int pc = 0;;) {
        switch (machine.code[pc++]) {
        case OP_END: return;
        case OP_PUSH: stack[depth++] = machine.code[pc++]; break;
        case OP_LOAD: stack[depth++] = machine.variables[machine.code[pc++]]; break;
        case OP_STORE: machine.variables[machine.code[pc++]] = stack[--depth]; break;
        case OP_ADD: depth--; stack[depth - 1] += stack[depth]; break;
        case OP_SUB: depth--; stack[depth - 1] -= stack[depth]; break;
        case OP_MUL: depth--; stack[depth - 1] *= stack[depth]; break;
        case OP_DIV:
            depth--;
            if (!stack[depth]) {
                printf("error: division by zero\n");
                return;
            }
            stack[depth - 1] /= stack[depth];
            break;
        case OP_MOD:
            depth--;
            if (!stack[depth]) {
                printf("error: remainder by zero\n");
                return;
            }
            stack[depth - 1] %= stack[depth];
            break;
        case OP_NEG: stack[depth - 1] = -stack[depth - 1]; break;
        case OP_CALL:
            depth--;
            stack[depth - 1] = builtins[machine.code[pc++]].function(stack[depth - 1], stack[depth]);
            break;
        case OP_PRINT: printf("= %ld\n", stack[--depth]); break;
        }
    }
}

int main(int argc, char **argv) {
    char line[128];
    printf("calc 1.2 for %s\n", argc > 1 ? argv[1] : "nobody");
    while (fgets(line, sizeof line, stdin)) {
        line_number++;
        line[strcspn(line, "\n")] = 0;
        if (!*line) continue;
        machine.at = line;
        machine.length = 0;
        machine.errors = 0;
        statement();
        if (machine.errors) continue;
        statements++;
        run();
    }
    printf("%d statements\n", statements);
    return machine.errors ? 1 : 0;
}
