/*
 * verify - whether a route's recipients are known there: its keys verify...
 *
 * A callout needs somebody who can be called: a maildir cannot, and a pickup
 * only where mail is delivered to it.
 */
#include "policy/config/verify.h"

#include "policy/config/tables.h"

const char *const verify_unknown_words[] = {
    [VERIFY_UNKNOWN_DEFERS] = "defer",
    [VERIFY_UNKNOWN_ACCEPTS] = "accept",
    NULL,
};

void verify_read(struct reading *r, const struct syntax_entry *e,
                 struct route *route)
{
    const struct syntax_text *t = keys_only_text(r, e);

    if (!t)
        return;
    if (tables_is_named(t->text)) {
        route->verify.how = VERIFY_TABLE;
        route->verify.table = tables_take(r, t);
    } else if (span_is(t->text, SPAN("callout"))) {
        route->verify.how = VERIFY_CALLOUT;
    } else {
        faults_add(&r->faults, t->place,
                   "%s is not a way to find out who is known there: callout, "
                   "or \"table:FILE\"",
                   faults_quote(&r->faults, t->text));
    }
    r->settings->verifies |= route->verify.how != VERIFY_NOT;
}

static const struct hop *find_deaf(const struct route *route)
{
    for (size_t i = 0; i < route->via_count; i++) {
        const struct hop *h = &route->via[i];

        if (h->kind == HOP_MAILDIR ||
            (h->kind == HOP_PICKUP && !route->offline.deliver_to))
            return h;
    }
    return NULL;
}

void verify_check(struct reading *r, const struct route *route,
                  const struct syntax_entry *section)
{
    static const char *const details[] = { "verify-known", "verify-refused",
                                           "verify-unknown" };
    const struct hop *deaf = find_deaf(route);

    if (route->verify.how == VERIFY_CALLOUT && deaf)
        faults_add(&r->faults, keys_place(section, "verify"),
                   "%s cannot be asked who is known there%s",
                   faults_quote(&r->faults, deaf->text),
                   deaf->kind == HOP_PICKUP
                       ? ", for offline { } has no deliver-to"
                       : "");
    for (size_t i = 0; i < sizeof details / sizeof details[0]; i++)
        if (route->verify.how != VERIFY_CALLOUT &&
            keys_find(section->entries, details[i]))
            faults_add(&r->faults, keys_place(section, details[i]),
                       "%s goes with verify = callout", details[i]);
}
