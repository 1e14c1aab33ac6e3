/*
 * test_admin - the HTTP interface, over its own socket, with a queue that is
 * made up.
 *
 * The functions of queue.h that the interface calls are defined here, so that
 * each test says what the queue answers, and when: answers wait until the loop
 * drains the port.
 */
#include "policy/route.h"
#include "policy/vocabulary/id.h"
#include "relay/admin/admin.h"
#include "tests/unit/no_figures.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

enum { TURNS = 200000 };

/* --------------------------------------------------- a made-up queue ----- */

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
    enum { ASKED_NOTHING, ASKED_LIST, ASKED_COUNT, ASKED_CHANGE,
           ASKED_PREVIEW, ASKED_RANKS, ASKED_STORY, ASKED_COPY, ASKED_PART,
           ASKED_REMEMBER } asked;
    struct queue_filter filter;
    uint64_t after_id;
    uint32_t limit;
    enum queue_change change;
    char who[32], route[32];
    queue_page_fn *page;
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

static void ask(int asked, const struct queue_filter *f, uint64_t token)
{
    fake.asked = asked;
    fake.filter = *f;
    fake.token = token;
    fake.port.events->wake(fake.port.user);
}

void queue_list(struct queue_port *p, const struct queue_filter *f,
                uint64_t after_id, uint32_t limit, queue_page_fn *done,
                uint64_t token)
{
    (void)p;
    fake.after_id = after_id;
    fake.limit = limit;
    fake.page = done;
    fake.lists++;
    ask(ASKED_LIST, f, token);
}

