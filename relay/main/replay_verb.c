/*
 * replay_verb - waypost replay --config NEW [--since DURATION] [--limit N] [--json]
 *
 * Reads what was decided from the files beside the running configuration's queue, while a
 * relay runs or not, and says what NEW would have decided otherwise. Nothing is written.
 */
#include "policy/vocabulary/memory.h"
#include "relay/admin/filter.h"
#include "relay/main/configuration.h"
#include "relay/main/findings.h"
#include "relay/net/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { EXAMPLES_USUAL = 3, EXAMPLES_MOST = 1000 };

struct wish {
    const char *candidate, *since;
    int64_t since_ms; /* a moment */
    unsigned examples;
    bool json;
};

struct replay {
    struct retrial *retrial;
    struct findings *findings;
};

static bool each(void *user, const struct queue_past *p)
{
    struct replay *r = user;
    struct finding one = retrial_judge(r->retrial, p);

    findings_add(r->findings, &one, p);
    return true;
}

static int run(const struct wish *w, const struct settings *running,
               const struct settings *candidate)
{
    struct replay r = { retrial_new(running, candidate),
                        findings_new(w->examples) };
    char *path = span_dup(running->queue.path);
    struct buffer why = { 0 };
    bool is_there = access(path, F_OK) == 0;
    bool is_shut = access(path, R_OK) < 0 && errno == EACCES;
    int rc, code = EX_OK;

    if (is_shut) {
        (void)fprintf(stderr,
                      "waypost: you may not read %s; be root, or the user "
                      "that the relay runs as\n",
                      path);
        code = EX_NOPERM;
    } else if ((rc = queue_past(path, w->since_ms, each, &r, &why)) < 0) {
        (void)fprintf(stderr, "waypost: %s\n", buffer_string(&why));
        code = is_there ? EX_TEMPFAIL : EX_NOINPUT;
    } else if (w->json) {
        findings_print_json(r.findings);
    } else {
        (void)printf("What %s would have decided of the last %s:\n\n",
                     w->candidate, w->since);
        findings_print(r.findings);
    }
    if (fflush(stdout) != 0 || ferror(stdout))
        code = code ? code : EX_IOERR;
    retrial_free(r.retrial);
    findings_free(r.findings);
    buffer_fini(&why);
    free(path);
    return code;
}

static bool read_option(struct wish *w, const char *name, const char *value)
{
    int64_t ms;
    uint64_t n;

    if (strcmp(name, "--config") == 0) {
        w->candidate = value;
        return *value != '\0';
    }
    if (strcmp(name, "--since") == 0) {
        if (!filter_duration(span_of(value), &ms))
            return false;
        w->since = value;
        w->since_ms = wall_ms() > ms ? wall_ms() - ms : 0;
        return true;
    }
    if (!span_number(span_of(value), &n) || n > EXAMPLES_MOST)
        return false;
    w->examples = (unsigned)n;
    return true;
}

/* NULL: it is none. */
static const char *find_option(const struct verb_call *call, int *i,
                               const char **out_value)
{
    static const char *const names[] = { "--config", "--since", "--limit" };

    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        if (verbs_option(call, i, names[k], out_value))
            return names[k];
    return NULL;
}

/* EX_OK: the wish is clear. */
static int read_wish(const struct verb_call *call, struct wish *w)
{
    ASSERT(read_option(w, "--since", "7d"));
    for (int i = 0; i < call->argc; i++) {
        const char *word = call->argv[i], *value, *name;

        if (strcmp(word, "--json") == 0) {
            w->json = true;
            continue;
        }
        name = find_option(call, &i, &value);
        if (!name)
            return verbs_usage(call, "replay does not know \"%s\"", word);
        if (!value)
            return verbs_usage(call, "%s needs a value", name);
        if (!read_option(w, name, value))
            return verbs_usage(call, "%s cannot be \"%s\"", name, value);
    }
    if (!w->candidate)
        return verbs_usage(call, "replay needs --config NEW, the "
                                 "configuration to try");
    return EX_OK;
}

static int replay(const struct verb_call *call)
{
    struct wish w = { .examples = EXAMPLES_USUAL };
    struct verb_call other = *call;
    struct settings *running = NULL, *candidate = NULL;
    int code = read_wish(call, &w);

    if (code != EX_OK)
        return code;
    other.config = w.candidate;
    running = configuration_load(call);
    candidate = running ? configuration_load(&other) : NULL;
    code = candidate ? run(&w, running, candidate) : EX_CONFIG;
    settings_release(running);
    settings_release(candidate);
    return code;
}

/* clang-format off */
static const struct verb_option options[] = {
    { "--config", "NEW",      "the other configuration", VALUE_FILE },
    { "--since",  "DURATION", "so far back; 7d when not given, at most what the history keeps", VALUE_WORD },
    { "--limit",  "N",        "so many examples of each change; 3 when not given", VALUE_WORD },
    { "--json",   NULL,       "one object", VALUE_WORD },
    { NULL, NULL, NULL, VALUE_WORD },
};

const struct verb replay_verb = {
    .name = "replay", .run = replay, .options = options,
    .arguments = "--config NEW [--since DURATION] [--limit N] [--json]",
    .help = "what would another configuration have decided of past mail?",
    .more =
        "Judges the recipients of the past once more, by the rules and routes of NEW, and\n"
        "groups what would be otherwise by rule. Nothing is changed, and the relay may run.\n"
        "What only the DNS, greylists, limits, policy servers or the message itself could tell\n"
        "is not asked again. A rule that stands word for word in -c FILE, too, is taken to have\n"
        "decided as it did then; mail that others decide is counted as what cannot be told.\n"
        "\n"
        "Exit codes: 0 done, whatever was found; 66 there is no queue yet; 75 the history cannot\n"
        "be read now; 77 not by you; 78 one of the configurations is wrong.\n",
    .group = GROUP_RUNNING,
    .examples = {
        { "waypost replay --config new.conf",
          "what would be otherwise, of the last week" },
        { "waypost replay --config new.conf --since 30d --limit 10",
          "of the last month, with more examples" },
    },
};
/* clang-format on */
