/*
 * selftest_verb - can a relay with this configuration do its work on this machine?
 *
 * The checks run in the order of the table, each as soon as the one before is done, and are
 * printed as they come.
 */
#include "relay/main/selftest.h"

#include "relay/main/ask.h"
#include "relay/main/configuration.h"
#include "relay/main/herald.h"
#include "relay/main/paper.h"
#include "relay/main/strongbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static selftest_fn selftest_settings;

/* clang-format off */
static const struct {
    const char *name;
    selftest_fn *run;
    bool needs_network;
} checks[] = {
    { "settings",     selftest_settings,     false },
    { "secrets",      selftest_secrets,      false },
    { "logins",       selftest_logins,       false },
    { "certificates", selftest_certificates, false },
    { "disk",         selftest_disk,         false },
    { "fsync",        selftest_fsync,        false },
    { "queue",        selftest_queue,        false },
    { "files",        selftest_files,        false },
    { "memory",       selftest_memory,       false },
    { "clock",        selftest_clock,        false },
    { "relay",        selftest_relay,        false },
    { "ports",        selftest_ports,        false },
    { "hostname",     selftest_hostname,     false },
    { "dns",          selftest_dns,          true },
    { "next hops",    selftest_hops,         true },
    { "mx",           selftest_mx,           true },
};
/* clang-format on */

/* ------------------------------------------------------------ printing --- */

static const struct {
    const char *word, *mark;
    enum paper_colour colour;
} looks[] = {
    [SELFTEST_OK] = { "ok", "ok", PAPER_GOOD },
    [SELFTEST_WARNING] = { "warning", "!", PAPER_DOUBTFUL },
    [SELFTEST_BAD] = { "bad", "BAD", PAPER_BAD },
};

static void print_json(const struct selftest *t, enum selftest_state state,
                       const char *text, const char *advice)
{
    json_t *o = json_pack("{s:s, s:s, s:s}", "check", t->name, "state",
                          looks[state].word, "text", text);

    if (*advice)
        (void)json_object_set_new(o, "advice", json_string(advice));
    paper_print_json(o);
    json_decref(o);
}

static void print_line(const struct selftest *t, enum selftest_state state,
                       const char *text, const char *advice)
{
    struct buffer b = { 0 };
    struct paper p = { &b, NULL, t->is_coloured };

    paper_begin(&p, looks[state].colour);
    buffer_printf(&b, "%-4s", looks[state].mark);
    paper_end(&p, looks[state].colour);
    buffer_printf(&b, "%-13s%s\n", t->name, text);
    if (*advice) {
        paper_begin(&p, PAPER_FAINT);
        buffer_printf(&b, "%17s-> %s", "", advice);
        paper_end(&p, PAPER_FAINT);
        buffer_put_byte(&b, '\n');
    }
    (void)fwrite(b.at, 1, b.len, stdout);
    buffer_fini(&b);
}

void selftest_say(struct selftest *t, enum selftest_state state,
                  const char *advice, const char *format, ...)
{
    struct buffer raw = { .cap = 4000 }, text = { 0 };
    va_list args;

    va_start(args, format);
    buffer_vprintf(&raw, format, args);
    va_end(args);
    buffer_put_escaped(&text, buffer_span(&raw));
    t->counts[state]++;
    (t->is_json ? print_json : print_line)(t, state, buffer_string(&text),
                                           advice);
    (void)fflush(stdout);
    buffer_fini(&raw);
    buffer_fini(&text);
}

/* ------------------------------------------------------------ settings --- */

static size_t say_lines(struct selftest *t, enum selftest_state state,
                        const struct buffer *lines)
{
    struct span rest = buffer_span(lines), line;
    size_t n = 0;

    while (rest.len) {
        line = span_split(rest, '\n', &rest);
        if (!line.len)
            continue;
        n++;
        selftest_say(t, state, "", "%.*s", SPAN_FMT(line));
    }
    return n;
}

