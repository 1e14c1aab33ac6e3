/*
 * admin_queue - a queue that is made up, for tests of the HTTP interface.
 *
 * The functions of queue.h that the interface calls are defined here, so that each test says
 * what the queue answers, and when: answers wait until the loop drains the port.
 */
#ifndef WAYPOST_ADMIN_QUEUE_H
#define WAYPOST_ADMIN_QUEUE_H

#include "policy/vocabulary/id.h"
#include "relay/admin/admin.h"
#include "tests/unit/no_figures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct queue_port {
    const struct queue_port_events *events;
    void *user;
};

static struct {
    struct queue_port port;
    uint64_t rows;  /* messages 1 .. rows are waiting */
    int rc;         /* of the next answer */
    bool is_silent; /* answers do not come */
    /* the latest question */
    enum {
        ASKED_NOTHING,
        ASKED_LIST,
        ASKED_COUNT,
        ASKED_CHANGE,
        ASKED_PREVIEW,
        ASKED_RANKS,
        ASKED_STORY,
        ASKED_COPY,
        ASKED_PART,
        ASKED_REMEMBER
    } asked;
    struct queue_filter filter;
    uint64_t after_id;
    uint32_t limit;
    enum queue_change change;
    char who[32], route[32];
    bool is_long;
    queue_put_row_fn *put;
    queue_list_text_fn *page;
    queue_count_fn *count, *progress;
    queue_preview_fn *preview;
    queue_rank_fn *ranks;
    enum queue_rank_key by;
    queue_story_fn *story;
    queue_copy_fn *copy;
    queue_read_fn *part;
    queue_remember_fn *remember;
    uint64_t id, offset;
    size_t part_len;
    bool is_damaged;
    int copies; /* that are open */
    uint64_t token;
    unsigned lists;
} fake;

struct queue_port *queue_port_open(struct queue *q,
                                   const struct queue_port_events *events,
                                   void *user)
{
    (void)q;
    fake.port = (struct queue_port){ events, user };
    return &fake.port;
}

void queue_port_close(struct queue_port *p)
{
    p->events = NULL;
}

static inline void ask(int asked, const struct queue_filter *f, uint64_t token)
{
    fake.asked = asked;
    fake.filter = *f;
    fake.token = token;
    fake.port.events->wake(fake.port.user);
}

void queue_list_text(struct queue_port *p, const struct queue_list_want *want,
                     queue_list_text_fn *done, uint64_t token)
{
    (void)p;
    fake.after_id = want->after_id;
    fake.limit = want->limit;
    fake.is_long = want->is_long;
    fake.put = want->put;
    fake.page = done;
    fake.lists++;
    ask(ASKED_LIST, want->filter, token);
}

void queue_history_text(struct queue_port *p,
                        const struct queue_history_want *want,
                        queue_history_text_fn *done, uint64_t token)
{
    (void)p;
    (void)want;
    (void)done;
    (void)token;
    fail();
}

void queue_count(struct queue_port *p, const struct queue_filter *f,
                 queue_count_fn *done, uint64_t token)
{
    (void)p;
    fake.count = done;
    ask(ASKED_COUNT, f, token);
}

void queue_order(struct queue_port *p, const struct queue_order *o,
                 queue_count_fn *done, uint64_t token)
{
    (void)p;
    fake.change = o->change;
    (void)snprintf(fake.who, sizeof(fake.who), "%.*s", SPAN_FMT(o->who));
    fake.count = done;
    fake.progress = o->progress;
    (void)snprintf(fake.route, sizeof(fake.route), "%.*s", SPAN_FMT(o->route));
    ask(ASKED_CHANGE, o->filter, token);
}

void queue_preview(struct queue_port *p, const struct queue_filter *f,
                   queue_preview_fn *done, uint64_t token)
{
    (void)p;
    fake.preview = done;
    ask(ASKED_PREVIEW, f, token);
}

void queue_ranks(struct queue_port *p, const struct queue_filter *f,
                 enum queue_rank_key by, size_t limit, queue_rank_fn *done,
                 uint64_t token)
{
    (void)p;
    fake.ranks = done;
    fake.by = by;
    fake.part_len = limit;
    ask(ASKED_RANKS, f, token);
}

void queue_story(struct queue_port *p, uint64_t id, queue_story_fn *done,
                 uint64_t token)
{
    (void)p;
    fake.id = id;
    fake.story = done;
    ask(ASKED_STORY, &(struct queue_filter){ 0 }, token);
}

void queue_copy_open(struct queue_port *p, uint64_t id, queue_copy_fn *done,
                     uint64_t token)
{
    (void)p;
    fake.id = id;
    fake.copy = done;
    ask(ASKED_COPY, &(struct queue_filter){ 0 }, token);
}

enum { COPY_BYTES = 600000, COPY_HEADER = 30 };

uint64_t queue_copy_size(const struct queue_copy *c)
{
    assert_ptr_equal(c, &fake);
    return COPY_BYTES;
}

