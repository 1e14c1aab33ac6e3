/*
 * store_deed - whose order keeps a recipient held, or deleted.
 *
 * A small text beside it, apart from its last reply, which stays what the other side said:
 *
 *   WHO \n MS \n WHY
 *
 * One for the hold and one for the deletion, since what was held may be deleted, and is held
 * again when that is undone. No hold of a rule's or of our own has one.
 */
#include "queue/store_private.h"

void store_deed_put(struct buffer *b, const struct queue_deed *d)
{
    buffer_put_escaped(b, span_first(d->who, LIMIT_PATH));
    buffer_printf(b, "\n%lld\n", (long long)d->at_ms);
    buffer_put_escaped(b, span_first(d->why, LIMIT_REPLY_STORED));
}

void store_deed_read(struct span text, struct queue_deed *out)
{
    struct queue_deed d = { 0 };
    uint64_t at_ms = 0;
    struct span ms;

    d.who = span_split(text, '\n', &d.why);
    ms = span_split(d.why, '\n', &d.why);
    if (span_number(ms, &at_ms))
        d.at_ms = (int64_t)at_ms;
    *out = d;
}
