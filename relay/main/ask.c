/*
 * ask - a question to the running relay, over its admin socket.
 *
 * HTTP by libcurl. Lines of the answer are handed out while it arrives, so that
 * a long list needs no memory here and, since a slow reader slows the relay's
 * side down, none there.
 *
 * A list that was cut off midway (the relay went down) ends with an error,
 * never as if it were whole.
 */
#include "relay/main/ask.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    LINE_MOST = 64 * 1024 * 1024,
    HTTP_ERRORS = 400,
    WAIT_MS = 60 * 1000,
    LONG_BYTES = 256 * 1024, /* what goes on behind them is a long list */
    LONG_NICE = 15,
};

struct ask {
    CURL *curl;
    char *socket;
    struct buffer query;
    struct buffer line;  /* what has come of the next object */
    struct buffer error; /* what the relay said was wrong */
    ask_fn *each;
    ask_bytes_fn *each_line;  /* instead of each, but for errors; or NULL */
    ask_event_fn *each_event; /* NULL: lines are objects */
    char event[32];           /* whose data comes next; empty: "message" */
    ask_bytes_fn *bytes; /* instead of each, where it is no error; or NULL */
    void *user;
    bool is_ended;   /* `each` has had enough */
    bool is_refusal; /* by its status: what comes says why */
    size_t got;      /* bytes of the answer, so far */
    bool is_nice;
    const char *patience; /* for a terminal that waits; or NULL */
    bool has_patience;    /* it stands there now */
};

struct ask *ask_new(struct span socket)
{
    struct ask *a = NEW(struct ask);

    ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    a->curl = curl_easy_init();
    ASSERT(a->curl);
    a->socket = span_dup(socket);
    a->line.cap = LINE_MOST;
    return a;
}

void ask_free(struct ask *a)
{
    if (!a)
        return;
    curl_easy_cleanup(a->curl);
    curl_global_cleanup();
    free(a->socket);
    buffer_fini(&a->query);
    buffer_fini(&a->line);
    buffer_fini(&a->error);
    free(a);
}

/* 0: somebody listens there. */
static int knock(const struct ask *a)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int fd, rc = 0;

    if (strlen(a->socket) >= sizeof to.sun_path)
        return -ENAMETOOLONG;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    memcpy(to.sun_path, a->socket, strlen(a->socket));
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        rc = -errno;
    (void)close(fd);
    return rc;
}

bool ask_is_there(const struct ask *a)
{
    return knock(a) == 0;
}

bool ask_is_forbidden(const struct ask *a)
{
    return knock(a) == -EACCES;
}

void ask_patience(struct ask *a, const char *text)
{
    a->patience = text;
}

void ask_add(struct ask *a, const char *key, const char *value)
{
    char *text = curl_easy_escape(a->curl, value, 0);

    ASSERT(text);
    buffer_printf(&a->query, "%c%s=%s", a->query.len ? '&' : '?', key, text);
    curl_free(text);
}

static bool take_object(struct ask *a)
{
    json_error_t why;
    json_t *o = json_loadb(a->line.at, a->line.len, JSON_ALLOW_NUL, &why);
    json_t *error = json_object_get(o, "error");
    bool goes_on = true;

    buffer_clear(&a->line);
    if (!o) {
        buffer_printf(&a->error, "the relay's answer makes no sense: %s",
                      why.text);
        return false;
    }
    if (json_is_string(error)) {
        buffer_clear(&a->error);
        buffer_put_escaped(&a->error, span_of(json_string_value(error)));
    } else {
        goes_on =
            a->each_event
                ? a->each_event(a->user, *a->event ? a->event : "message", o)
                : a->each(a->user, o);
        a->is_ended = !goes_on;
    }
    json_decref(o);
    return goes_on;
}

static bool is_error(struct span line)
{
    static const struct span begin = SPAN_INIT("{\"error\":");

    return span_is(span_first(line, begin.len), begin);
}