uint32_t queue_copy_header_size(const struct queue_copy *c)
{
    assert_ptr_equal(c, &fake);
    return COPY_HEADER;
}

void queue_copy_read(struct queue_port *p, struct queue_copy *c,
                     uint64_t offset, size_t len, queue_read_fn *done,
                     uint64_t token)
{
    (void)p;
    assert_ptr_equal(c, &fake);
    fake.offset = offset;
    fake.part_len = len;
    fake.part = done;
    ask(ASKED_PART, &(struct queue_filter){ 0 }, token);
}

void queue_copy_close(struct queue_copy *take_c)
{
    fake.copies -= take_c != NULL;
}

void queue_heat(struct queue *q, size_t limit, queue_heat_fn *each, void *user)
{
    const struct queue_heat_row rows[] = { { SPAN("a\x1b.test"), 9, { 4, 5 } },
                                           { SPAN(""), 1, { 1 } } };

    (void)q;
    each(user, &(struct queue_heat){ .rows = rows,
                                     .count = limit < 2 ? limit : 2,
                                     .total = 10,
                                     .cells = { 5, 5 },
                                     .at_ms = 77,
                                     .is_complete = true });
}

bool queue_backup_begin(struct queue_port *p, bool has_history,
                        queue_backup_fn *done, uint64_t token)
{
    (void)p;
    (void)has_history;
    (void)done;
    (void)token;
    return false;
}

void queue_backup_next(struct queue *q)
{
    (void)q;
}

void queue_backup_cancel(struct queue *q, uint64_t token)
{
    (void)q;
    (void)token;
}

void queue_stats(struct queue *q, struct queue_stats *out)
{
    (void)q;
    *out = (struct queue_stats){ .puts = 7 };
}

/* Destinations: "smtp://[::1]:25", "mx:a.test" ... "mx:z.test", the last suspended. */
enum { DESTINATIONS = 27 };

static struct {
    char names[DESTINATIONS + 1][32]; /* that something was wanted of */
    size_t count;
    const char *wanted;
    char reason[32];
    bool has_end;
} fake_wish;

size_t queue_destinations(struct queue *q, size_t first, size_t limit,
                          queue_destination_fn *each, void *user)
{
    (void)q;
    for (size_t i = first; i < DESTINATIONS && i < first + limit; i++) {
        struct queue_destination_row row = { .name = SPAN("smtp://[::1]:25"),
                                             .state = DESTINATION_OFFLINE,
                                             .due_ms = INT64_MAX,
                                             .is_on_demand = true,
                                             .change_ms = 7000,
                                             .is_fetched = true,
                                             .waiting = 3 };
        char name[32];

        (void)snprintf(name, sizeof(name), "mx:%c.test", (char)('a' + i - 1));
        if (i > 0)
            row = (struct queue_destination_row){
                .name = span_of(name),
                .due_ms = 5000,
                .change_ms = 9000,
                .state = i + 1 == DESTINATIONS ? DESTINATION_SUSPENDED
                                               : DESTINATION_RESTING
            };
        each(user, &row);
    }
    return DESTINATIONS;
}

bool queue_destination_find(struct queue *q, struct span name,
                            queue_destination_fn *each, void *user)
{
    const struct queue_destination_row row = { .name = name,
                                               .state = DESTINATION_RESTING,
                                               .due_ms = 1700000000000,
                                               .error = SPAN("4.4.1 \x1b[2J") };

    (void)q;
    if (!span_is(name, SPAN("mx:d")))
        return false;
    each(user, &row);
    return true;
}

static inline bool wish(const char *what, struct span name)
{
    fake_wish.wanted = what;
    (void)snprintf(fake_wish.names[fake_wish.count++], 32, "%.*s",
                   SPAN_FMT(name));
    return !span_is(name, SPAN("mx:z.test"));
}

bool queue_release(struct queue *q, struct span destination)
{
    (void)q;
    return wish("release", destination);
}

bool queue_resume(struct queue *q, struct span destination)
{
    (void)q;
    return wish("resume", destination);
}

bool queue_probe(struct queue *q, struct span destination)
{
    (void)q;
    return wish("probe", destination);
}

bool queue_suspend(struct queue *q, struct span destination, int64_t until_ms,
                   struct span reason)
{
    (void)q;
    fake_wish.has_end = until_ms != INT64_MAX;
    (void)snprintf(fake_wish.reason, 32, "%.*s", SPAN_FMT(reason));
    return wish("suspend", destination);
}

void queue_remember(struct queue_port *p, const struct span *destinations,
                    size_t count, queue_remember_fn *done, uint64_t token)
{
    assert_ptr_equal(p, &fake.port);
    assert_int_equal(count, fake_wish.count);
    for (size_t i = 0; i < count; i++)
        assert_true(span_is(destinations[i], span_of(fake_wish.names[i])));
    fake.asked = ASKED_REMEMBER;
    fake.remember = done;
    fake.token = token;
    p->events->wake(p->user);
}

