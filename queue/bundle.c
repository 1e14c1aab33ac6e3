/*
 * bundle - a work and what the queue knows of it besides.
 *
 * The block: struct bundle, its recipients, their lanes, then all text. A text
 * that is the same as that of the recipient before (the lane, mostly) is kept once.
 */
#include "queue/bundle.h"

#include "policy/vocabulary/memory.h"

#include <stdlib.h>

/* Where text is put, or with at == NULL only measured. */
struct text {
    char *at;
    size_t used;
};

static void text_keep(struct text *t, struct span *s)
{
    if (t->at && s->len) {
        memcpy(t->at + t->used, s->at, s->len);
        s->at = t->at + t->used;
    }
    t->used += s->len;
}

static void text_keep_envelope(struct text *t, struct envelope *e)
{
    text_keep(t, &e->sender);
    text_keep(t, &e->ret);
    text_keep(t, &e->envid);
    text_keep(t, &e->client);
    text_keep(t, &e->client_name);
    text_keep(t, &e->helo);
    text_keep(t, &e->login);
    text_keep(t, &e->listener);
    text_keep(t, &e->protocol);
    text_keep(t, &e->message_id);
    text_keep(t, &e->verp);
    text_keep(t, &e->tls);
}

/* before and was: the recipient in front, as kept and as it came. */
static void text_keep_recipient(struct text *t, struct queue_recipient *r,
                                const struct queue_recipient *before,
                                const struct queue_recipient *was)
{
    text_keep(t, &r->address);
    text_keep(t, &r->orcpt);
    text_keep(t, &r->last_reply);
    text_keep(t, &r->returned_by);
    if (was && span_is(was->lane, r->lane))
        r->lane = before->lane;
    else
        text_keep(t, &r->lane);
    if (was && span_is(was->ruling, r->ruling))
        r->ruling = before->ruling;
    else
        text_keep(t, &r->ruling);
}

static const struct queue_recipient *pick(const struct queue_recipient *all,
                                          const uint32_t *index, size_t i)
{
    return &all[index ? index[i] : i];
}

static size_t text_size(const struct envelope *envelope,
                        const struct queue_recipient *all,
                        const uint32_t *index, size_t n)
{
    struct text t = { 0 };
    struct envelope e = *envelope;

    text_keep_envelope(&t, &e);
    for (size_t i = 0; i < n; i++) {
        struct queue_recipient r = *pick(all, index, i);

        text_keep_recipient(&t, &r, &r, i ? pick(all, index, i - 1) : NULL);
    }
    return t.used;
}

static struct bundle *bundle_copy(uint64_t message, const struct envelope *e,
                                  const struct queue_recipient *all,
                                  const uint32_t *index, size_t n)
{
    size_t fixed = sizeof(struct bundle) + n * (sizeof(struct queue_recipient) +
                                                sizeof(struct bundle_lane));
    char *block = memory_take(fixed + text_size(e, all, index, n));
    struct bundle *b = (struct bundle *)(void *)block;
    struct text t = { .at = block + fixed };
    struct queue_recipient *kept = (void *)(b + 1);

    *b = (struct bundle){ 0 };
    b->work.message = message;
    b->work.envelope = *e;
    text_keep_envelope(&t, &b->work.envelope);
    b->work.recipients = kept;
    b->work.count = n;
    b->lanes = (void *)(kept + n);
    for (size_t i = 0; i < n; i++) {
        kept[i] = *pick(all, index, i);
        b->lanes[i] = (struct bundle_lane){ 0 };
        text_keep_recipient(&t, &kept[i], i ? &kept[i - 1] : NULL,
                            i ? pick(all, index, i - 1) : NULL);
    }
    return b;
}

struct bundle *bundle_of_message(const struct queue_message *m)
{
    return bundle_copy(m->id, &m->envelope, m->recipients, NULL,
                       m->recipient_count);
}

struct bundle *bundle_of_work(struct queue_work *take_work,
                              const struct store_content *c)
{
    size_t n = take_work->count;
    struct bundle *b =
        memory_zero(1, sizeof(*b) + n * sizeof(struct bundle_lane));

    b->work = *take_work;
    b->work.content = (struct span){ 0 };
    b->block = take_work;
    b->lanes = (void *)(b + 1);
    b->stored = *c;
    return b;
}

struct bundle *bundle_pick(const struct bundle *b, const uint32_t *index,
                           size_t n)
{
    struct bundle *part = bundle_copy(b->work.message, &b->work.envelope,
                                      b->work.recipients, index, n);

    part->work.is_alarm = b->work.is_alarm;
    part->work.active_ms = b->work.active_ms;
    part->stored = b->stored;
    for (size_t i = 0; i < n; i++)
        part->lanes[i] = b->lanes[index ? index[i] : i];
    return part;
}

struct bundle *bundle_split(struct bundle *b, size_t n)
{
    struct bundle *part = bundle_pick(b, NULL, n);
    size_t rest = b->work.count - n;

    b->work.recipients += n;
    b->work.count = rest;
    b->lanes += n;
    return part;
}

void bundle_free(struct bundle *take_b)
{
    if (!take_b)
        return;
    free(take_b->block);
    free(take_b);
}

struct queue_message bundle_message(const struct bundle *b)
{
    return (struct queue_message){
        .id = b->work.message,
        .envelope = b->work.envelope,
        .recipients = b->work.recipients,
        .recipient_count = b->work.count,
    };
}
