/*
 * webhooks - what a webhook section says: who is told over HTTPS what became of mail.
 *
 * Whoever is told must be able to know that it was us, so that there is no webhook without
 * a secret; it is in a file of its own and never here.
 */
#include "policy/config/webhooks.h"

#include "policy/config/accounts.h"
#include "policy/config/titles.h"
#include "policy/config/valuecheck.h"

const char *const settings_webhook_events[WEBHOOK_EVENTS + 1] = {
    [WEBHOOK_DELIVERED] = "delivered", [WEBHOOK_FAILED] = "failed",
    [WEBHOOK_EXPIRED] = "expired",     [WEBHOOK_DISCARDED] = "discarded",
    [WEBHOOK_DELETED] = "deleted",     [WEBHOOK_RETURNED] = "returned",
    [WEBHOOK_CHANGED] = "changed",     NULL,
};

/* What became of recipients; what operators did is for those who ask for it. */
#define OUTCOMES ((1u << WEBHOOK_CHANGED) - 1)

static void read_events(struct reading *r, const struct key *key,
                        const struct syntax_entry *e, void *object)
{
    unsigned *events = (void *)((char *)object + key->offset);
    const struct key one = { .name = key->name,
                             .kind = KEY_WORD,
                             .offset = 0,
                             .words = settings_webhook_events };

    for (size_t i = 0; i < e->value_count; i++) {
        unsigned which = WEBHOOK_EVENTS;

        keys_store(r, &one, &e->values[i], &which);
        if (which < WEBHOOK_EVENTS)
            *events |= 1u << which;
    }
}

#define IN(field) offsetof(struct webhook_settings, field)

/* clang-format off */
static const struct key webhook_keys[] = {
    { "url",         KEY_TEXT, IN(url), .check = accounts_check_url },
    { "secret-file", KEY_TEXT, IN(secret_file), .check = valuecheck_path },
    { "events",      KEY_OWN,  IN(events), .read = read_events },
    { "batch",       KEY_NUMBER, IN(batch), .normal = "100", .low = 1,
      .high = WEBHOOK_BATCH_MOST },
    { "authorities", KEY_TEXT, IN(authorities), .check = valuecheck_path },
};
/* clang-format on */

static const struct key_table table = KEY_TABLE("a webhook", webhook_keys);

static void read_webhook(struct reading *r, const struct syntax_entry *section,
                         struct webhook_settings *w)
{
    w->place = section->place;
    keys_set_defaults(r, &table, w);
    keys_read(r, &table, section->entries, w);
    if (!keys_find(section->entries, "events"))
        w->events = OUTCOMES;
    if (!keys_find(section->entries, "url"))
        faults_add(&r->faults, section->place,
                   "a webhook needs somebody to tell: url = \"https://HOST/\"");
    if (!keys_find(section->entries, "secret-file"))
        faults_add(&r->faults, section->place,
                   "a webhook signs what it says: secret-file = FILE");
}

void webhooks_read(struct reading *r, const struct syntax_entry *first,
                   size_t count)
{
    struct webhook_settings *list = arena_take(r->arena, count * sizeof *list);
    const struct syntax_entry *e = first;
    struct titles titles = { 0 };

    for (size_t i = 0; i < count; i++, e = e->next_of_kind) {
        list[i].title = titles_take(&titles, r, "webhook", e);
        read_webhook(r, e, &list[i]);
    }
    titles_fini(&titles);
    r->settings->webhooks = list;
    r->settings->webhook_count = count;
}
