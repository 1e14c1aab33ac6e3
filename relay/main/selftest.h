/*
 * selftest - can a relay with this configuration do its work on this machine?
 *
 * Each check is a row of a table; it says one line or more: how it is, in a sentence, and what
 * to do where it is not well. Nothing is changed, no mail is sent.
 */
#ifndef WAYPOST_SELFTEST_H
#define WAYPOST_SELFTEST_H

#include "policy/settings.h"
#include "policy/vocabulary/buffer.h"
#include "relay/main/verbs.h"

struct ask;

enum selftest_state { SELFTEST_OK, SELFTEST_WARNING, SELFTEST_BAD };

struct selftest {
    const struct verb_call *call;
    struct settings *settings;
    struct ask *ask;  /* the relay */
    bool has_relay;   /* one answers on the socket */
    const char *mx;   /* a domain to reach over port 25; NULL: none was named */
    bool has_network; /* may be asked */
    bool is_json, is_coloured;
    const char *name; /* of the check that runs */
    unsigned counts[SELFTEST_BAD + 1];
    bool is_misconfigured;
};

typedef void selftest_fn(struct selftest *t);

/* One line. advice: what to do, empty when all is well. */
void selftest_say(struct selftest *t, enum selftest_state state,
                  const char *advice, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* selftest_machine.c: the disk and the system */
selftest_fn selftest_disk, selftest_fsync, selftest_clock, selftest_files,
    selftest_memory, selftest_queue;
/* selftest_identity.c: who we are for others */
selftest_fn selftest_hostname, selftest_certificates, selftest_dns,
    selftest_secrets;
/* selftest_logins.c: who knows passwords */
selftest_fn selftest_logins;
/* selftest_reach.c: who can be reached */
selftest_fn selftest_relay, selftest_ports, selftest_hops, selftest_mx;

#endif
