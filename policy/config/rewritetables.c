/*
 * rewritetables - do the tables of rules that rewrite say what becomes of an
 * address?
 *
 * Every line is followed as rewriting.c would follow it. How far an address of
 * its own leads is remembered, so each is followed once; domains stand for many
 * addresses and are followed each time, which the steps bound.
 */
#include "policy/config/rewritetables.h"

#include "policy/rewriting.h"
#include "policy/table.h"

#include <uthash.h>

enum { FAULTS_MOST = 20, STEPS_MOST = 1000000 };

struct known {
    UT_hash_handle hh;
    unsigned height; /* steps from here on */
};

struct walk {
    struct reading *r;
    const struct table *table;
    struct arena arena;
    struct known *known; /* by address */
    struct span path[REWRITE_DEPTH + 1];
    unsigned depth, faults;
    size_t steps;
    struct place place; /* of the line we began with */
};

static void say(struct walk *k, const char *what, struct span about)
{
    if (k->faults++ < FAULTS_MOST)
        faults_add(&k->r->faults, k->place, "%s %s",
                   faults_quote(&k->r->faults, about), what);
}

/* --- values ----------------------------------------------------------------
 */

static bool is_target(struct span value)
{
    struct buffer b = { 0 };
    struct address ignored;
    bool ok;

    if (value.len && value.at[0] == '@')
        buffer_put_byte(&b, 'x');
    buffer_put(&b, value);
    ok = address_parse(buffer_span(&b), &ignored) == ADDRESS_OK &&
         ignored.domain.len;
    buffer_fini(&b);
    return ok;
}

static void check_value(struct walk *k, const struct table_line *line,
                        bool of_sender)
{
    struct span rest = line->value;

    if (rest.len == 0) {
        say(k, "becomes nothing: behind it stands what it becomes", line->key);
        return;
    }
    if (of_sender && span_find(rest, ',') < rest.len)
        say(k, "becomes several, and a message has one sender", line->key);
    while (rest.at) {
        struct span one = span_trim(span_split(rest, ',', &rest));

        if (!is_target(one))
            say(k, "is not an address, or @domain, that an address can become",
                one);
    }
}

/* --- where they lead -------------------------------------------------------
 */

static unsigned follow(struct walk *k, struct span text);

/* NOLINTNEXTLINE(readability-function-size): uthash's macros */
static struct known *known_of(struct walk *k, struct span mailbox)
{
    struct known *known;

    HASH_FIND(hh, k->known, mailbox.at, mailbox.len, known);
    return known;
}

/* NOLINTNEXTLINE(readability-function-size): uthash's macros */
static void know(struct walk *k, struct span mailbox, unsigned height)
{
    struct known *known = arena_take(&k->arena, sizeof *known);
    struct span kept = arena_copy(&k->arena, mailbox);

    known->height = height;
    HASH_ADD_KEYPTR(hh, k->known, kept.at, kept.len, known);
}

static bool is_in_path(const struct walk *k, struct span text)
{
    for (unsigned i = 0; i + 1 < k->depth; i++)
        if (span_is_nocase(k->path[i], text))
            return true;
    return false;
}

/* The longest way on from what the values are for this address. */
static unsigned follow_values(struct walk *k, const struct address *a,
                              struct span values)
{
    unsigned most = 0;

    while (values.at) {
        struct span one = span_trim(span_split(values, ',', &values));
        struct buffer b = { 0 };
        unsigned height = 0;

        if (one.len && one.at[0] == '@')
            buffer_put(&b, a->local);
        buffer_put(&b, one);
        if (is_in_path(k, buffer_span(&b)))
            say(k, "leads back to where it began", buffer_span(&b));
        else if (!span_is_nocase(buffer_span(&b), a->text))
            height = follow(k, arena_copy(&k->arena, buffer_span(&b)));
        most = height > most ? height : most;
        buffer_fini(&b);
    }
    return most;
}

/* Steps that this address leads on; 0: it stays. */
static unsigned follow(struct walk *k, struct span text)
{
    struct address a;
    struct subject s;
    struct span values = SPAN("");
    struct known *known;
    unsigned height;

    if (address_parse(text, &a) != ADDRESS_OK || k->steps++ > STEPS_MOST)
        return 0;
    subject_of_address(&s, &a);
    if (table_has_subject(k->table, &s, &values) != ANSWER_YES)
        return 0;
    if ((known = known_of(k, s.mailbox)) != NULL)
        return known->height;
    if (k->depth > REWRITE_DEPTH)
        return 1;
    k->path[k->depth++] = text;
    height = 1 + follow_values(k, &a, values);
    k->depth--;
    if (table_has_pattern(k->table, PATTERN_ADDRESS, s.mailbox_hash, s.mailbox))
        know(k, s.mailbox, height);
    return height;
}

static void check_line(struct walk *k, const struct table_line *line)
{
    struct buffer b = { 0 };

    /* of a domain, some address in it; an expression is not guessed at */
    if (line->kind == PATTERN_BELOW)
        buffer_put_string(&b, "x@x.");
    else if (line->kind == PATTERN_DOMAIN)
        buffer_put_string(&b, "x@");
    else if (line->kind != PATTERN_ADDRESS)
        return;
    buffer_put(&b, line->key);
    if (follow(k, arena_copy(&k->arena, buffer_span(&b))) == REWRITE_DEPTH + 1)
        say(k, "leads on for too many steps", line->key);
    buffer_fini(&b);
}

static void check_table(struct reading *r, const struct table *t,
                        bool of_sender)
{
    struct walk k = { .r = r, .table = t };
    struct table_line line;

    k.place = (struct place){ .file = arena_string(r->arena, table_name(t)),
                              .column = 1 };
    for (size_t at = 0; table_next(t, &at, &line);) {
        k.place.line = line.number;
        check_value(&k, &line, of_sender);
        check_line(&k, &line);
    }
    HASH_CLEAR(hh, k.known);
    arena_reset(&k.arena);
}

/* Did a rule above, or a member before, have it checked? */
static bool was_checked(const struct settings *s, size_t rule,
                        const struct table *t, size_t before)
{
    for (size_t i = 0; i <= rule; i++) {
        const struct rewriting *w = s->rules[i].rewriting;
        const struct table *other;

        for (size_t at = 0; w && (other = rewriting_next_table(w, &at));) {
            if (i == rule && at >= before)
                break;
            if (other == t)
                return true;
        }
    }
    return false;
}

void rewritetables_check(struct reading *r)
{
    const struct settings *s = r->settings;

    for (size_t i = 0; i < s->rule_count; i++) {
        const struct rewriting *w = s->rules[i].rewriting;
        const struct table *t;

        for (size_t at = 0; w && (t = rewriting_next_table(w, &at));)
            if (!was_checked(s, i, t, at))
                check_table(r, t, rewriting_is_of_sender(w));
    }
}
