/*
 * crew - the workers of the station.
 *
 * Made, given new settings and sent home by the main loop's thread; what they do meanwhile
 * is theirs.
 */
#ifndef WAYPOST_CREW_H
#define WAYPOST_CREW_H

#include "relay/main/strongbox.h"
#include "relay/net/census.h"
#include "relay/net/worker.h"

enum { CREW_MOST = 64 };

struct crew {
    struct worker *workers[CREW_MOST];
    unsigned count;
    struct scorecard *scores; /* which rules decide */
    struct stslease *leases;
    struct acquaintance *acquaintances;
    atomic_uint ended; /* workers whose mail is all put away */
    uv_async_t *wake;  /* sent when one has ended */
    int64_t drain_ms;
};

/* As many as the settings want, running. On failure those that run must be sent home. */
MUST int crew_open(struct crew *c, struct queue *q, struct settings *s,
                   const struct strongbox *box, struct census *census,
                   struct buffer *out_why);
/* New certificates of the same settings: sessions keep what they have shown. */
void crew_renew(struct crew *c, struct settings *s, struct tls_material *tls);
/* The same configuration with other tables, for sessions that are open as well. */
void crew_refresh(struct crew *c, struct settings *s, struct tls_material *tls);
/* Another configuration and what was made of it. */
void crew_reload(struct crew *c, struct settings *s, struct tls_material *tls);
/* The files of users have changed. */
void crew_review(struct crew *c);
/* No new work; couriers past their final dot get drain_ms. wake is sent as workers end. */
void crew_shut_down(struct crew *c, int64_t drain_ms, uv_async_t *wake);
bool crew_has_ended(const struct crew *c);
void crew_join(struct crew *c);
void crew_fini(struct crew *c);

#endif
