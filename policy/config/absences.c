/*
 * absences - what a route says of a host that is often away: offline { }.
 *
 *   window = "HH:MM-HH:MM", of the local day; 24:00 is its end, and one that ends
 *            before it begins is over midnight
 */
#include "policy/config/absences.h"

#include "policy/config/hops.h"
#include "policy/config/lists.h"
#include "policy/config/sections.h"
#include "policy/config/value.h"

/* For a pickup: how long mail waits; no delay is worth a notice. */
#define PICKUP_EXPIRE_MS (30ll * 24 * 3600 * 1000)

/* --- windows ---------------------------------------------------------------
 */

static void read_windows(struct reading *r, const struct key *key,
                         const struct syntax_entry *e, void *object)
{
    struct offline_settings *o = object;

    (void)key;
    o->windows = arena_take(r->arena, e->value_count * sizeof *o->windows);
    for (size_t i = 0; i < e->value_count; i++) {
        struct window *w = &o->windows[o->window_count];

        if (value_day_span(e->values[i].text, &w->from, &w->to))
            o->window_count++;
        else
            faults_add(&r->faults, e->values[i].place,
                       "%s is not a window of the day such as 22:00-06:00",
                       faults_quote(&r->faults, e->values[i].text));
    }
}

/* --- who, and where to ------------------------------------------------------
 */

static void read_logins(struct reading *r, const struct key *key,
                        const struct syntax_entry *e, void *object)
{
    (void)key;
    lists_read_logins(r, e, &((struct offline_settings *)object)->logins);
}

static void read_certificates(struct reading *r, const struct key *key,
                              const struct syntax_entry *e, void *object)
{
    struct offline_settings *o = object;

    (void)key;
    lists_read_certificates(r, e, &o->fingerprints, &o->certificates);
}

static void read_deliver_to(struct reading *r, const struct key *key,
                            const struct syntax_entry *e, void *object)
{
    const struct syntax_text *t = keys_only_text(r, e);
    struct hop hop;

    (void)key;
    if (!t || !hops_read_one(r, t, &hop))
        return;
    if (hop.kind == HOP_MX || hop.kind == HOP_PICKUP) {
        faults_add(&r->faults, t->place,
                   "mail is released to a host of its own, and %s is none",
                   faults_quote(&r->faults, t->text));
        return;
    }
    ((struct offline_settings *)object)->deliver_to =
        arena_take(r->arena, sizeof hop);
    *((struct offline_settings *)object)->deliver_to = hop;
}

/* --- the section -----------------------------------------------------------
 */

#define IN(field) offsetof(struct offline_settings, field)

/* clang-format off */
static const struct key offline_keys[] = {
    { "login",       KEY_OWN,      .read = read_logins },
    { "client",      KEY_OWN,      IN(clients), .read = lists_networks },
    { "certificate", KEY_OWN,      .read = read_certificates },
    { "deliver-to",  KEY_OWN,      .read = read_deliver_to },
    { "probe",       KEY_DURATION, IN(probe_ms), .normal = "0",
      .high = DURATION_MOST },
    { "window",      KEY_OWN,      .read = read_windows },
};
/* clang-format on */

static const struct key_table table = KEY_TABLE("offline", offline_keys);

enum { PROBE_LEAST_MS = 10 * 1000 };

void absences_read(struct reading *r, const struct syntax_entry *offline,
                   struct route *route)
{
    struct offline_settings *o = &route->offline;

    o->is_set = true;
    keys_set_defaults(r, &table, o);
    keys_read(r, &table, offline->entries, o);
    if (o->probe_ms && o->probe_ms < PROBE_LEAST_MS)
        faults_add(&r->faults, keys_place(offline, "probe"),
                   "a host is probed every %ds at most, or not at all (0)",
                   PROBE_LEAST_MS / 1000);
    if (!offline->entries)
        faults_add(&r->faults, offline->place,
                   "nobody is named in it and nothing set: login, client, "
                   "certificate, deliver-to, probe or window");
}

void absences_set_defaults(struct route *route,
                           const struct syntax_entry *section)
{
    struct retry_settings *retry = &route->retry;

    if (route->via[0].kind != HOP_PICKUP)
        return;
    if (!keys_find(section->entries, "expire") &&
        retry->expire_ms < PICKUP_EXPIRE_MS)
        retry->expire_ms = PICKUP_EXPIRE_MS;
    /* a report is worth as much as what it is about */
    if (!keys_find(section->entries, "expire-reports"))
        retry->expire_report_ms = retry->expire_ms;
    if (!keys_find(section->entries, "warn"))
        retry->warn_ms = 0;
}

void absences_check(struct reading *r, const struct route *route,
                    const struct syntax_entry *offline)
{
    static const char *const trying[] = { "probe", "window" };
    bool is_pickup = route->via[0].kind == HOP_PICKUP;

    if (!offline)
        return;
    if (!is_pickup && route->offline.deliver_to)
        faults_add(&r->faults, keys_place(offline, "deliver-to"),
                   "mail is delivered to what via says; deliver-to goes with "
                   "via = {\"pickup:NAME\"}");
    if (!is_pickup || route->offline.deliver_to)
        return;
    for (size_t i = 0; i < sizeof trying / sizeof trying[0]; i++)
        if (keys_find(offline->entries, trying[i]))
            faults_add(&r->faults, keys_place(offline, trying[i]),
                       "%s says when a host is tried, and without deliver-to "
                       "this pickup has none",
                       trying[i]);
}
