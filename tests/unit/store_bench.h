/*
 * store_bench - a store in a folder of its own, for the tests of the store.
 *
 * Everything is static: each test program includes it once. Times are small
 * made-up numbers; nothing looks at the clock.
 */
#ifndef WAYPOST_STORE_BENCH_H
#define WAYPOST_STORE_BENCH_H

#include "queue/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#define UNUSED __attribute__((unused))

enum { T0 = 1000000, HOUR = 3600 * 1000, DAY = 24 * HOUR };

struct bench {
    char folder[40];
    char path[64];
    struct store *s;
    struct store_reader *r;
    struct buffer why, notices;
};

UNUSED static void bench_open(struct bench *b)
{
    int rc;

    buffer_clear(&b->why);
    buffer_clear(&b->notices);
    rc = store_open(&b->s, b->path, &b->why, &b->notices);
    if (rc < 0)
        fail_msg("store_open: %d %s", rc, buffer_string(&b->why));
    assert_int_equal(store_reader_open(&b->r, b->path), 0);
}

UNUSED static void bench_close(struct bench *b)
{
    store_reader_close(b->r);
    store_close(b->s);
    b->r = NULL;
    b->s = NULL;
}

UNUSED static int bench_new(void **state)
{
    struct bench *b = calloc(1, sizeof *b);

    (void)snprintf(b->folder, sizeof b->folder, "/tmp/test-store-XXXXXX");
    if (!b || !mkdtemp(b->folder))
        return -1;
    (void)snprintf(b->path, sizeof b->path, "%s/queue.db", b->folder);
    *state = b;
    return 0;
}

UNUSED static int bench_new_open(void **state)
{
    int rc = bench_new(state);

    if (rc == 0)
        bench_open(*state);
    return rc;
}

UNUSED static int bench_free(void **state)
{
    struct bench *b = *state;
    char command[96];

    bench_close(b);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", b->folder);
    buffer_fini(&b->why);
    buffer_fini(&b->notices);
    free(b);
    return system(command);
}

/* A message of one to three recipients, u0@ u1@ u2@example.org. */
struct sample {
    struct queue_message message;
    struct queue_recipient recipients[3];
    struct store_content content;
};

static char sample_content[] = "Subject: a\r\n\r\nb\r\n";

UNUSED static struct sample *sample_of(struct sample *p, uint64_t id,
                                       size_t count)
{
    static const char *const addresses[] = { "u0@example.org", "u1@example.org",
                                             "U2@Example.NET" };
    static const char *const lanes[] = { "example.org", "example.org",
                                         "example.net" };

    *p = (struct sample){ 0 };
    for (size_t i = 0; i < count; i++)
        p->recipients[i] = (struct queue_recipient){
            .number = (uint32_t)i,
            .address = span_of(addresses[i]),
            .orcpt = SPAN("rfc822;x@example.org"),
            .notify = NOTIFY_FAILURE,
            .lane = span_of(lanes[i]),
            .expire_ms = T0 + 5 * (int64_t)DAY,
            .warn_ms = T0 + 4 * HOUR,
            .ruling = SPAN("our domains\twaypost.conf:7\t\tu0@alias.example"),
        };
    p->message = (struct queue_message){
        .id = id,
        .envelope = {
            .sender = SPAN("Sender@example.com"),
            .body = BODY_8BITMIME,
            .smtputf8 = true,
            .ret = SPAN("HDRS"),
            .envid = SPAN("env"),
            .client = SPAN("192.0.2.7"),
            .client_name = SPAN("client.example.com"),
            .helo = SPAN("helo.example.com"),
            .login = SPAN("bob"),
            .listener = SPAN("edge"),
            .protocol = SPAN("ESMTP"),
            .tls = SPAN("TLSv1.3 256"),
            .message_id = SPAN("<1@example.com>"),
            .received_ms = T0,
            .size_bytes = sizeof sample_content - 1,
            .header_bytes = 14,
            .priority = -4,
            .deliver_by_ms = T0 + HOUR,
            .deliver_by_mode = DELIVER_BY_RETURN,
            .deliver_by_trace = true,
            .verp = SPAN("+="),
            .release_ms = T0 + 1,
            .header_8bit = true,
            .is_unvouched = true,
        },
        .recipients = p->recipients,
        .recipient_count = count,
        .take_content = sample_content,
    };
    p->content.checksum = checksum_of(SPAN("Subject: a\r\n\r\nb\r\n"));
    return p;
}

