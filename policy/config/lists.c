/*
 * lists - values that are sets: networks, ways to log in.
 *
 * Owns nothing.
 */
#include "policy/config/lists.h"

void lists_read_networks(struct reading *r, const struct syntax_entry *e,
                         struct networks *out)
{
    struct network *all = arena_take(r->arena, e->value_count * sizeof *all);
    size_t count = 0;

    for (size_t i = 0; i < e->value_count; i++) {
        if (network_parse(e->values[i].text, &all[count]))
            count++;
        else
            faults_add(&r->faults, e->values[i].place,
                       "%s is not a network such as 10.0.0.0/8, 192.0.2.1 or "
                       "2001:db8::/32 (no bits set below its length)",
                       faults_quote(&r->faults, e->values[i].text));
    }
    networks_init(out, r->arena, all, count);
}

void lists_networks(struct reading *r, const struct key *key,
                    const struct syntax_entry *e, void *object)
{
    lists_read_networks(r, e,
                        (struct networks *)((char *)object + key->offset));
}

static void unknown_mechanism(struct reading *r, const struct syntax_text *t)
{
    struct buffer known = { 0 };

    mechanisms_print(&known, MECHANISM_ALL);
    faults_add(&r->faults, t->place,
               "%s is not a way to log in that this version knows, which are: "
               "%s",
               faults_quote(&r->faults, t->text), buffer_string(&known));
    buffer_fini(&known);
}

void lists_mechanisms(struct reading *r, const struct key *key,
                      const struct syntax_entry *e, void *object)
{
    unsigned set = 0;

    for (size_t i = 0; i < e->value_count; i++) {
        unsigned one = mechanism_find(e->values[i].text);

        if (one)
            set |= one;
        else
            unknown_mechanism(r, &e->values[i]);
    }
    *(unsigned *)((char *)object + key->offset) = set;
}
