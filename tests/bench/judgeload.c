/*
 * judgeload - how long does the judge take for a recipient?
 *
 *   judgeload [RULES [LINES]]
 *
 * So many rules (1,000), a tenth of them with one of ten tables of so many lines (100,000);
 * half of the recipients are refused by the last rule but one, half granted by the last.
 * Prints microseconds for each recipient, the middle one of three runs, with the index of
 * rules and without.
 */
#include "policy/judge.h"
#include "policy/vocabulary/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TABLES = 10, ASKED = 20000, RUNS = 3 };

static long rules = 1000, lines = 100000;

static void put_table(struct buffer *out, long number)
{
    for (long i = 0; i < lines; i++)
        buffer_printf(out, i % 3 ? "d%ld-%ld.example\n" : "u%ld@d%ld.example\n",
                      i, number);
}

static void put_rules(struct buffer *out)
{
    static const char *const actions[] = {
        "reject", "defer", "hold", "tag set-tag = {\"t\"}", "discard",
    };

    for (long i = 0; i < rules - 2; i++) {
        const char *action = actions[i % 5];

        buffer_printf(out, "rule \"r%ld\" { ", i);
        if (i % 10 == 0)
            buffer_printf(out, "to = {\"table:t%ld\"} ", i / 10 % TABLES);
        else if (i % 10 == 1)
            buffer_printf(out, "client = {\"10.%ld.%ld.0/24\"} ", i / 256 % 256,
                          i % 256);
        else if (i % 10 == 2)
            buffer_printf(out, "from = {\"*.s%ld.test\", \"s%ld.test\"} ", i,
                          i);
        else if (i % 10 == 3)
            buffer_printf(out, "login = {\"user%ld\"} ", i);
        else if (i % 10 == 4)
            buffer_printf(out, "from = {\"<>\"} to = {\"d%ld.test\"} ", i);
        else
            buffer_printf(out,
                          "to = {\"d%ld.test\"} not-client = "
                          "{\"192.0.2.0/24\"} ",
                          i);
        buffer_printf(out, "action = %s }\n", action);
    }
    buffer_printf(out, "rule \"no\" { to = {\"no.test\"} action = reject }\n"
                       "rule \"ours\" { to = {\"ok.test\"} action = relay }\n"
                       "listener \"a\" { address = \"127.0.0.1:25\" "
                       "auth = optional }\nusers { pam = \"p\" }\n"
                       "tls { certificate = \"c\" key = \"k\" }\n"
                       "route \"*\" { via = mx }\n");
}

static int read_file(void *user, const char *path, struct buffer *out)
{
    (void)user;
    if (strcmp(path, "conf") == 0)
        put_rules(out);
    else
        put_table(out, strtol(path + 1, NULL, 10));
    return 0;
}

static void heard(void *user, const struct rule *r, enum rule_fate fate,
                  const struct condition *which)
{
    (void)user;
    (void)r;
    (void)fate;
    (void)which;
}

static double run(const struct settings *s, const struct judge_watch *watch)
{
    static struct arena arena;
    struct timespec start, end;
    struct address from, to[2];
    struct facts facts = { .helo = SPAN("client.test") };

    if (address_parse(SPAN("somebody@mail.sender.test"), &from) ||
        address_parse(SPAN("somebody@ok.test"), &to[0]) ||
        address_parse(SPAN("somebody@no.test"), &to[1]) ||
        !host_address_parse(SPAN("198.51.100.7"), &facts.client))
        exit(1);
    facts.sender = &from;
    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < ASKED; i++) {
        facts.recipient = &to[i % 2];
        if (judge(s, &facts, &arena, watch).kind !=
            (i % 2 ? VERDICT_REJECT : VERDICT_RELAY))
            exit(1);
        if (i % 1000 == 0)
            arena_reset(&arena);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    arena_reset(&arena);
    return ((double)(end.tv_sec - start.tv_sec) * 1e6 +
            (double)(end.tv_nsec - start.tv_nsec) / 1e3) /
           ASKED;
}

static int by_size(const void *left, const void *right)
{
    const double *a = left, *b = right;

    return *a < *b ? -1 : *a > *b;
}

static double middle(const struct settings *s, const struct judge_watch *watch)
{
    double all[RUNS];

    for (int i = 0; i < RUNS; i++)
        all[i] = run(s, watch);
    qsort(all, RUNS, sizeof *all, by_size);
    return all[RUNS / 2];
}

int main(int argc, char **argv)
{
    static const struct judge_watch watch = { heard, NULL };
    struct settings_source source = { .path = "conf",
                                      .machine_name = "mx.ok.test",
                                      .state_folder = "/state",
                                      .read_file = read_file };
    struct buffer faults = { 0 }, warnings = { 0 };
    struct settings *s;

    if (argc > 1)
        rules = strtol(argv[1], NULL, 10);
    if (argc > 2)
        lines = strtol(argv[2], NULL, 10);
    s = settings_read(&source, &faults, &warnings);
    if (!s) {
        (void)fputs(buffer_string(&faults), stderr);
        return 1;
    }
    (void)printf("%ld rules, %d tables of %ld lines: %.2f us for each "
                 "recipient, %.2f us rule by rule\n",
                 rules, TABLES, lines, middle(s, NULL), middle(s, &watch));
    settings_release(s);
    buffer_fini(&faults);
    buffer_fini(&warnings);
    return 0;
}
