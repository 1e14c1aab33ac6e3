/*
 * splitter - drafts that become several messages, straight into a queue.
 *
 *   splitter put PATH N      puts N drafts; a line for each: "acked NS ID ID ID ID"; what is
 *                            due at once is delivered: "leaves NS ID", before it is told
 *   splitter check PATH      reads all that is there and delivers it: "whole ID", or
 *                            "broken ID why"
 *
 * A draft: three messages that share large content, two with a head of their own, and a
 * small one. Times are CLOCK_MONOTONIC, as in shim.c's journal.
 */
#include "policy/vocabulary/id.h"
#include "policy/vocabulary/limits.h"
#include "policy/vocabulary/memory.h"
#include "queue/queue.h"

#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PIECES = 4, UNDER_WAY = 6, SLOTS = 64, BODY = 300000, DAY = 86400000 };

static struct {
    struct queue *q;
    struct queue_port *p;
    sem_t woken;
    struct queue_slot *slots[SLOTS];
    size_t slot_count;
    uint64_t ids[UNDER_WAY][PIECES];
    bool is_busy[UNDER_WAY];
    unsigned under_way;
    bool is_answered;
    int rc;
    struct buffer content;
    uint64_t count, settled;
} g;

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void on_wake(void *user)
{
    (void)user;
    sem_post(&g.woken);
}

static void on_slot(void *user, struct queue_slot *slot)
{
    (void)user;
    ASSERT(g.slot_count < SLOTS);
    g.slots[g.slot_count++] = slot;
    queue_slot_connected(slot);
}

/* Slots are looked at after every drain. */
static void on_ready(void *user, struct queue_slot *slot)
{
    (void)user;
    (void)slot;
}

static void on_ended(void *user, struct queue_slot *slot)
{
    (void)user;
    for (size_t i = 0; i < g.slot_count; i++)
        if (g.slots[i] == slot)
            g.slots[i] = g.slots[--g.slot_count];
    queue_slot_close(slot);
}

static void on_alarm(void *user, struct queue_work *work)
{
    (void)user;
    (void)work;
    ASSERT(!"nothing expires");
}

static void on_eased(void *user)
{
    (void)user;
}

static const struct queue_port_events events = {
    .wake = on_wake,
    .slot_opened = on_slot,
    .slot_ready = on_ready,
    .slot_ended = on_ended,
    .alarm = on_alarm,
    .eased = on_eased,
};

static void drain(void)
{
    while (sem_wait(&g.woken) < 0)
        ;
    queue_port_drain(g.p);
}

/* ----------------------------------------------------------------- putting ---- */

static void on_put(void *user, uint64_t token, int rc, uint64_t id)
{
    const uint64_t *ids = g.ids[token];

    (void)user;
    ASSERT(rc == 0 && id == ids[0]);
    printf("acked %" PRIu64, now_ns());
    for (int i = 0; i < PIECES; i++)
        printf(" %s", id_print(ids[i]).at);
    printf("\n");
    fflush(stdout);
    g.is_busy[token] = false;
    g.under_way--;
}

static struct queue_body *make_body(uint64_t id, unsigned number)
{
    struct queue_body *b = queue_body_open(g.p, id);
    char *part = memory_take(BODY);

    memset(part, (int)('a' + number % 26), BODY);
    queue_body_append(b, part, BODY, NULL, 0);
    return b;
}

static void put(unsigned number)
{
    char heads[PIECES][64] = { { 0 } };
    struct queue_recipient r = { .address = SPAN("r@split.test"),
                                 .lane = SPAN("split.test"),
                                 .expire_ms = INT64_MAX,
                                 .warn_ms = INT64_MAX };
    struct queue_message all[PIECES] = { 0 };
    struct queue_body *body;
    uint64_t token = 0;

    while (g.is_busy[token])
        token++;
    for (int i = 0; i < PIECES; i++)
        g.ids[token][i] = queue_new_id(g.q);
    body = make_body(g.ids[token][0], number);
    /* two thirds stay, for whoever looks after a power cut */
    r.due_ms = number % 3 ? (int64_t)time(NULL) * 1000 + DAY : 0;
    for (int i = 0; i < PIECES; i++) {
        struct queue_message *m = &all[i];

        m->id = g.ids[token][i];
        m->recipients = &r;
        m->recipient_count = 1;
        if (i != 2)
            snprintf(heads[i], sizeof(heads[i]), "Id: %s\r\n\r\n",
                     id_print(m->id).at);
        m->envelope.size_bytes = strlen(heads[i]) + (i < 3 ? BODY : 0);
        if (i == 3) {
            m->take_content = span_dup(span_of(heads[i]));
            continue;
        }
        m->head = span_of(heads[i]);
        m->take_body = body;
    }
    g.is_busy[token] = true;
    g.under_way++;
    queue_put_all(g.p, all, PIECES, on_put, token);
}

