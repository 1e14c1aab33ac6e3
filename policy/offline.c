/*
 * offline - hosts that are often away: who may have their mail, and when?
 *
 * Windows are looked at by their edges: what holds now holds until the next edge
 * at which it does not, however they overlap.
 *
 * Owns nothing.
 */
#include "policy/offline.h"

enum { DAY = 24 * 60 };

static bool is_within(const struct window *w, unsigned minute)
{
    if (w->from <= w->to)
        return minute >= w->from && minute < w->to;
    return minute >= w->from || minute < w->to;
}

static bool is_open(const struct offline_settings *o, unsigned minute)
{
    for (size_t i = 0; i < o->window_count; i++)
        if (is_within(&o->windows[i], minute))
            return true;
    return false;
}

bool offline_is_open(const struct offline_settings *o, unsigned minute,
                     unsigned *out_minutes)
{
    unsigned now = minute % DAY, next = DAY;
    bool open = is_open(o, now);

    for (size_t i = 0; i < 2 * o->window_count; i++) {
        const struct window *w = &o->windows[i / 2];
        unsigned edge = (i % 2 ? w->to : w->from) % DAY;
        unsigned distance = (edge + DAY - now) % DAY;

        if (distance && distance < next && is_open(o, edge) != open)
            next = distance;
    }
    *out_minutes = next % DAY;
    return open;
}

bool offline_may(const struct offline_settings *o, const struct facts *facts)
{
    /* fingerprints apart: a name in a certificate may look like one */
    return networks_have(&o->clients, &facts->client) ||
           names_have(&o->logins, facts->login) ||
           names_have(&o->fingerprints, facts->certificate) ||
           names_have(&o->certificates, facts->certificate_name);
}

bool offline_is_same(const struct offline_settings *a,
                     const struct offline_settings *b)
{
    if (a->is_set != b->is_set || a->probe_ms != b->probe_ms ||
        a->window_count != b->window_count)
        return false;
    for (size_t i = 0; i < a->window_count; i++)
        if (a->windows[i].from != b->windows[i].from ||
            a->windows[i].to != b->windows[i].to)
            return false;
    return networks_are_same(&a->clients, &b->clients) &&
           names_are_same(&a->logins, &b->logins) &&
           names_are_same(&a->fingerprints, &b->fingerprints) &&
           names_are_same(&a->certificates, &b->certificates);
}
