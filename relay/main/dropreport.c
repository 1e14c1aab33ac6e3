/*
 * dropreport - a report about a dropped message that was refused, to its sender.
 *
 * Who left it has gone and was told that all is well, so he is told now. A name alone is one of
 * this machine: aliases say who reads its mail.
 */
#include "relay/main/dropreport.h"

#include "policy/aliasing.h"
#include "policy/retry.h"
#include "policy/route.h"
#include "policy/vocabulary/address.h"
#include "policy/vocabulary/memory.h"
#include "relay/outbound/report.h"

#include <stdlib.h>

enum { ADDRESSEES_MOST = 10 };

struct addressees {
    struct arena arena;
    struct span sender; /* with a domain */
    struct span all[ADDRESSEES_MOST];
    size_t count;
};

/* "a@b" of "<a@b>", and "joe@origin" of "<joe>". */
static struct span complete(const struct settings *s, struct arena *a,
                            struct span path)
{
    struct span text = span_first(span_skip(path, 1), path.len - 2);
    struct address ignored;
    struct buffer b = { 0 };

    buffer_put(&b, text);
    if (text.len && address_parse(text, &ignored) != ADDRESS_OK) {
        buffer_put_byte(&b, '@');
        buffer_put(&b, s->origin);
    }
    text = arena_copy(a, buffer_span(&b));
    buffer_fini(&b);
    return text;
}

static void find_addressees(const struct settings *s, const struct missive *m,
                            struct addressees *out)
{
    struct aliasing found = { 0 };
    struct address a;

    *out = (struct addressees){ .count = 0 };
    out->sender = complete(s, &out->arena, m->sender);
    if (address_parse(out->sender, &a) != ADDRESS_OK)
        return;
    if (aliasing_find(s, &a, &out->arena, &found) != ALIASING_LEADS) {
        out->all[out->count++] = out->sender;
        return;
    }
    for (size_t i = 0; i < found.count && i < ADDRESSEES_MOST; i++)
        out->all[out->count++] = found.all[i];
}

bool dropreport_has_addressee(const struct settings *s, const struct missive *m)
{
    struct addressees to;
    bool yes;

    find_addressees(s, m, &to);
    yes = to.count > 0;
    arena_reset(&to.arena);
    return yes;
}

/* "550 5.1.1 text" */
static struct status status_of(struct span reply)
{
    struct status status = STATUS(5, 0, 0);

    (void)status_parse(span_skip(reply, 4), &status);
    status.class = 5; /* what was put off for too long is over */
    return status;
}

static size_t gather(const struct settings *s, const struct missive *m,
                     struct arena *a, struct report_recipient *out)
{
    size_t count = 0;

    for (size_t i = 0; i < m->count; i++)
        if (m->recipients[i].fate == MISSIVE_REFUSED)
            out[count++] = (struct report_recipient){
                .address = complete(s, a, m->recipients[i].path),
                .action = REPORT_ACTION_FAILED,
                .status = status_of(m->recipients[i].reply),
                .reply = m->recipients[i].reply,
            };
    return count;
}

static void put(const struct settings *s, struct queue_port *p,
                const struct addressees *to, const struct report *r,
                queue_put_fn *done)
{
    struct queue_recipient recipients[ADDRESSEES_MOST];
    struct buffer lanes[ADDRESSEES_MOST] = { 0 }, content = { 0 };
    struct queue_message message = { .id = r->id, .recipients = recipients };
    const char *end;

    report_compose(&content, r);
    end = memmem(content.at, content.len, "\r\n\r\n", 4);
    for (size_t i = 0; i < to->count; i++) {
        struct address a;

        if (address_parse(to->all[i], &a) != ADDRESS_OK ||
            lane_key(s, SPAN(""), &a, &lanes[i]) < 0)
            continue;
        recipients[message.recipient_count] = (struct queue_recipient){
            .number = (uint32_t)message.recipient_count,
            .address = to->all[i],
            .notify = NOTIFY_NEVER,
            .lane = buffer_span(&lanes[i]),
            .expire_ms = retry_expiry_ms(&s->retry, r->now_ms, true),
            .warn_ms = INT64_MAX,
        };
        message.recipient_count++;
    }
    message.envelope = (struct envelope){
        .protocol = SPAN("report"),
        .has_8bit = true,
        .body = BODY_8BITMIME,
        .received_ms = r->now_ms,
        .size_bytes = content.len,
        .header_bytes =
            (uint32_t)(end ? (size_t)(end - content.at) + 4 : content.len),
    };
    message.take_content = content.at;
    queue_put(p, &message, done, 0);
    for (size_t i = 0; i < to->count; i++)
        buffer_fini(&lanes[i]);
}

bool dropreport_put(const struct settings *s, struct queue_port *p,
                    const struct missive *m, uint64_t id, uint64_t about,
                    int64_t now_ms, queue_put_fn *done)
{
    struct report_recipient *refused =
        NEW_ARRAY(struct report_recipient, m->count);
    struct addressees to;
    bool any;

    find_addressees(s, m, &to);
    any = to.count > 0;
    if (any) {
        struct envelope envelope = { .sender = to.sender,
                                     .received_ms = now_ms };

        put(s, p, &to,
            &(struct report){ .kind = REPORT_FAILED,
                              .hostname = s->hostname,
                              .to = to.all[0],
                              .id = id,
                              .about = about,
                              .envelope = &envelope,
                              .recipients = refused,
                              .count = gather(s, m, &to.arena, refused),
                              .content = buffer_span(&m->content),
                              .content_is_whole = true,
                              .now_ms = now_ms },
            done);
    }
    arena_reset(&to.arena);
    free(refused);
    return any;
}
