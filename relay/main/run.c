/*
 * run - `waypost run`: the relay, in the foreground.
 *
 * The first thing it does is to become a process that leaves no core behind and that
 * nobody but root may look into (PR_SET_DUMPABLE): passwords, keys and tokens are in its
 * memory, and a file of a crash is read, copied and sent around by people who should not
 * have them. What it starts (a token-command) is not concerned.
 */
#include "relay/main/configuration.h"
#include "relay/main/station.h"
#include "relay/net/log.h"

#include <sys/prctl.h>
#include <sysexits.h>

int run_verb(const struct verb_call *call)
{
    struct sources *sources;
    struct settings *s;

    if (call->argc > 0)
        return verbs_usage(call, "run takes no arguments");
    (void)prctl(PR_SET_DUMPABLE, 0);
    sources = sources_new(NULL);
    s = configuration_load_from(call, sources);
    if (!s) {
        sources_free(sources);
        return EX_CONFIG;
    }
    log_open(s->log.form, s->log.tag, s->log.syslog);
    return station_run(call, s, sources);
}