/* As `waypost check`; what all other checks ask of stays in the selftest. */
static void selftest_settings(struct selftest *t)
{
    struct buffer faults = { 0 }, warnings = { 0 };
    struct sources *sources = sources_new(NULL, NULL);
    size_t n;

    t->settings = configuration_read(t->call, sources, &faults, &warnings);
    sources_free(sources);
    if (t->settings) {
        strongbox_check(t->settings, &faults, &warnings);
        herald_check(t->settings, &faults, &warnings);
    }
    n = say_lines(t, SELFTEST_BAD, &faults);
    t->is_misconfigured = n > 0;
    n += say_lines(t, SELFTEST_WARNING, &warnings);
    if (n == 0)
        selftest_say(t, SELFTEST_OK, "", "%s is good",
                     t->call->config ? t->call->config
                                     : "the built-in configuration");
    buffer_fini(&faults);
    buffer_fini(&warnings);
}

/* ------------------------------------------------------------- the call -- */

static int read_arguments(struct selftest *t)
{
    const struct verb_call *call = t->call;

    for (int i = 0; i < call->argc; i++) {
        if (strcmp(call->argv[i], "--no-network") == 0)
            t->has_network = false;
        else if (strcmp(call->argv[i], "--json") == 0)
            t->is_json = true;
        else if (!verbs_option(call, &i, "--mx", &t->mx))
            return verbs_usage(call, "selftest does not take \"%s\"",
                               call->argv[i]);
        else if (!t->mx)
            return verbs_usage(call, "--mx needs a domain");
    }
    if (t->mx && !t->has_network)
        return verbs_usage(call, "--mx and --no-network contradict each other");
    return EX_OK;
}

static void print_end(const struct selftest *t)
{
    unsigned bad = t->counts[SELFTEST_BAD],
             doubts = t->counts[SELFTEST_WARNING];

    if (t->is_json)
        return;
    if (bad + doubts == 0)
        (void)puts("\nAll is well.");
    else
        (void)printf("\n%u bad, %u warning%s.\n", bad, doubts,
                     doubts == 1 ? "" : "s");
}

static int run_selftest(const struct verb_call *call)
{
    struct selftest t = { .call = call, .has_network = true };
    int rc = read_arguments(&t);

    if (rc != EX_OK)
        return rc;
    t.is_coloured = paper_takes_colour();
    /* A resolver that is gone is not to hold us up for half a minute a name. */
    (void)setenv("RES_OPTIONS", "timeout:2 attempts:1", 0);
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        t.name = checks[i].name;
        if (!checks[i].needs_network || t.has_network)
            checks[i].run(&t);
        if (!t.settings)
            break;
        if (!t.ask) {
            t.ask = ask_new(t.settings->admin.socket);
            t.has_relay = ask_is_there(t.ask);
        }
    }
    print_end(&t);
    ask_free(t.ask);
    settings_release(t.settings);
    if (t.is_misconfigured)
        return EX_CONFIG;
    return t.counts[SELFTEST_BAD] ? EX_TEMPFAIL : EX_OK;
}

/* clang-format off */
static const struct verb_option options[] = {
    { "--no-network", NULL,     "asks neither DNS nor next hops", VALUE_WORD },
    { "--mx",         "DOMAIN", "goes to that domain's MX over port 25 as well", VALUE_WORD },
    { "--json",       NULL,     "one JSON object a line", VALUE_WORD },
    { NULL, NULL, NULL, VALUE_WORD },
};

const struct verb selftest_verb = {
    .name = "selftest", .group = GROUP_RUNNING, .run = run_selftest, .options = options,
    .arguments = "[--no-network] [--mx DOMAIN] [--json]",
    .help = "can a relay with this configuration do its work on this machine?",
    .more =
        "Settings and the files they name, certificates, disk and how long an fsync takes, the\n"
        "queue's database, open files, memory, clock, the relay that runs, its ports, hostname\n"
        "with its reverse name, DNS with DNSSEC, and every fixed next hop: where the relay runs,\n"
        "through TLS, certificate and login, as `waypost dest probe` does. It sends no mail.\n"
        "\n"
        "Exit codes: 0 well, perhaps with warnings; 64 a wrong call; 75 something is bad; 78 the\n"
        "configuration is.\n",
    .examples = {
        { "waypost selftest --no-network",
          "before it is started the first time" },
        { "waypost selftest --no-network --json",
          "the same, for a program that watches" },
    },
};
/* clang-format on */
