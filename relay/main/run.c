/*
 * run - `waypost run`: the relay, in the foreground.
 */
#include "relay/main/configuration.h"
#include "relay/main/station.h"
#include "relay/net/log.h"

#include <sysexits.h>

int run_verb(const struct verb_call *call)
{
    struct settings *s;

    if (call->argc > 0)
        return verbs_usage(call, "run takes no arguments");
    s = configuration_load(call);
    if (!s)
        return EX_CONFIG;
    log_open(s->log.form, s->log.tag, s->log.syslog);
    return station_run(call, s);
}
