/*
 * credentials - what the relay shows and what it checks: certificates, users, tokens.
 *
 * One for the process, on the main loop's thread; workers are given their share. Files that
 * change are read again without a reload of the rest; broken ones leave the old in use,
 * and that is said once.
 */
#ifndef WAYPOST_CREDENTIALS_H
#define WAYPOST_CREDENTIALS_H

#include "policy/settings.h"
#include "relay/net/worker.h"

struct credentials {
    struct tls_material *tls;
    struct sasl_desk *sasl;
    struct tokens *tokens;
    struct buffer said; /* the fault that was told last */
    int64_t warned_ms;  /* when what runs out was told last */
};

/* ERROR_CONFIG: faults, one a line, in out_why; or the machine does not give what it
 * needs. */
MUST int credentials_open(struct credentials *c, const struct settings *s,
                          struct buffer *out_why);
/* Before the worker's thread starts. */
void credentials_give(const struct credentials *c, struct worker *w);
/* Another configuration, before it is used; on failure the old one stays. */
MUST int credentials_reload(struct credentials *c, const struct settings *s,
                            struct buffer *out_why);
/* Now and then: reads changed certificates again, warns of those that end. True: there
 * is new material. */
bool credentials_look(struct credentials *c, const struct settings *s);
/* When the workers have been joined, before worker_fini. */
void credentials_close(struct credentials *c);

/* For `waypost check`. */
void credentials_check(const struct settings *s, struct buffer *out_faults,
                       struct buffer *out_warnings);

#endif