/* One line. false: stop. */
static bool take_line(struct ask *a)
{
    static const struct span data = SPAN_INIT("data: "),
                             event = SPAN_INIT("event: ");
    struct span line = buffer_span(&a->line);

    if (a->each_line && !a->is_refusal && !is_error(line)) {
        a->is_ended = !a->each_line(a->user, line);
        buffer_clear(&a->line);
        return !a->is_ended;
    }
    if (!a->each_event || line.at[0] == '{')
        return take_object(a);
    if (span_is(span_first(line, data.len), data)) {
        bool goes_on;

        buffer_drop(&a->line, data.len);
        goes_on = take_object(a);
        a->event[0] = 0;
        return goes_on;
    }
    if (span_is(span_first(line, event.len), event))
        (void)snprintf(a->event, sizeof a->event, "%.*s",
                       SPAN_FMT(span_skip(line, event.len)));
    buffer_clear(&a->line);
    return true;
}

/* Somebody at a terminal sees at once that it is being worked on. */
static void put_patience(struct ask *a)
{
    if (!a->patience || !isatty(STDERR_FILENO))
        return;
    (void)fprintf(stderr, "%s ...", a->patience);
    (void)fflush(stderr);
    a->has_patience = true;
}

static void clear_patience(struct ask *a)
{
    if (a->has_patience)
        (void)fputs("\r\033[K", stderr);
    a->has_patience = false;
}

/* Whoever prints a million rows takes no turn from the mail; the first of them, and short
 * answers, come as soon as they can. Where it is refused they only come sooner. */
static void be_nice(struct ask *a, size_t more)
{
    a->got += more;
    if (a->is_nice || a->got < LONG_BYTES)
        return;
    a->is_nice = true;
    if (getpriority(PRIO_PROCESS, 0) < LONG_NICE)
        (void)setpriority(PRIO_PROCESS, 0, LONG_NICE);
}

static size_t on_bytes(char *at, size_t size, size_t count, void *user)
{
    struct ask *a = user;
    struct span in = { at, size * count }, rest;
    long code = 0;

    clear_patience(a);
    curl_easy_getinfo(a->curl, CURLINFO_RESPONSE_CODE, &code);
    if (a->bytes && code < HTTP_ERRORS) {
        a->is_ended = !a->bytes(a->user, in);
        return a->is_ended ? 0 : in.len;
    }
    a->is_refusal = code >= HTTP_ERRORS;
    be_nice(a, in.len);
    while (in.len) {
        struct span line = span_split(in, '\n', &rest);

        buffer_put(&a->line, line);
        if (a->line.overflow)
            return 0;
        if (rest.at && a->line.len && !take_line(a))
            return 0;
        in = rest;
    }
    (void)fflush(
        stdout); /* what has come is seen, however long the next takes */
    return size * count;
}

static int complain(struct ask *a, CURLcode rc)
{
    long code = 0;

    curl_easy_getinfo(a->curl, CURLINFO_RESPONSE_CODE, &code);
    if (a->is_ended)
        return EX_OK;
    if (a->error.len) {
        (void)fprintf(stderr, "waypost: %s\n", buffer_string(&a->error));
        return code == 404                 ? EX_NOINPUT
               : code >= 500 || code < 400 ? EX_TEMPFAIL
                                           : EX_USAGE;
    }
    if (rc == CURLE_COULDNT_CONNECT && ask_is_forbidden(a)) {
        (void)fprintf(stderr,
                      "waypost: you may not ask the relay on %s; be root, or "
                      "the user that it runs as\n",
                      a->socket);
        return EX_NOPERM;
    }
    if (rc == CURLE_COULDNT_CONNECT) {
        (void)fprintf(stderr,
                      "waypost: no relay answers on %s: see systemctl status "
                      "waypost; systemctl start waypost starts it, without "
                      "systemd waypost run\n",
                      a->socket);
        return EX_UNAVAILABLE;
    }
    if (rc != CURLE_OK) {
        (void)fprintf(stderr,
                      "waypost: the answer of the relay broke off: "
                      "%s\n",
                      curl_easy_strerror(rc));
        return EX_TEMPFAIL;
    }
    if (code >= HTTP_ERRORS) {
        (void)fprintf(stderr, "waypost: the relay answered %ld\n", code);
        return code >= 500 ? EX_TEMPFAIL : EX_USAGE;
    }
    return EX_OK;
}

/* Has who reads our output left? Of a pipe and a socket this is known without a write. */
static bool output_is_gone(void)
{
    struct pollfd out = { .fd = STDOUT_FILENO };

    return poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLHUP));
}