UNUSED static void put(struct bench *b, struct sample *p)
{
    assert_int_equal(store_begin(b->s), 0);
    p->content.has_file = p->message.take_content == NULL;
    assert_int_equal(store_put(b->s, &p->message, &p->content), 0);
    assert_int_equal(store_commit(b->s), 0);
}

UNUSED static int64_t lane_of(struct bench *b, const char *key)
{
    int64_t lane = 0;

    assert_int_equal(store_begin(b->s), 0);
    assert_int_equal(store_lane(b->s, span_of(key), &lane), 0);
    assert_int_equal(store_commit(b->s), 0);
    return lane;
}

/* Works that a read gave, kept. */
struct works {
    struct queue_work *at[32];
    struct store_content content[32];
    size_t count;
};

UNUSED static void keep_work(void *user, struct queue_work *take_work,
                             const struct store_content *c)
{
    struct works *w = user;

    assert_true(w->count < 32);
    w->content[w->count] = *c;
    w->at[w->count++] = take_work;
}

UNUSED static void works_free(struct works *w)
{
    for (size_t i = 0; i < w->count; i++)
        free(w->at[i]);
    w->count = 0;
}

UNUSED static bool read_due(struct bench *b, const char *lane, int64_t now_ms,
                            struct works *w)
{
    struct store_cursor cursor = { 0 };
    bool has_more = false;

    assert_int_equal(store_read_due(b->r, lane_of(b, lane), now_ms, &cursor, 32,
                                    keep_work, w, &has_more),
                     0);
    return has_more;
}

UNUSED static bool settle(struct bench *b, const struct queue_work *w, size_t i,
                          enum queue_outcome outcome, int64_t now_ms)
{
    struct queue_result r = {
        .outcome = outcome,
        .due_ms = now_ms + HOUR,
        .expire_ms = w->recipients[i].expire_ms,
        .warn_ms = w->recipients[i].warn_ms,
        .status = STATUS(4, 2, 0),
        .reply = SPAN("450 try | later"),
        .host = SPAN("mx.example.org[192.0.2.1]:25"),
        .delay_ms = { 1, 2, 3, 4 },
    };
    bool is_removed = false, has_file = false;

    assert_int_equal(store_begin(b->s), 0);
    assert_int_equal(
        store_settle(b->s, w, i, &r, now_ms, &is_removed, &has_file), 0);
    assert_int_equal(store_commit(b->s), 0);
    return is_removed;
}

/* The rows of a query on a file, columns with '|' between and rows with '\n';
 * only for looking into a database from a test. */
UNUSED static char *query(const char *path, const char *sql)
{
    struct buffer b = { 0 };
    sqlite3_stmt *st;
    sqlite3 *db;
    int rc;

    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL),
                     SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        if (b.len)
            buffer_put_byte(&b, '\n');
        for (int i = 0; i < sqlite3_column_count(st); i++) {
            if (i)
                buffer_put_byte(&b, '|');
            buffer_put_string(&b, (const char *)sqlite3_column_text(st, i));
        }
    }
    assert_int_equal(rc, SQLITE_DONE);
    sqlite3_finalize(st);
    sqlite3_close(db);
    (void)buffer_string(&b);
    return b.at ? b.at : strdup("");
}

UNUSED static void assert_query(const char *path, const char *sql,
                                const char *expected)
{
    char *rows = query(path, sql);

    assert_string_equal(rows, expected);
    free(rows);
}

/* Makes a file with any SQL in it. */
UNUSED static void make_database(const char *path, const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

#endif
