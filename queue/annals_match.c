/*
 * annals_match - does the filter mean this row?
 *
 * An address is found by what it was before, too: people know what they wrote.
 *
 * As in a list of the queue: globs without case, "<>" as `from` the null sender. A refusal
 * before MAIL had no sender at all, and an order of a person has none; neither is the null
 * sender. `reason` may be found in the reply or together with the enhanced status code.
 */
#include "queue/annals_private.h"

enum queue_what annals_what(enum annals_source s, int64_t kind,
                            struct span reply)
{
    if (s != SOURCE_REFUSAL)
        return (enum queue_what)(1U << (unsigned)(kind & 15));
    /* a rule that discards says yes to the client */
    return reply.len && reply.at[0] == '2' ? WHAT_DISCARDED : WHAT_REFUSED;
}

/* Millions of rows may be looked at. */
static void put_small(struct buffer *b, struct span text)
{
    char *at = buffer_room(b, text.len);

    for (size_t i = 0; i < text.len; i++)
        at[i] = ascii_lower(text.at[i]);
    buffer_grew(b, text.len);
}

static bool fits(struct annals_walk *w, const struct annals_pattern *p,
                 struct span text)
{
    if (!p->is_given)
        return true;
    if (p->is_exact)
        return span_is_nocase(buffer_span(&p->text), text);
    buffer_clear(&w->scratch);
    put_small(&w->scratch, text);
    return sqlite3_strglob(p->text.at, buffer_string(&w->scratch)) == 0;
}

/* The addresses that it had before; empty where there is none. */
static void read_former(enum annals_source s, sqlite3_stmt *st,
                        struct queue_ruling *out)
{
    *out = (struct queue_ruling){ 0 };
    if (s == SOURCE_EVENT)
        queue_ruling_read(column_span(st, COLUMN_RULING), out);
    else if (s == SOURCE_HISTORY)
        *out = (struct queue_ruling){
            .asked_to = column_span(st, COLUMN_ASKED_TO),
            .asked_from = column_span(st, COLUMN_ASKED_FROM),
            .orig_to = column_span(st, COLUMN_ORIG_TO),
        };
}

static bool fits_sender(struct annals_walk *w, enum annals_source s,
                        enum queue_what what, const struct queue_ruling *former,
                        sqlite3_stmt *st)
{
    struct span sender = column_span(st, COLUMN_SENDER);

    if (!w->from.is_given)
        return true;
    if (former->asked_from.len &&
        fits(w, &w->from,
             span_is(former->asked_from, SPAN("<>")) ? SPAN("")
                                                     : former->asked_from))
        return true;
    if (sender.len == 0 &&
        (what == WHAT_CHANGED ||
         (s == SOURCE_REFUSAL && column_span(st, COLUMN_RECIPIENT).len == 0 &&
          !span_is(column_span(st, COLUMN_STAGE), SPAN("MAIL")))))
        return false;
    return fits(w, &w->from, sender);
}

static bool fits_domain_of(struct annals_walk *w, struct span to)
{
    size_t at = span_find_last(to, '@');

    return at < to.len && fits(w, &w->domain, span_skip(to, at + 1));
}

static bool fits_recipient(struct annals_walk *w,
                           const struct queue_ruling *former, sqlite3_stmt *st)
{
    const struct span all[] = { column_span(st, COLUMN_RECIPIENT),
                                former->asked_to, former->orig_to };
    bool is_it = !w->to.is_given, is_there = !w->domain.is_given;

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (i && !all[i].len)
            continue;
        is_it = is_it || fits(w, &w->to, all[i]);
        is_there = is_there || fits_domain_of(w, all[i]);
    }
    return is_it && is_there;
}

static bool fits_reason(struct annals_walk *w, enum annals_source s,
                        sqlite3_stmt *st)
{
    struct span reply = column_span(st, COLUMN_REPLY);
    int64_t n = column_number(st, COLUMN_STATUS);

    if (!w->reason.is_given || fits(w, &w->reason, reply))
        return true;
    if (s == SOURCE_REFUSAL || n == 0)
        return false;
    buffer_clear(&w->scratch);
    status_print(&w->scratch, STATUS((unsigned char)(n / 1000000),
                                     (unsigned short)(n / 1000 % 1000),
                                     (unsigned short)(n % 1000)));
    buffer_put_byte(&w->scratch, ' ');
    put_small(&w->scratch, reply);
    if (w->reason.is_exact)
        return span_is(buffer_span(&w->reason.text), buffer_span(&w->scratch));
    return sqlite3_strglob(w->reason.text.at, buffer_string(&w->scratch)) == 0;
}

bool annals_match(struct annals_walk *w, enum annals_source s, sqlite3_stmt *st)
{
    const struct queue_filter *f = &w->filter;
    int64_t at_ms = column_number(st, COLUMN_AT);
    enum queue_what what = annals_what(s, column_number(st, COLUMN_KIND),
                                       column_span(st, COLUMN_REPLY));
    struct queue_ruling former;

    if (f->states && !(f->states & what))
        return false;
    if ((f->older_ms && at_ms >= f->older_ms) || at_ms <= f->newer_ms)
        return false;
    if (f->id && (uint64_t)column_number(st, COLUMN_MESSAGE) != f->id)
        return false;
    if (f->attempts && column_number(st, COLUMN_ATTEMPTS) < f->attempts)
        return false;
    read_former(s, st, &former);
    return fits_recipient(w, &former, st) &&
           fits_sender(w, s, what, &former, st) &&
           fits(w, &w->login, column_span(st, COLUMN_LOGIN)) &&
           (fits(w, &w->client, column_span(st, COLUMN_CLIENT)) ||
            fits(w, &w->client, column_span(st, COLUMN_CLIENT_NAME))) &&
           fits_reason(w, s, st);
}
