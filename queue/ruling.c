/*
 * ruling - what the rules said of a recipient, as a small text.
 *
 * Fields with a tab between, those at the end that are empty left out, so that the usual
 * one is the rule's name and place. What would separate fields becomes a space.
 */
#include "queue/queue.h"

enum { FIELDS = 6 };

static void put_field(struct buffer *b, struct span field)
{
    for (size_t i = 0; i < field.len; i++) {
        char c = field.at[i];

        buffer_put_byte(b, c == '\t' || c == '\n' ? ' ' : c);
    }
}

void queue_ruling_put(struct buffer *b, const struct queue_ruling *r)
{
    const struct span fields[FIELDS] = { r->rule, r->place, r->held_by,
                                         r->asked_to, r->asked_from,
                                         r->orig_to };
    size_t count = FIELDS;

    while (count && fields[count - 1].len == 0)
        count--;
    for (size_t i = 0; i < count; i++) {
        if (i)
            buffer_put_byte(b, '\t');
        put_field(b, fields[i]);
    }
}

void queue_ruling_read(struct span text, struct queue_ruling *out)
{
    struct span *fields[FIELDS] = { &out->rule, &out->place, &out->held_by,
                                    &out->asked_to, &out->asked_from,
                                    &out->orig_to };

    for (size_t i = 0; i < FIELDS; i++)
        *fields[i] = span_split(text, '\t', &text);
}