static inline void answer_list(void)
{
    static const struct queue_row_recipient to = { .address = SPAN_INIT("c@d"),
                                                   .state = STATE_READY };
    struct buffer text = { 0 };
    uint64_t id = fake.after_id;
    size_t n = 0;

    assert_in_range(fake.limit, 1, 500);
    for (; n < fake.limit && id < fake.rows; n++)
        fake.put(&text, &(struct queue_row){ .id = ++id,
                                             .sender = SPAN("a@b"),
                                             .state = STATE_READY,
                                             .recipients = &to,
                                             .count = 1 });
    fake.page(fake.port.user, fake.token, fake.rc, &text, n,
              id < fake.rows ? id : 0);
    buffer_fini(&text);
}

static inline void answer_story(void)
{
    static const struct queue_story_recipient to[] = {
        { .row = { .address = SPAN_INIT("c@d"),
                   .reason = SPAN_INIT("4.2.0 no\x1b]0;x"),
                   .state = STATE_DEFERRED,
                   .attempts = 2,
                   .due_ms = 5000 },
          .lane = SPAN_INIT("d"),
          .destination = SPAN_INIT("mx:d"),
          .trail = SPAN_INIT("1000|mx.d|4.2.0|no\x1b]0;x\n"),
          .expire_ms = 9000 },
        { .row = { .address = SPAN_INIT("e@f"),
                   .state = STATE_HELD,
                   .due_ms = INT64_MAX },
          .lane = SPAN_INIT("f"),
          .expire_ms = INT64_MAX,
          .since_ms = 1000,
          .ruling = { .held_by = SPAN_INIT("sp\x1b") } },
    };
    struct queue_story s = {
        .id = fake.id,
        .envelope = { .sender = SPAN("a@b"),
                      .received_ms = 1000,
                      .header_bytes = 40 },
        .state = STATE_DEFERRED,
        .recipients = to,
        .count = 2,
        .dialogues = { { 1000, SPAN_INIT("mx.d"),
                         SPAN_INIT("> QUIT\n< 221 \x1b[2J") } },
        .dialogue_count = 1,
        .header = SPAN("Subject: \x1b[31mred\r\nX: \xff\r\n\r\n"),
    };

    fake.story(fake.port.user, fake.token, fake.rc, fake.rows ? &s : NULL);
}

static inline void answer_copy(void)
{
    int rc = fake.rows ? fake.rc : ERROR_GONE;

    fake.copies += rc == 0;
    fake.copy(fake.port.user, fake.token, rc,
              rc == 0 ? (struct queue_copy *)(void *)&fake : NULL);
}

static inline void answer_part(void)
{
    char *bytes = test_calloc(1, fake.part_len);
    bool is_last = fake.offset + fake.part_len == COPY_BYTES;

    memset(bytes, 'x', fake.part_len);
    fake.part(fake.port.user, fake.token,
              is_last && fake.is_damaged ? ERROR_CHECKSUM : 0,
              span_make(bytes, fake.part_len));
    test_free(bytes);
}

static inline void answer_preview(void)
{
    static const struct queue_row_recipient to = { .address = SPAN_INIT("c@d"),
                                                   .state = STATE_READY };
    const struct queue_row row = { .id = 7,
                                   .sender = SPAN("a\x1b@b"),
                                   .state = STATE_READY,
                                   .recipients = &to,
                                   .count = 1 };

    fake.preview(fake.port.user, fake.token, fake.rc,
                 &(struct queue_preview){
                     .count = { 3, 4, 5000 },
                     .rows = &row,
                     .row_count = 1,
                     .busiest = { { SPAN_INIT("mx:d"), 4 } },
                     .busiest_count = 1,
                     .destinations = 1,
                 });
}

static inline void answer_ranks(void)
{
    const struct queue_rank ranks[] = {
        { true, SPAN("a\x1b"), { 3, 4, 5000 } },
        { true, SPAN(""), { 2, 2, 10 } },
        { false, SPAN(""), { 1, 1, 1 } },
    };

    fake.ranks(fake.port.user, fake.token, fake.rc, ranks, 3);
}

void queue_port_drain(struct queue_port *p)
{
    static const struct queue_count three = { 3, 4, 5000 };
    int asked = fake.asked;

    assert_ptr_equal(p, &fake.port);
    if (fake.is_silent)
        return;
    fake.asked = ASKED_NOTHING;
    if (asked == ASKED_LIST)
        answer_list();
    else if (asked == ASKED_STORY)
        answer_story();
    else if (asked == ASKED_COPY)
        answer_copy();
    else if (asked == ASKED_PART)
        answer_part();
    else if (asked == ASKED_PREVIEW)
        answer_preview();
    else if (asked == ASKED_RANKS)
        answer_ranks();
    else if (asked == ASKED_REMEMBER)
        fake.remember(p->user, fake.token, fake.rc);
    else if (asked == ASKED_CHANGE && fake.progress)
        fake.progress(p->user, fake.token, 0, &three);
    if (asked == ASKED_COUNT || asked == ASKED_CHANGE)
        fake.count(p->user, fake.token, fake.rc, &three);
}

#endif
