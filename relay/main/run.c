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

#include <stdio.h>
#include <sys/prctl.h>
#include <sysexits.h>

static int run_relay(const struct verb_call *call)
{
    struct buffer faults = { 0 }, warnings = { 0 };
    struct sources *sources;
    struct settings *s;

    if (call->argc > 0)
        return verbs_usage(call, "run takes no argument \"%s\"", call->argv[0]);
    (void)prctl(PR_SET_DUMPABLE, 0);
    sources = sources_new(NULL, NULL);
    s = configuration_read(call, sources, &faults, &warnings);
    (void)fputs(buffer_string(&faults), stderr);
    buffer_fini(&faults);
    if (!s) {
        sources_free(sources);
        buffer_fini(&warnings);
        return EX_CONFIG;
    }
    /* its file, when there is one, is opened by whom it belongs to */
    log_open(s->log.form, s->log.tag, s->log.syslog, (struct span){ 0 });
    return station_run(call, s, sources, &warnings);
}

/* clang-format off */
const struct verb run_verb = {
    .name = "run", .arguments = "", .run = run_relay,
    .help = "the relay, in the foreground",
    .more =
        "SIGTERM ends it, after deliveries that are past their final dot. SIGHUP reads the\n"
        "configuration again without dropping a session; certificates and users files are\n"
        "read again by themselves when they change. SIGUSR1 opens the log file again,\n"
        "SIGUSR2 logs what the relay is doing.\n"
        "Started by root, it opens ports, reads keys, and goes on as the account that the\n"
        "key user names. Then it gives up files, programs and system calls that it does not\n"
        "need (key sandbox). It leaves no core file, and only root can debug it.\n"
        "\n"
        "Exit codes: 0 after a signal; 75 the queue or a port cannot be had now, or the disk\n"
        "failed; 77 a file, folder or port is not for this user; 78 the configuration, or a\n"
        "file or folder that it names, is wrong.\n",
    .group = GROUP_RUNNING,
    .examples = {
        { "waypost run -c /etc/waypost/waypost.conf",
          "until Ctrl-C; the log is what it prints" },
        { "waypost run -c /etc/waypost/waypost.conf 2>>waypost.log",
          "the log in a file" },
    },
};
/* clang-format on */
