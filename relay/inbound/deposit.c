/*
 * deposit - a finished draft becomes a message of the queue, or several.
 *
 * A batch is what queue_put_all takes: messages with their recipients, whose
 * lane keys lie one behind the other in one buffer, as the heads do in another.
 * A draft that no rule changed is a batch of one, and its bytes are not copied.
 */
#include "relay/inbound/deposit.h"

#include "policy/retry.h"
#include "policy/vocabulary/memory.h"
#include "policy/vocabulary/utf8.h"
#include "relay/inbound/record.h"
#include "relay/inbound/verdictlog.h"
#include "relay/net/log.h"

#include <stdlib.h>

/* --- the log ------------------------------------------------------------------- */

static void log_arrival(const struct draft *d, uint64_t id)
{
    const struct envelope *e = &d->envelope;
    const struct rule *rule = d->count ? d->recipients[0].rule : NULL;

    log_put(&(struct log_line){ .event = LOG_CLIENT,
                                .id = id,
                                .other_id = id == d->id ? 0 : d->id,
                                .host = e->client_name,
                                .address = e->client,
                                .listener = e->listener,
                                .login = e->login,
                                .rule = rule ? rule->title : SPAN(""),
                                .place =
                                    rule ? rule->place : (struct place){ 0 } });
    log_put(&(struct log_line){
        .event = LOG_MESSAGE_ID, .id = id, .message_id = e->message_id });
}

static void log_queued(uint64_t id, struct span sender, uint64_t size,
                       size_t count)
{
    log_put(&(struct log_line){ .event = LOG_QUEUED,
                                .id = id,
                                .sender = sender,
                                .size = size,
                                .count = count });
}

void deposit_log(const struct draft *d)
{
    const struct variants *v = d->variants;
    size_t kept = 0;

    for (size_t i = 0; i < d->count; i++)
        kept += !d->recipients[i].discard;
    if ((!v || v->count == 0) && kept > 0)
        log_queued(d->id, d->envelope.sender, d->envelope.size_bytes, kept);
    for (size_t i = 0; v && i < v->count; i++)
        log_queued(v->all[i].id, v->all[i].sender, v->all[i].size_bytes,
                   v->all[i].count);
}

/* --- when ------------------------------------------------------------------------ */

struct deposit_terms deposit_terms(const struct envelope *e,
                                   const struct retry_settings *retry)
{
    bool is_report = e->sender.len == 0;
    int64_t begin_ms = envelope_begin_ms(e);
    struct deposit_terms t = {
        .due_ms = e->release_ms,
        .expire_ms = retry_expiry_ms(retry, begin_ms, is_report),
        .warn_ms = retry_warning_ms(retry, begin_ms, is_report),
    };
    int64_t notify_by_ms = envelope_notify_by_ms(e);

    if (e->deliver_by_ms && e->deliver_by_mode == DELIVER_BY_RETURN &&
        e->deliver_by_ms < t.expire_ms)
        t.expire_ms = e->deliver_by_ms;
    if (notify_by_ms && notify_by_ms < t.warn_ms)
        t.warn_ms = notify_by_ms;
    if (is_report)
        t.warn_ms = INT64_MAX; /* nobody is there to be told */
    return t;
}

/* --- a batch ----------------------------------------------------------------------- */

enum { FEW = 8 };

struct batch {
    const struct settings *settings;
    struct draft *draft;
    struct queue_message one, *messages;
    size_t count;
    struct queue_recipient few[FEW], *recipients;
    size_t recipient_count;
    struct buffer *lanes; /* the caller's */
    struct buffer heads;
};

static void batch_init(struct batch *b, const struct settings *s,
                       struct draft *d, struct buffer *lanes)
{
    size_t messages = d->variants ? d->variants->count : 1;
    size_t recipients = d->variants ? 0 : d->count;

    for (size_t i = 0; d->variants && i < messages; i++)
        recipients += d->variants->all[i].count;
    b->settings = s;
    b->draft = d;
    b->lanes = lanes;
    b->messages =
        messages > 1 ? NEW_ARRAY(struct queue_message, messages) : &b->one;
    b->recipients = recipients > FEW
                        ? NEW_ARRAY(struct queue_recipient, recipients)
                        : b->few;
    buffer_clear(lanes);
}

static void batch_fini(struct batch *b)
{
    if (b->messages != &b->one)
        free(b->messages);
    if (b->recipients != b->few)
        free(b->recipients);
    buffer_fini(&b->heads);
}