/* ---------------------------------------------------------------- settling ---- */

static void on_settled(void *user, uint64_t token, int rc, uint64_t message,
                       bool is_removed)
{
    (void)user;
    (void)token;
    (void)message;
    ASSERT(rc == 0 && is_removed);
    g.settled++;
}

static void settle(struct queue_work *work)
{
    struct queue_result r = { .outcome = OUTCOME_DELIVERED,
                              .status = STATUS(2, 0, 0) };

    ASSERT(work->count == 1);
    queue_settle(g.p, work, &r, NULL, 0, on_settled, 0);
}

static struct queue_work *next_work(void)
{
    struct queue_work *work = NULL;

    for (size_t i = 0; i < g.slot_count && !work; i++)
        work = queue_slot_next(g.slots[i], 1);
    return work;
}

static void put_all(unsigned count)
{
    struct queue_work *work;

    for (unsigned n = 0; n < count || g.under_way;) {
        if (n < count && g.under_way < UNDER_WAY) {
            put(n++);
            continue;
        }
        drain();
        while ((work = next_work())) {
            printf("leaves %" PRIu64 " %s\n", now_ns(),
                   id_print(work->message).at);
            fflush(stdout);
            settle(work);
        }
    }
}

/* ---------------------------------------------------------------- checking ---- */

static void on_read(void *user, uint64_t token, int rc, struct span bytes)
{
    (void)user;
    (void)token;
    g.rc = rc;
    buffer_put(&g.content, bytes);
    g.is_answered = true;
}

static void on_count(void *user, uint64_t token, int rc,
                     const struct queue_count *count)
{
    (void)user;
    (void)token;
    g.rc = rc;
    g.count = count->messages;
    g.is_answered = true;
}

static void answer(void)
{
    for (g.is_answered = false; !g.is_answered;)
        drain();
}

static int read_content(const struct queue_work *work)
{
    buffer_clear(&g.content);
    if (work->content.at) {
        buffer_put(&g.content, work->content);
        return 0;
    }
    do {
        queue_read(g.p, work, g.content.len, CONTENT_PART, on_read, 0);
        answer();
    } while (g.rc == 0 && g.content.len < work->envelope.size_bytes);
    return g.rc;
}

/* Its own head, or none, and then all of one body. */
static const char *fault_of(const struct queue_work *work)
{
    struct span s;
    char head[64];

    if (read_content(work) < 0)
        return error_text(g.rc);
    s = buffer_span(&g.content);
    if (s.len != work->envelope.size_bytes)
        return "its length";
    snprintf(head, sizeof(head), "Id: %s\r\n\r\n", id_print(work->message).at);
    if (s.len != BODY) {
        if (!span_is(span_first(s, strlen(head)), span_of(head)))
            return "its head";
        s = span_skip(s, strlen(head));
    }
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] != s.at[0])
            return "its body";
    return s.len && s.len != BODY ? "its size" : NULL;
}

static void check(void)
{
    struct queue_filter all = { 0 };
    const struct queue_order retry = { .change = CHANGE_RETRY,
                                       .filter = &all,
                                       .who = SPAN("splitter") };
    struct queue_work *work;
    const char *fault;

    queue_order(g.p, &retry, on_count, 0);
    answer();
    queue_count(g.p, &all, on_count, 0);
    answer();
    while (g.settled < g.count) {
        while ((work = next_work())) {
            fault = fault_of(work);
            printf("%s %s %s\n", fault ? "broken" : "whole",
                   id_print(work->message).at, fault ? fault : "");
            settle(work);
        }
        drain();
    }
}

/* -------------------------------------------------------------------- main ---- */

static void route(void *user, struct span lane, struct queue_destination *out)
{
    (void)user;
    buffer_put(&out->name, lane);
    out->connections = 5;
}

static void notice(void *user, enum queue_notice kind, const char *text)
{
    (void)user;
    (void)kind;
    fprintf(stderr, "%s\n", text);
}

int main(int argc, char **argv)
{
    struct buffer why = { 0 };
    struct queue_options o = { .reserve_bytes = 1,
                               .route = route,
                               .notice = notice };

    if (argc < 3)
        return 64;
    o.path = argv[2];
    sem_init(&g.woken, 0, 0);
    if (queue_open(&g.q, &o, &why) < 0) {
        fprintf(stderr, "%s\n", buffer_string(&why));
        return 75;
    }
    g.p = queue_port_open(g.q, &events, NULL);
    if (strcmp(argv[1], "put") == 0 && argc == 4)
        put_all((unsigned)strtoul(argv[3], NULL, 10));
    else
        check();
    while (g.slot_count)
        queue_slot_close(g.slots[--g.slot_count]);
    queue_port_close(g.p);
    queue_close(g.q);
    buffer_fini(&g.content);
    buffer_fini(&why);
    return 0;
}
