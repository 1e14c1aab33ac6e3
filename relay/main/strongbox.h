/*
 * strongbox - what the relay shows and what it checks: certificates, users, tokens.
 *
 * One for the process, on the main loop's thread; workers are given their share. Files that
 * change are read again without a reload of the rest; broken ones leave the old in use,
 * and that is said once.
 */
#ifndef WAYPOST_STRONGBOX_H
#define WAYPOST_STRONGBOX_H

#include "policy/settings.h"
#include "relay/net/worker.h"

struct strongbox {
    struct tls_material *tls;
    struct sasl_desk *sasl;
    struct tokens *tokens;
    struct srskeys *srs;
    struct buffer said; /* the fault that was told last */
    int64_t warned_ms;  /* when what runs out was told last */
};

/* Certificates and keys, while they can be read. ERROR_CONFIG: faults, one a line, in
 * out_why. */
MUST int strongbox_read(struct strongbox *c, const struct settings *s,
                        struct buffer *out_why);
/* Then the rest; makes threads. ERROR_CONFIG: as before; or the machine does not give what
 * it needs. */
MUST int strongbox_open(struct strongbox *c, const struct settings *s,
                          struct buffer *out_why);
/* Before the worker's thread starts. */
void strongbox_give(const struct strongbox *c, struct worker *w);
/* Another configuration, before it is used; on failure the old one stays. */
MUST int strongbox_reload(struct strongbox *c, const struct settings *s,
                            struct buffer *out_why);
/* Now and then: reads changed certificates again, warns of those that end. True: there
 * is new material. */
bool strongbox_look(struct strongbox *c, const struct settings *s);
/* When the workers have been joined, before worker_fini. */
void strongbox_close(struct strongbox *c);

/* For `waypost check`. */
void strongbox_check(const struct settings *s, struct buffer *out_faults,
                       struct buffer *out_warnings);

#endif