/* Its lane key goes behind the others, and behind that its ruling. */
static void add_recipient(struct batch *b, struct queue_message *m,
                          const struct addressee *who)
{
    const struct route *route = who->destiny.route;
    struct deposit_terms terms = deposit_terms(
        &m->envelope, route ? &route->retry : &b->settings->retry);
    size_t start = b->lanes->len, end;

    if (destinies_lane(b->settings, m->envelope.sender, &who->destiny,
                       b->lanes) < 0)
        ASSERT(!"an accepted recipient's domain folds");
    end = b->lanes->len;
    if (!who->is_copy)
        record_ruling(b->lanes, b->draft, who->from,
                      &(struct record_addresses){ who->destiny.address.text,
                                                  m->envelope.sender,
                                                  who->orcpt });
    b->recipients[b->recipient_count++] = (struct queue_recipient){
        .number = (uint32_t)m->recipient_count++,
        .address = who->destiny.address.text,
        .notify = who->notify,
        .orcpt = who->orcpt,
        .lane = { NULL, end - start }, /* see place */
        .ruling = { NULL, b->lanes->len - end },
        .held = who->hold,
        .due_ms = terms.due_ms,
        .expire_ms = terms.expire_ms,
        .warn_ms = terms.warn_ms,
    };
}

static struct queue_message *add_message(struct batch *b, uint64_t id,
                                         struct span sender)
{
    struct queue_message *m = &b->messages[b->count++];

    m->id = id;
    m->envelope = b->draft->envelope;
    m->envelope.sender = sender;
    log_arrival(b->draft, id);
    return m;
}

/* Its head goes behind the others. */
static void add_head(struct batch *b, struct queue_message *m,
                     const struct variant *v)
{
    size_t start = b->heads.len;
    struct span head;

    if (b->draft->head.len == 0)
        return;
    variants_write_head(b->draft, v, &b->heads);
    head = span_skip(buffer_span(&b->heads), start);
    m->head.len = head.len; /* see place */
    m->envelope.size_bytes += head.len - b->draft->head.len;
    m->envelope.header_bytes = (uint32_t)head.len;
    if (v && v->edit_count) {
        m->envelope.header_8bit = utf8_has_high(head);
        m->envelope.has_8bit |= m->envelope.header_8bit;
    }
}

static void add_variant(struct batch *b, struct variant *v)
{
    struct queue_message *m = add_message(b, v->id, v->sender);

    add_head(b, m, v);
    v->size_bytes = m->envelope.size_bytes;
    for (size_t i = 0; i < v->count; i++) {
        if (v->all[i].destiny.address.is_utf8)
            m->envelope.smtputf8 = true; /* a rule put it there */
        add_recipient(b, m, &v->all[i]);
    }
}

static void add_draft(struct batch *b)
{
    const struct draft *d = b->draft;
    struct queue_message *m = add_message(b, d->id, d->envelope.sender);

    add_head(b, m, NULL);
    for (size_t i = 0; i < d->count; i++) {
        struct addressee who;

        if (d->recipients[i].discard)
            continue;
        who = variants_plain(d, b->settings, &d->recipients[i]);
        add_recipient(b, m, &who);
    }
}

/* Buffers moved while they grew; now they stand still. */
static void place(struct batch *b)
{
    const char *lane = b->lanes->at, *head = b->heads.at;
    struct queue_recipient *r = b->recipients;

    for (size_t i = 0; i < b->recipient_count; i++) {
        r[i].lane.at = lane;
        lane += r[i].lane.len;
        r[i].ruling.at = lane;
        lane += r[i].ruling.len;
    }
    for (size_t i = 0; i < b->count; i++) {
        b->messages[i].recipients = r;
        r += b->messages[i].recipient_count;
        b->messages[i].head.at = head;
        head += b->messages[i].head.len;
    }
}

/* In memory, all of a message is one block. */
static void give_content(struct draft *d, struct queue_message *m)
{
    struct buffer all = { 0 };

    if (m->head.len) {
        buffer_put(&all, m->head);
        buffer_put(&all, buffer_span(&d->content));
        m->head = span_make(NULL, 0);
    } else {
        all = d->content;
        d->content = (struct buffer){ .cap = d->content.cap };
    }
    m->take_content = all.at;
}

bool deposit(struct queue_port *p, const struct settings *s, struct draft *d,
             struct queue_body *take_body, struct buffer *scratch,
             queue_put_fn *done, uint64_t token)
{
    struct batch b = { .count = 0 };
    bool any;

    batch_init(&b, s, d, scratch);
    for (size_t i = 0; d->variants && i < d->variants->count; i++)
        add_variant(&b, &d->variants->all[i]);
    if (!d->variants || d->variants->count == 0)
        add_draft(&b);
    verdictlog_put(d);
    any = b.recipient_count > 0;
    place(&b);
    for (size_t i = 0; any && i < b.count; i++) {
        b.messages[i].take_body = take_body;
        if (!take_body)
            give_content(d, &b.messages[i]);
    }
    if (any)
        queue_put_all(p, b.messages, b.count, done, token);
    batch_fini(&b);
    return any;
}
