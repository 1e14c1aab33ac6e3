/*
 * listeners - where clients may connect.
 */
#include "policy/config/listeners.h"

#include "policy/config/titles.h"
#include "policy/config/value.h"

static const char *const line_ends[] = { "strict", "normalize", NULL };
static const char *const none[] = { "none", NULL };

/* A listener while its keys are read. */
struct draft {
    struct listener_settings *listener;
    unsigned line_ends;
};

static void read_address(struct reading *r, const struct key *key,
                         const struct syntax_entry *e, void *object)
{
    struct listener_settings *l = ((struct draft *)object)->listener;
    const struct syntax_text *t = keys_only_text(r, e);

    (void)key;
    if (!t)
        return;
    if (!value_endpoint(t->text, &l->host, &l->port)) {
        faults_add(&r->faults, t->place,
                   "%s is not an address with a port, such as 127.0.0.1:2525, "
                   "0.0.0.0:25 or [::]:25",
                   faults_quote(&r->faults, t->text));
        return;
    }
    l->address = arena_copy(r->arena, t->text);
}

/* clang-format off */
static const struct key listener_keys[] = {
    { "address",   KEY_OWN,  .read = read_address },
    { "line-ends", KEY_WORD, offsetof(struct draft, line_ends),
      .words = line_ends },
    { "tls",       KEY_WORD, KEY_NOWHERE, .words = none },
    { "auth",      KEY_WORD, KEY_NOWHERE, .words = none },
};
/* clang-format on */

static const struct key_table table = KEY_TABLE("a listener", listener_keys);

static void check_taken(struct reading *r, const struct listener_settings *all,
                        size_t count, struct place place)
{
    const struct listener_settings *l = &all[count];

    for (size_t i = 0; i < count; i++) {
        if (all[i].port == l->port && all[i].port &&
            host_address_is(&all[i].host, &l->host)) {
            faults_add(&r->faults, place,
                       "the listener at %s has this address already",
                       faults_place(&r->faults, all[i].place));
            return;
        }
    }
}

void listeners_read(struct reading *r, const struct syntax_entry *first,
                    size_t count)
{
    struct listener_settings *list = arena_take(r->arena, count * sizeof *list);
    const struct syntax_entry *e = first;
    struct titles titles = { 0 };

    for (size_t i = 0; i < count; i++, e = e->next_of_kind) {
        struct draft draft = { .listener = &list[i] };

        list[i].place = e->place;
        keys_read(r, &table, e->entries, &draft);
        list[i].normalize = draft.line_ends == 1;
        /* one without a title is called by its address */
        list[i].title = e->title.text.len
                            ? titles_take(&titles, r, "listener", e)
                            : list[i].address;
        if (!keys_find(e->entries, "address"))
            faults_add(&r->faults, e->place, "a listener needs an address");
        check_taken(r, list, i, keys_place(e, "address"));
    }
    titles_fini(&titles);
    r->settings->listeners = list;
    r->settings->listener_count = count;
}