void queue_history(struct queue_port *p, const struct queue_filter *f,
                   const struct queue_place *after, uint32_t limit,
                   queue_history_fn *done, uint64_t token)
{
    (void)p;
    (void)f;
    (void)after;
    (void)limit;
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
    const struct queue_heat_row rows[] = {
        { SPAN("a\x1b.test"), 9, { 4, 5 } }, { SPAN(""), 1, { 1 } }
    };

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

static bool wish(const char *what, struct span name)
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

static void answer_list(void)
{
    static const struct queue_row_recipient to = {
        .address = SPAN_INIT("c@d"), .state = STATE_READY
    };
    struct queue_row rows[256];
    uint64_t id = fake.after_id;
    size_t n = 0;

    assert_in_range(fake.limit, 1, 200);
    while (n < fake.limit && id < fake.rows)
        rows[n++] = (struct queue_row){ .id = ++id,
                                        .sender = SPAN("a@b"),
                                        .state = STATE_READY,
                                        .recipients = &to,
                                        .count = 1 };
    fake.page(fake.port.user, fake.token, fake.rc, rows, n,
              id < fake.rows ? id : 0);
}

static void answer_story(void)
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
        .envelope = { .sender = SPAN("a@b"), .received_ms = 1000,
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

static void answer_copy(void)
{
    int rc = fake.rows ? fake.rc : ERROR_GONE;

    fake.copies += rc == 0;
    fake.copy(fake.port.user, fake.token, rc,
              rc == 0 ? (struct queue_copy *)(void *)&fake : NULL);
}

static void answer_part(void)
{
    char *bytes = test_calloc(1, fake.part_len);
    bool is_last = fake.offset + fake.part_len == COPY_BYTES;

    memset(bytes, 'x', fake.part_len);
    fake.part(fake.port.user, fake.token,
              is_last && fake.is_damaged ? ERROR_CHECKSUM : 0,
              span_make(bytes, fake.part_len));
    test_free(bytes);
}

static void answer_preview(void)
{
    static const struct queue_row_recipient to = {
        .address = SPAN_INIT("c@d"), .state = STATE_READY
    };
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

static void answer_ranks(void)
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

/* ----------------------------------------------------- a made-up client -- */

struct room {
    char folder[64], path[96];
    uv_loop_t loop;
    struct admin *admin;
    struct buffer in; /* the latest answer, headers and body */
};

static void fill_status(void *user, struct admin_status *out)
{
    (void)user;
    *out = (struct admin_status){ .workers = 2, .sessions = 5, .epoch = 1 };
}

static const struct settings *tell_settings(void *user)
{
    static struct route routes[] = { { .title = SPAN_INIT("spare") } };
    static struct settings settings = { .routes = routes, .route_count = 1 };

    (void)user;
    if (!settings.route_index)
        settings.route_index = route_index_new(routes, 1);
    return &settings;
}

/* Providers: "isp/1", which is fetched from until fake_fetch_end, and "other". */
static struct {
    admin_fetched_fn *done;
    void *user;
    uint64_t token;
    unsigned begun;
} fake_fetch;

static void list_fetches(void *user, admin_fetch_fn *each, void *each_user)
{
    assert_ptr_equal(user, &fake_fetch);
    each(each_user, &(struct admin_fetch){ .name = SPAN("isp/1"),
                                           .from = SPAN("smtps://isp.test"),
                                           .is_running = true,
                                           .every_ms = 900000,
                                           .next_ms = 5000 });
    each(each_user, &(struct admin_fetch){ .name = SPAN("other"),
                                           .last_ms = 7000,
                                           .result = SPAN("450 \xff no") });
}

static enum admin_fetch_answer begin_fetch(void *user, struct span name,
                                           admin_fetched_fn *done,
                                           void *done_user, uint64_t token)
{
    assert_ptr_equal(user, &fake_fetch);
    if (span_is(name, SPAN("late")))
        return ADMIN_FETCH_NOT_NOW;
    if (!span_is(name, SPAN("isp/1")))
        return ADMIN_FETCH_UNKNOWN;
    fake_fetch.begun++;
    fake_fetch.done = done;
    fake_fetch.user = done_user;
    fake_fetch.token = token;
    return ADMIN_FETCH_BEGUN;
}

static void fake_fetch_end(void)
{
    fake_fetch.done(fake_fetch.user, fake_fetch.token,
                    &(struct admin_fetch){ .name = SPAN("isp/1"),
                                           .is_ok = true,
                                           .messages = 12,
                                           .refused = 1,
                                           .last_ms = 9000,
                                           .result = SPAN("12 messages") });
}

static int room_open(void **state)
{
    struct room *r = calloc(1, sizeof(*r));
    struct buffer why = { 0 };
    struct admin_options o = { .status = fill_status,
                               .settings = tell_settings,
                               .fetches = { list_fetches, begin_fetch,
                                            &fake_fetch } };

    memset(&fake, 0, sizeof(fake));
    memset(&fake_fetch, 0, sizeof(fake_fetch));
    memset(&fake_wish, 0, sizeof(fake_wish));
    (void)snprintf(r->folder, sizeof(r->folder), "/tmp/waypost-admin-XXXXXX");
    assert_non_null(mkdtemp(r->folder));
    (void)snprintf(r->path, sizeof(r->path), "%s/socket", r->folder);
    o.socket = span_of(r->path);
    assert_int_equal(uv_loop_init(&r->loop), 0);
    assert_int_equal(admin_open(&r->admin, &r->loop, NULL, &o, &why), 0);
    assert_int_equal(why.len, 0);
    *state = r;
    return 0;
}

static int room_close(void **state)
{
    struct room *r = *state;

    if (r->admin)
        admin_close(r->admin, NULL, NULL);
    assert_int_equal(uv_run(&r->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&r->loop), 0);
    assert_int_equal(access(r->path, F_OK), -1);
    assert_int_equal(rmdir(r->folder), 0);
    buffer_fini(&r->in);
    free(r);
    return 0;
}

static int dial(struct room *r)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    memcpy(at.sun_path, r->path, strlen(r->path));
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void say(int fd, struct span text)
{
    assert_int_equal(send(fd, text.at, text.len, MSG_NOSIGNAL), text.len);
}

/* Turns the loop until the server has closed. */
static void hear(struct room *r, int fd)
{
    char bytes[4096];

    buffer_clear(&r->in);
    for (int i = 0; i < TURNS; i++) {
        ssize_t n = read(fd, bytes, sizeof(bytes));

        if (n == 0)
            break;
        if (n > 0)
            buffer_put(&r->in, span_make(bytes, (size_t)n));
        else
            uv_run(&r->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(close(fd), 0);
}

/* Asks and answers the status; the whole answer is in r->in. */
static int request(struct room *r, const char *method, const char *path,
                   const char *body)
{
    struct buffer out = { 0 };
    int fd = dial(r);

    buffer_printf(&out,
                  "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                  "Content-Length: %zu\r\n\r\n%s",
                  method, path, strlen(body), body);
    say(fd, buffer_span(&out));
    buffer_fini(&out);
    hear(r, fd);
    assert_true(r->in.len > 12);
    return (int)strtol(buffer_string(&r->in) + 9, NULL, 10);
}

static bool heard(struct room *r, const char *text)
{
    return strstr(buffer_string(&r->in), text) != NULL;
}

/* ------------------------------------------------------------- tests ----- */

static void admin_socket_is_for_its_owner_alone(void **state)
{
    struct room *r = *state;
    struct stat st;

    assert_int_equal(stat(r->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void admin_refuses_paths_and_methods_it_does_not_have(void **state)
{
    /* clang-format off */
    static const struct { const char *method, *path; int status; } rows[] = {
        { "GET",    "/healthz",                 200 },
        { "HEAD",   "/healthz",                 200 },
        { "POST",   "/healthz",                 405 },
        { "GET",    "/",                        200 },
        { "GET",    "/page.css",                200 },
        { "GET",    "/page.c",                  404 },
        { "GET",    "/../page.css",             404 },
        { "POST",   "/",                        405 },
        { "GET",    "/api/v1/destinations?busiest=x", 400 },
        { "GET",    "/api/v1/nothing",          404 },
        { "GET",    "/api/v1/queue/",           404 },
        { "GET",    "/api/v1/queue/a/b",        404 },
        { "GET",    "/api/v1/queue/nonsense",   404 },
        { "POST",   "/api/v1/queue",            405 },
        { "DELETE", "/api/v1/queue/01HF8M5XK3QZA", 405 },
        { "GET",    "/api/v1/queue?sender=a",   400 },
        { "GET",    "/api/v1/queue?older=x",    400 },
        { "GET",    "/api/v1/queue/count?id=1", 400 },
    };
    /* clang-format on */

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int status = request(*state, rows[i].method, rows[i].path, "");

        assert_int_equal(status, rows[i].status);
        if (status >= 400)
            assert_true(heard(*state, "{\"error\":\""));
        if (status == 405)
            assert_true(heard(*state, "Allow: "));
    }
    assert_int_equal(fake.lists, 0);
}

static void admin_tells_its_status(void **state)
{
    assert_int_equal(request(*state, "GET", "/api/v1/status", ""), 200);
    assert_true(heard(*state, "\"version\":\"" WAYPOST_VERSION "\""));
    assert_true(heard(*state, "\"workers\":2,\"sessions\":5,\"reloads\":0"));
    assert_true(heard(*state, "\"puts\":7"));
}

static void admin_lists_page_by_page_and_in_order(void **state)
{
    struct room *r = *state;
    int fd = dial(r);
    const char *at;

    fake.rows = 1000;
    /* Without HTTP/1.1 there are no chunks, which would cut ids in two. */
    say(fd, SPAN("GET /api/v1/queue?from=*%40b&state=ready HTTP/1.0\r\n\r\n"));
    hear(r, fd);
    assert_true(heard(r, " 200 "));
    assert_true(fake.lists > 5);
    assert_int_equal(fake.filter.states, STATE_READY);
    at = buffer_string(&r->in);
    for (uint64_t id = 1; id <= fake.rows; id++) {
        at = strstr(at, id_print(id).at);
        assert_non_null(at);
    }
    assert_int_equal(request(r, "GET", "/api/v1/queue", ""), 200);
    assert_true(heard(r, "\r\n0\r\n"));
}

static void admin_asks_for_no_page_that_nobody_reads(void **state)
{
    struct room *r = *state;
    int fd = dial(r);

    fake.rows = 1000000;
    say(fd, SPAN("GET /api/v1/queue HTTP/1.1\r\nHost: x\r\n\r\n"));
    for (int i = 0; i < 3000; i++)
        uv_run(&r->loop, UV_RUN_NOWAIT);
    /* What fits in the socket's buffers, and a page. */
    assert_in_range(fake.lists, 1, 200);
    assert_int_equal(close(fd), 0);
}

static void admin_says_so_when_the_queue_fails(void **state)
{
    fake.rc = ERROR_STORE;
    assert_int_equal(request(*state, "GET", "/api/v1/queue", ""), 503);
    assert_int_equal(request(*state, "GET", "/api/v1/queue/count", ""), 503);
    assert_int_equal(
        request(*state, "POST", "/api/v1/queue/retry", "{\"yes\": true}"), 503);
}

static void admin_changes_only_what_was_meant(void **state)
{
    enum { NO_CHANGE = ASKED_NOTHING };
    /* clang-format off */
    static const struct {
        const char *path, *body; int status; int asked;
        enum queue_change change; unsigned states;
    } rows[] = {
        { "retry", "{\"yes\":true}", 200, ASKED_CHANGE, CHANGE_RETRY,
          STATE_ACTIVE | STATE_READY | STATE_DEFERRED },
        { "delete", "{\"from\":\"a\",\"yes\":true}", 200, ASKED_CHANGE, CHANGE_DELETE, 0 },
        { "delete", "{\"id\":\"01HF8M5XK3QZA\"}", 200, ASKED_CHANGE, CHANGE_DELETE, 0 },
        { "undelete", "{\"yes\":true}", 200, ASKED_CHANGE, CHANGE_UNDELETE, STATE_DELETED },
        { "hold", "{\"yes\":true}", 200, ASKED_CHANGE, CHANGE_HOLD,
          STATE_ACTIVE | STATE_READY | STATE_DEFERRED },
        { "release", "{\"yes\":true}", 200, ASKED_CHANGE, CHANGE_RELEASE, STATE_HELD },
        { "delete", "{\"preview\":true}", 200, ASKED_PREVIEW, 0, 0 },
        { "delete", "{\"yes\":true,\"preview\":true}", 200, ASKED_PREVIEW, 0, 0 },
        { "delete", "{\"id\":\"01HF8M5XK3QZA\",\"preview\":true}", 200, ASKED_PREVIEW, 0, 0 },
        { "delete", "{\"yes\":true,\"progress\":true}", 200, ASKED_CHANGE, CHANGE_DELETE, 0 },
        { "move", "{\"yes\":true,\"route\":\"spare\"}", 200, ASKED_CHANGE, CHANGE_MOVE, 0 },
        { "move", "{\"preview\":true,\"route\":\"spare\"}", 200, ASKED_PREVIEW, 0, 0 },
        { "move", "{\"yes\":true,\"route\":\"gone\"}", 404, NO_CHANGE, 0, 0 },
        { "move", "{\"yes\":true,\"route\":7}", 400, NO_CHANGE, 0, 0 },
        { "move", "{\"yes\":true,\"route\":\"\"}", 400, NO_CHANGE, 0, 0 },
        { "move", "{\"yes\":true}", 400, NO_CHANGE, 0, 0 },
        { "bounce", "{\"yes\":true,\"why\":\"spam\"}", 200, ASKED_CHANGE, CHANGE_BOUNCE, 0 },
        { "bounce", "{\"yes\":true,\"why\":[]}", 400, NO_CHANGE, 0, 0 },
        { "bounce", "{\"yes\":true,\"route\":\"spare\"}", 400, NO_CHANGE, 0, 0 },
        { "hold", "{\"yes\":true,\"why\":\"spam\"}", 200, ASKED_CHANGE, CHANGE_HOLD,
          STATE_ACTIVE | STATE_READY | STATE_DEFERRED },
        { "release", "{\"yes\":true,\"why\":\"spam\"}", 400, NO_CHANGE, 0, 0 },
        { "delete", "", 400, NO_CHANGE, 0, 0 },
        { "delete", "{}", 400, NO_CHANGE, 0, 0 },
        { "delete", "{\"yes\":false}", 400, NO_CHANGE, 0, 0 },
        { "delete", "{\"yes\":\"true\"}", 400, NO_CHANGE, 0, 0 },
        { "delete", "{\"id\":\"01HF8M5XK3QZA\",\"preview\":1}", 400, NO_CHANGE, 0, 0 },
        { "delete", "{\"yes\":true,\"form\":\"a\"}", 400, NO_CHANGE, 0, 0 },
        { "delete", "{\"yes\":true,\"from\":\"a\",\"from\":\"b\"}", 400, NO_CHANGE, 0, 0 },
        { "delete", "[]", 400, NO_CHANGE, 0, 0 },
        { "delete", "{\"yes\":true", 400, NO_CHANGE, 0, 0 },
        { "delete", "\xff", 400, NO_CHANGE, 0, 0 },
    };
    /* clang-format on */

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char path[64];

        fake.count = NULL;
        fake.preview = NULL;
        fake.route[0] = '\0';
        fake.filter = (struct queue_filter){ 0 };
        fake.who[0] = '\0';
        (void)snprintf(path, sizeof(path), "/api/v1/queue/%s", rows[i].path);
        assert_int_equal(request(*state, "POST", path, rows[i].body),
                         rows[i].status);
        assert_int_equal(fake.count != NULL, rows[i].asked == ASKED_CHANGE);
        assert_int_equal(fake.preview != NULL, rows[i].asked == ASKED_PREVIEW);
        if (rows[i].asked == ASKED_CHANGE) {
            assert_int_equal(fake.change, rows[i].change);
            assert_int_equal(fake.filter.states, rows[i].states);
            assert_int_equal(strncmp(fake.who, "uid=", 4), 0);
            assert_true(heard(*state, "\"messages\":3"));
            assert_true(heard(*state, "\"changed\":true"));
            assert_int_equal(heard(*state, "\"progress\":{\"messages\":3"),
                             strstr(rows[i].body, "progress") != NULL);
            assert_string_equal(fake.route,
                                rows[i].change == CHANGE_MOVE ? "spare" : "");
        } else if (rows[i].asked == ASKED_PREVIEW) {
            assert_string_equal(fake.who, "");
            assert_true(heard(*state, "\"preview\":true"));
            assert_true(heard(*state, "\"first\":[{\"queue_id\""));
            assert_true(heard(*state, "{\"name\":\"mx:d\",\"recipients\":4}"));
            assert_false(heard(*state, "\x1b"));
        }
    }
}

static void admin_tells_all_about_one_message(void **state)
{
    static const char *const told[] = {
        "\"why\":\"its destination is backing off until ",
        ", because 4.4.1 \\\\x1B[2J\"",
        "\"why\":\"it is held by the rule \\\"sp\\\\x1B\\\"\"",
        "\"tries\":[{\"at\":1,\"host\":\"mx.d\",\"status\":\"4.2.0\"",
        "\"lines\":[\"> QUIT\",\"< 221 ",
        "\"header\":\"Subject: \\\\x1B[31mred\\nX: \\\\xFF\\n\"",
        "\"destination\":\"mx:d\"",
    };

    fake.rows = 1;
    assert_int_equal(
        request(*state, "GET", "/api/v1/queue/01HF8M5XK3QZA", ""), 200);
    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
        if (!heard(*state, told[i]))
            print_message("%s not in %s\n", told[i],
                          buffer_string(&((struct room *)*state)->in));
        assert_true(heard(*state, told[i]));
    }
    assert_false(heard(*state, "\x1b"));
    fake.rows = 0;
    assert_int_equal(
        request(*state, "GET", "/api/v1/queue/01HF8M5XK3QZA", ""), 404);
    assert_int_equal(request(*state, "GET", "/api/v1/queue/nonsense", ""), 404);
}

/* How much of a body came, and did it end as it should? */
static size_t content_heard(struct room *r, bool *out_ended)
{
    const char *at = strstr(buffer_string(&r->in), "\r\n\r\n");
    size_t n = 0;

    assert_non_null(at);
    *out_ended = strcmp(buffer_string(&r->in) + r->in.len - 5, "0\r\n\r\n") == 0;
    for (; *at; at++)
        n += *at == 'x';
    return n;
}

static void admin_hands_out_content_and_breaks_off_what_is_damaged(void **state)
{
    const char *path = "/api/v1/queue/01HF8M5XK3QZA/content";
    bool is_whole;

    fake.rows = 1;
    assert_int_equal(request(*state, "GET", path, ""), 200);
    assert_true(heard(*state, "message/rfc822"));
    assert_int_equal(content_heard(*state, &is_whole), COPY_BYTES);
    assert_true(is_whole);
    assert_int_equal(request(*state, "GET",
                             "/api/v1/queue/01HF8M5XK3QZA/content?part=header",
                             ""),
                     200);
    assert_int_equal(content_heard(*state, &is_whole), COPY_HEADER);
    fake.is_damaged = true;
    assert_int_equal(request(*state, "GET", path, ""), 200);
    assert_in_range(content_heard(*state, &is_whole), 1, COPY_BYTES - 1);
    assert_false(is_whole);
    fake.rows = 0;
    assert_int_equal(request(*state, "GET", path, ""), 404);
    assert_int_equal(request(*state, "GET", "/api/v1/queue//content", ""), 404);
    assert_int_equal(fake.copies, 0);
}

static void admin_pages_lists_by_limit_and_after(void **state)
{
    char path[64];

    fake.rows = 500;
    assert_int_equal(request(*state, "GET", "/api/v1/queue?limit=30", ""), 200);
    (void)snprintf(path, sizeof(path), "\"%s\"", id_print(30).at);
    assert_true(heard(*state, path));
    (void)snprintf(path, sizeof(path), "\"%s\"", id_print(31).at);
    assert_false(heard(*state, path));
    (void)snprintf(path, sizeof(path), "/api/v1/queue?limit=1&after=%s",
                   id_print(30).at);
    assert_int_equal(request(*state, "GET", path, ""), 200);
    assert_int_equal(fake.limit, 1);
    assert_int_equal(fake.after_id, 30);
    assert_int_equal(request(*state, "GET", "/api/v1/queue?limit=0", ""), 400);
    assert_int_equal(request(*state, "GET", "/api/v1/queue?after=x", ""), 400);
}

static void admin_tells_who_fills_the_queue(void **state)
{
    static const struct {
        const char *query;
        int status;
        enum queue_rank_key by;
        size_t limit;
    } rows[] = {
        { "", 200, RANK_LOGIN, 20 },
        { "?by=from&limit=5", 200, RANK_FROM, 5 },
        { "?by=via&domain=*.test", 200, RANK_VIA, 20 },
        { "?by=domain", 200, RANK_DOMAIN, 20 },
        { "?by=client", 200, RANK_CLIENT, 20 },
        { "?by=moon", 400, 0, 0 },
        { "?by=", 400, 0, 0 },
        { "?limit=1001", 400, 0, 0 },
        { "?colour=red", 400, 0, 0 },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char path[80];

        (void)snprintf(path, sizeof path, "/api/v1/queue/top%s", rows[i].query);
        fake.ranks = NULL;
        assert_int_equal(request(*state, "GET", path, ""), rows[i].status);
        assert_int_equal(fake.ranks != NULL, rows[i].status == 200);
        if (rows[i].status != 200)
            continue;
        assert_int_equal(fake.by, rows[i].by);
        assert_int_equal(fake.part_len, rows[i].limit);
        assert_true(heard(*state, "\"messages\":3,\"recipients\":4"));
        assert_true(heard(*state, "\"name\":\"\"}\n"));
        assert_true(heard(*state, "\"name\":null}\n"));
        assert_false(heard(*state, "\x1b"));
    }
}

static void admin_tells_where_mail_waits_and_which_routes_there_are(void **state)
{
    assert_int_equal(request(*state, "GET", "/api/v1/queue/heat", ""), 200);
    assert_true(heard(*state, "\"bounds_min\":[5,10,20,40,80,160,320,640,1280]"));
    assert_true(heard(*state, "{\"domain\":\"a\\u001B.test\",\"total\":9,"
                              "\"cells\":[4,5,0,0,0,0,0,0,0,0]}"));
    assert_true(heard(*state, "{\"domain\":null,\"total\":1"));
    assert_int_equal(request(*state, "GET", "/api/v1/queue/heat?limit=x", ""),
                     400);
    assert_int_equal(request(*state, "GET", "/api/v1/routes", ""), 200);
    assert_true(heard(*state, "{\"title\":\"spare\",\"to\":[],\"via\":[]}"));
}

static void admin_refuses_a_large_body(void **state)
{
    struct room *r = *state;
    struct buffer out = { 0 };
    char *large = calloc(1, 70001);
    int fd;

    memset(large, ' ', 70000);
    assert_int_equal(request(r, "POST", "/api/v1/queue/delete", large), 413);
    /* The same without a length in front. */
    fd = dial(r);
    buffer_printf(&out,
                  "POST /api/v1/queue/delete HTTP/1.1\r\nHost: x\r\n"
                  "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "%x\r\n%s\r\n0\r\n\r\n",
                  70000U, large);
    say(fd, buffer_span(&out));
    hear(r, fd);
    assert_true(heard(r, "HTTP/1.1 413 "));
    /* One that is not waited for. */
    fd = dial(r);
    say(fd, SPAN("POST /api/v1/queue/delete HTTP/1.1\r\nHost: x\r\n"
                 "Content-Length: 99999999999\r\n\r\n"));
    hear(r, fd);
    assert_true(heard(r, "HTTP/1.1 413 "));
    assert_null(fake.count);
    buffer_fini(&out);
    free(large);
}

static void admin_survives_a_client_that_leaves_while_it_waits(void **state)
{
    struct room *r = *state;
    int fd = dial(r);

    fake.is_silent = true;
    say(fd, SPAN("GET /api/v1/queue/count HTTP/1.1\r\nHost: x\r\n\r\n"));
    for (int i = 0; i < 100; i++)
        uv_run(&r->loop, UV_RUN_NOWAIT);
    assert_int_equal(fake.asked, ASKED_COUNT);
    assert_int_equal(close(fd), 0);
    fake.is_silent = false;
    fake.port.events->wake(fake.port.user);
    for (int i = 0; i < 100; i++)
        uv_run(&r->loop, UV_RUN_NOWAIT);
    assert_int_equal(request(r, "GET", "/healthz", ""), 200);
}

static void admin_closes_while_a_client_waits(void **state)
{
    struct room *r = *state;
    int fd = dial(r);

    fake.is_silent = true;
    say(fd, SPAN("GET /api/v1/queue HTTP/1.1\r\nHost: x\r\n\r\n"));
    for (int i = 0; i < 100; i++)
        uv_run(&r->loop, UV_RUN_NOWAIT);
    assert_int_equal(fake.asked, ASKED_LIST);
    admin_close(r->admin, NULL, NULL);
    r->admin = NULL;
    hear(r, fd);
}

static void admin_replaces_a_dead_socket_and_nothing_else(void **state)
{
    struct room *r = *state;
    struct admin_options o = { .socket = span_of(r->path) };
    struct buffer why = { 0 };
    struct admin *other;
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd;

    /* One that answers. */
    assert_int_equal(admin_open(&other, &r->loop, NULL, &o, &why), -EADDRINUSE);
    assert_true(why.len > 0);
    admin_close(r->admin, NULL, NULL);
    r->admin = NULL;
    /* A file of somebody's. */
    fd = open(r->path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(close(fd), 0);
    assert_int_equal(admin_open(&other, &r->loop, NULL, &o, &why), -EEXIST);
    assert_int_equal(unlink(r->path), 0);
    /* A dead one. */
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    memcpy(at.sun_path, r->path, strlen(r->path));
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(admin_open(&r->admin, &r->loop, NULL, &o, &why), 0);
    assert_int_equal(request(r, "GET", "/healthz", ""), 200);
    buffer_fini(&why);
}

#define WITH_ROOM(test)                                                        \
    cmocka_unit_test_setup_teardown(test, room_open, room_close)

static void admin_lists_destinations_by_pattern(void **state)
{
    struct room *r = *state;

    assert_int_equal(request(r, "GET", "/api/v1/destinations", ""), 200);
    assert_true(heard(r, "\"name\":\"smtp://[::1]:25\",\"state\":\"offline\","
                         "\"on_demand\":true,\"due\":null,"
                         "\"last_good\":null"));
    assert_true(heard(r, "\"fetched\":true,\"opens\":7,\"closes\":null"));
    assert_true(heard(r, "\"mx:z.test\",\"state\":\"suspended\""));
    assert_true(heard(r, "\"due\":5,"));
    assert_true(heard(r, "\"fetched\":false,\"opens\":null,\"closes\":9"));
    assert_int_equal(
        request(r, "GET", "/api/v1/destinations?name=mx%3A%5Bab%5D.test", ""),
        200);
    assert_true(heard(r, "mx:a.test"));
    assert_true(heard(r, "mx:b.test"));
    assert_false(heard(r, "mx:c.test"));
    assert_false(heard(r, "smtp://"));
    assert_int_equal(
        request(r, "GET", "/api/v1/destinations?name=smtp%3A%2F%2F%5B%3A%3A1%5D%3A25",
                ""),
        200);
    assert_true(heard(r, "smtp://[::1]:25"));
    assert_int_equal(request(r, "GET", "/api/v1/destinations?name=no", ""), 200);
    assert_false(heard(r, "{"));
}

static void admin_orders_only_what_was_meant(void **state)
{
    /* clang-format off */
    static const struct {
        const char *order, *body; int status; size_t count; const char *wanted;
    } rows[] = {
        { "retry",   "{\"name\": \"smtp://[::1]:25\"}",               200, 1, "release" },
        { "probe",   "{\"name\": \"mx:a.test\"}",                     200, 1, "probe" },
        { "resume",  "{\"name\": \"MX:A.test\"}",                     200, 1, "resume" },
        { "resume",  "{\"name\": \"mx:new.test\"}",                   404, 0, NULL },
        { "suspend", "{\"name\": \"mx:new.test\"}",                   200, 1, "suspend" },
        { "suspend", "{\"name\": \"mx:new*\"}",                       404, 0, NULL },
        { "suspend", "{\"name\": \"mx:*\"}",                          400, 0, NULL },
        { "suspend", "{\"name\": \"mx:*\", \"preview\": true}",     200, 0, NULL },
        { "retry",   "{\"name\": \"mx:*\", \"yes\": true}",         200, 26, "release" },
        { "retry",   "{}",                                                400, 0, NULL },
        { "retry",   "{\"name\": \"\"}",                              400, 0, NULL },
        { "retry",   "{\"name\": 7}",                                   400, 0, NULL },
        { "retry",   "{\"nam\": \"x\"}",                              400, 0, NULL },
        { "retry",   "[]",                                                400, 0, NULL },
        { "retry",   "{\"name\": \"mx:a.test\", \"yes\": 1}",       400, 0, NULL },
        { "suspend", "{\"name\": \"mx:a.test\", \"until\": \"soon\"}", 400, 0, NULL },
        { "suspend", "{\"name\": \"mx:a.test\", \"until\": \"0\"}", 400, 0, NULL },
        { "forget",  "{\"name\": \"mx:a.test\"}",                     404, 0, NULL },
    };
    /* clang-format on */

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char path[64];

        memset(&fake_wish, 0, sizeof(fake_wish));
        (void)snprintf(path, sizeof(path), "/api/v1/destinations/%s",
                       rows[i].order);
        assert_int_equal(request(*state, "POST", path, rows[i].body),
                         rows[i].status);
        assert_int_equal(fake_wish.count, rows[i].count);
        if (rows[i].wanted)
            assert_string_equal(fake_wish.wanted, rows[i].wanted);
        if (rows[i].count == 26)
            assert_true(heard(*state, "\"destinations\":26,\"skipped\":1"));
    }
    assert_int_equal(request(*state, "POST", "/api/v1/destinations/suspend",
                             "{\"name\": \"mx:a.test\", \"until\": \"2h\","
                             " \"reason\": \"new disk\"}"),
                     200);
    assert_true(fake_wish.has_end);
    assert_string_equal(fake_wish.reason, "new disk");
}

static void admin_answers_an_order_when_it_is_on_disk(void **state)
{
    memset(&fake_wish, 0, sizeof(fake_wish));
    fake.rc = ERROR_FULL;
    assert_int_equal(request(*state, "POST", "/api/v1/destinations/suspend",
                             "{\"name\": \"mx:a.test\"}"),
                     503);
    assert_int_equal(fake_wish.count, 1);
    assert_false(heard(*state, "\"destinations\""));
    fake.rc = 0;
}

static void admin_lists_providers(void **state)
{
    assert_int_equal(request(*state, "GET", "/api/v1/fetches", ""), 200);
    assert_true(heard(*state,
                      "{\"name\":\"isp/1\",\"from\":\"smtps://isp.test\","
                      "\"state\":\"running\",\"every\":900,\"last\":null,"
                      "\"next\":5,\"ok\":null,\"messages\":0,\"refused\":0,"
                      "\"result\":null}\n"));
    assert_true(heard(*state, "\"last\":7,\"next\":null,\"ok\":false,"));
    assert_true(heard(*state, "\"result\":\"450 \\\\xFF no\""));
}

static void admin_answers_when_the_fetch_is_over(void **state)
{
    static const char post[] = "POST /api/v1/fetches/isp%2F1 HTTP/1.1\r\n"
                               "Host: x\r\nConnection: close\r\n"
                               "Content-Length: 0\r\n\r\n";
    struct room *r = *state;
    int fd = dial(r);
    char byte;

    say(fd, span_of(post));
    for (int i = 0; i < 100; i++)
        uv_run(&r->loop, UV_RUN_NOWAIT);
    assert_int_equal(fake_fetch.begun, 1);
    assert_int_equal(read(fd, &byte, 1), -1);
    fake_fetch_end();
    hear(r, fd);
    assert_true(heard(r, "200 OK"));
    assert_true(heard(r, "\"ok\":true,\"messages\":12,\"refused\":1,"
                         "\"result\":\"12 messages\"}"));
    assert_int_equal(request(r, "POST", "/api/v1/fetches/none", ""), 404);
    assert_true(heard(r, "there is no fetch \\\"none\\\""));
    assert_int_equal(request(r, "POST", "/api/v1/fetches/late", ""), 503);
    assert_int_equal(request(r, "POST", "/api/v1/fetches/", ""), 404);
    assert_int_equal(request(r, "GET", "/api/v1/fetches/none", ""), 405);
    /* its token is of a request that is gone */
    fake_fetch_end();
}

static void admin_closes_while_a_fetch_is_awaited(void **state)
{
    struct room *r = *state;
    int fd = dial(r);

    say(fd, SPAN("POST /api/v1/fetches/isp/1 HTTP/1.1\r\nHost: x\r\n"
                 "Content-Length: 0\r\n\r\n"));
    for (int i = 0; i < 100; i++)
        uv_run(&r->loop, UV_RUN_NOWAIT);
    assert_int_equal(fake_fetch.begun, 1);
    admin_close(r->admin, NULL, NULL);
    r->admin = NULL;
    hear(r, fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOM(admin_socket_is_for_its_owner_alone),
        WITH_ROOM(admin_refuses_paths_and_methods_it_does_not_have),
        WITH_ROOM(admin_tells_its_status),
        WITH_ROOM(admin_lists_page_by_page_and_in_order),
        WITH_ROOM(admin_asks_for_no_page_that_nobody_reads),
        WITH_ROOM(admin_says_so_when_the_queue_fails),
        WITH_ROOM(admin_changes_only_what_was_meant),
        WITH_ROOM(admin_tells_who_fills_the_queue),
        WITH_ROOM(admin_lists_destinations_by_pattern),
        WITH_ROOM(admin_orders_only_what_was_meant),
        WITH_ROOM(admin_answers_an_order_when_it_is_on_disk),
        WITH_ROOM(admin_lists_providers),
        WITH_ROOM(admin_answers_when_the_fetch_is_over),
        WITH_ROOM(admin_closes_while_a_fetch_is_awaited),
        WITH_ROOM(admin_refuses_a_large_body),
        WITH_ROOM(admin_tells_all_about_one_message),
        WITH_ROOM(admin_hands_out_content_and_breaks_off_what_is_damaged),
        WITH_ROOM(admin_pages_lists_by_limit_and_after),
        WITH_ROOM(admin_tells_where_mail_waits_and_which_routes_there_are),
        WITH_ROOM(admin_survives_a_client_that_leaves_while_it_waits),
        WITH_ROOM(admin_closes_while_a_client_waits),
        WITH_ROOM(admin_replaces_a_dead_socket_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