/* Until the answer is there, or nobody waits for it any more. */
static CURLcode go_on(struct ask *a, CURLM *all)
{
    struct curl_waitfd out = { .fd = STDOUT_FILENO };
    int running = 1, messages;
    CURLMcode rc = CURLM_OK;

    while (rc == CURLM_OK && !a->is_ended) {
        CURLMsg *m;

        rc = curl_multi_perform(all, &running);
        if ((m = curl_multi_info_read(all, &messages)))
            return m->data.result;
        if (rc == CURLM_OK)
            rc = curl_multi_poll(all, &out, 1, WAIT_MS, NULL);
        a->is_ended = output_is_gone();
    }
    return a->is_ended ? CURLE_WRITE_ERROR : CURLE_RECV_ERROR;
}

/* As curl_easy_perform, for a stream that may be silent for long: it ends with its reader, not
 * when there is something to write. */
static CURLcode watch(struct ask *a)
{
    CURLM *all = curl_multi_init();
    CURLcode rc;

    ASSERT(all && curl_multi_add_handle(all, a->curl) == CURLM_OK);
    rc = go_on(a, all);
    (void)curl_multi_remove_handle(all, a->curl);
    (void)curl_multi_cleanup(all);
    return rc;
}

static int perform(struct ask *a, const char *path, const json_t *body,
                   void *user)
{
    struct curl_slist *headers = NULL;
    struct buffer url = { 0 };
    char *text = NULL;
    CURLcode rc;

    a->user = user;
    a->is_ended = false;
    a->got = 0;
    buffer_clear(&a->line);
    buffer_clear(&a->error);
    buffer_printf(&url, "http://waypost/api/v1%s%s", path,
                  buffer_string(&a->query));
    curl_easy_reset(a->curl);
    curl_easy_setopt(a->curl, CURLOPT_URL, buffer_string(&url));
    curl_easy_setopt(a->curl, CURLOPT_UNIX_SOCKET_PATH, a->socket);
    curl_easy_setopt(a->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(a->curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(a->curl, CURLOPT_WRITEDATA, a);
    if (body) {
        text = json_dumps(body, JSON_COMPACT);
        ASSERT(text);
        headers = curl_slist_append(NULL, "Content-Type: application/json");
        curl_easy_setopt(a->curl, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(a->curl, CURLOPT_POSTFIELDS, text);
    }
    put_patience(a);
    rc = a->each_event ? watch(a) : curl_easy_perform(a->curl);
    clear_patience(a);
    if (rc == CURLE_OK && a->line.len && !take_line(a))
        rc = a->is_ended ? CURLE_OK : CURLE_WRITE_ERROR;
    curl_slist_free_all(headers);
    free(text);
    buffer_fini(&url);
    buffer_clear(&a->query);
    return complain(a, rc);
}

int ask_stream(struct ask *a, const char *path, const json_t *body,
               ask_fn *each, void *user)
{
    a->each = each;
    a->bytes = NULL;
    return perform(a, path, body, user);
}

static bool no_object(void *user, const json_t *object)
{
    (void)user;
    (void)object;
    return true;
}

int ask_lines(struct ask *a, const char *path, ask_bytes_fn *each, void *user)
{
    int rc;

    a->each_line = each;
    rc = ask_stream(a, path, NULL, no_object, user);
    a->each_line = NULL;
    return rc;
}

int ask_bytes(struct ask *a, const char *path, const json_t *body,
              ask_bytes_fn *each, void *user)
{
    a->each = no_object;
    a->bytes = each;
    return perform(a, path, body, user);
}

static bool keep(void *user, const json_t *object)
{
    json_t **out = user;

    if (!*out)
        *out = json_deep_copy(object);
    return true;
}

int ask_events(struct ask *a, const char *path, ask_event_fn *each, void *user)
{
    int rc;

    a->each_event = each;
    a->event[0] = 0;
    rc = ask_stream(a, path, NULL, NULL, user);
    a->each_event = NULL;
    if (rc != EX_OK || a->is_ended)
        return rc;
    (void)fputs("waypost: the relay has ended\n", stderr);
    return EX_TEMPFAIL;
}

int ask_one(struct ask *a, const char *path, const json_t *body,
            json_t **out_answer)
{
    json_t *answer = NULL;
    int rc = ask_stream(a, path, body, keep, &answer);

    if (rc == EX_OK && !answer) {
        (void)fputs("waypost: the relay said nothing\n", stderr);
        rc = EX_TEMPFAIL;
    }
    if (rc == EX_OK)
        *out_answer = answer;
    else
        json_decref(answer);
    return rc;
}
