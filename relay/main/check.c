/*
 * check - is this configuration good, and the files that it names?
 *
 * Every fault and warning of one run on standard error; exit 78 when there was
 * a fault. The files that hold secrets for next hops are looked at here and not
 * when the relay starts: a missing one only defers what needs it.
 */
#include "policy/table.h"
#include "relay/main/configuration.h"
#include "relay/main/strongbox.h"

#include <stdio.h>
#include <sysexits.h>

int check_verb(const struct verb_call *call)
{
    struct buffer faults = { 0 }, warnings = { 0 };
    struct sources *sources;
    struct settings *s;
    bool is_good;

    if (call->argc)
        return verbs_usage(call, "check takes no argument \"%s\"",
                           call->argv[0]);
    sources = sources_new(NULL);
    s = configuration_read(call, sources, &faults, &warnings);
    sources_free(sources);
    if (s)
        strongbox_check(s, &faults, &warnings);
    is_good = s && faults.len == 0;
    (void)fputs(buffer_string(&faults), stderr);
    (void)fputs(buffer_string(&warnings), stderr);
    for (size_t i = 0; s && i < s->table_count; i++)
        (void)printf("table %.*s: %zu entries\n",
                     SPAN_FMT(table_name(s->tables[i])),
                     table_size(s->tables[i]));
    if (is_good)
        (void)printf("%s: good: %zu listener%s, %zu rule%s, %zu route%s\n",
                     call->config ? call->config : "built-in configuration",
                     s->listener_count, s->listener_count == 1 ? "" : "s",
                     s->rule_count, s->rule_count == 1 ? "" : "s",
                     s->route_count, s->route_count == 1 ? "" : "s");
    buffer_fini(&faults);
    buffer_fini(&warnings);
    settings_release(s);
    return is_good ? EX_OK : EX_CONFIG;
}
