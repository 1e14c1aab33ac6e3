/*
 * webpost - something sent over HTTPS, and what came back.
 *
 *   webpost_send -> UNDER WAY -> curl says DONE [bring_answers] -> done, freed
 *                             -> webpost_drop                   -> freed
 *
 * curl asks for sockets to be watched (on_socket) and for one timer (on_timeout_wanted);
 * both call back into it, and after each such call its messages are read.
 */
#include "relay/outbound/webpost.h"

#include "policy/vocabulary/memory.h"
#include "relay/outbound/secret.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

struct webpost_desk {
    uv_loop_t *loop;
    uv_timer_t timer;
    CURLM *multi;
    struct webpost *posts;
};

struct webpost {
    struct webpost *next, **link; /* link: what points at it */
    struct webpost_desk *desk;
    CURL *curl;
    struct curl_slist *headers, *resolve;
    struct buffer sent, body;
    bool status_is_all;
    char error[CURL_ERROR_SIZE];
    webpost_fn *done;
    void *user;
};

struct watch { /* one of curl's sockets */
    uv_poll_t poll;
    struct webpost_desk *desk;
    curl_socket_t socket;
};

/* ---------------------------------------------------------------- one post ---- */

static void free_headers(struct curl_slist *list)
{
    for (struct curl_slist *l = list; l; l = l->next)
        explicit_bzero(l->data, strlen(l->data));
    curl_slist_free_all(list);
}

static void post_free(struct webpost *p)
{
    *p->link = p->next;
    if (p->next)
        p->next->link = p->link;
    (void)curl_multi_remove_handle(p->desk->multi, p->curl);
    curl_easy_cleanup(p->curl);
    free_headers(p->headers);
    curl_slist_free_all(p->resolve);
    secret_wipe(&p->sent);
    secret_wipe(&p->body);
    free(p);
}

void webpost_drop(struct webpost *p)
{
    if (p)
        post_free(p);
}

static size_t on_body(char *at, size_t size, size_t count, void *user)
{
    struct webpost *p = user;

    if (p->status_is_all)
        return 0; /* ends it: see bring */
    buffer_put(&p->body, span_make(at, size * count));
    return p->body.overflow ? 0 : size * count;
}

/* No program that we start may have it. */
static int on_new_socket(void *user, curl_socket_t s, curlsocktype purpose)
{
    (void)user;
    (void)purpose;
    return fcntl(s, F_SETFD, FD_CLOEXEC) < 0 ? CURL_SOCKOPT_ERROR
                                             : CURL_SOCKOPT_OK;
}

static void set_text(CURL *c, CURLoption option, struct span value)
{
    char *text = span_dup(value);

    (void)curl_easy_setopt(c, option, text);
    free(text);
}

static void set_safety(CURL *c, const struct webpost_question *q)
{
    /* the check of the address has let http through for loopback only */
    (void)curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR,
                           q->is_get ? "https" : "http,https");
    (void)curl_easy_setopt(c, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    (void)curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(c, CURLOPT_FORBID_REUSE,
                           q->keeps_connection ? 0L : 1L);
    (void)curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
    (void)curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
    (void)curl_easy_setopt(c, CURLOPT_SSLVERSION,
                           (long)CURL_SSLVERSION_TLSv1_2);
    (void)curl_easy_setopt(c, CURLOPT_SOCKOPTFUNCTION, on_new_socket);
    if (q->authorities.len) { /* these and no others */
        set_text(c, CURLOPT_CAINFO, q->authorities);
        (void)curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
    }
}

static void set_patience(CURL *c, const struct webpost_question *q)
{
    (void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)q->connect_ms);
    (void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)q->total_ms);
    /* a name look-up that hangs is left behind, not waited for */
    (void)curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L);
}

/* The name is not looked up a second time. */
static void set_place(struct webpost *p, struct span resolve)
{
    char *text = span_dup(resolve);

    p->resolve = curl_slist_append(NULL, text);
    ASSERT(p->resolve);
    (void)curl_easy_setopt(p->curl, CURLOPT_RESOLVE, p->resolve);
    free(text);
}

static void set_body(struct webpost *p, const struct webpost_question *q)
{
    if (q->is_get) {
        (void)curl_easy_setopt(p->curl, CURLOPT_HTTPGET, 1L);
        return;
    }
    (void)curl_easy_setopt(p->curl, CURLOPT_POSTFIELDSIZE, (long)p->sent.len);
    (void)curl_easy_setopt(p->curl, CURLOPT_POSTFIELDS,
                           p->sent.len ? p->sent.at : "");
}

static void set_headers(struct webpost *p, const struct span *headers,
                        bool is_get)
{
    p->headers = curl_slist_append(p->headers, is_get
                                                   ? "Accept: text/plain"
                                                   : "Accept: application/json");
    p->headers = curl_slist_append(p->headers, "Expect:");
    for (int i = 0; i < WEBPOST_HEADERS; i++) {
        char *text = span_dup(headers[i]);

        if (headers[i].len)
            p->headers = curl_slist_append(p->headers, text);
        ASSERT(p->headers);
        explicit_bzero(text, headers[i].len);
        free(text);
    }
    (void)curl_easy_setopt(p->curl, CURLOPT_HTTPHEADER, p->headers);
    (void)curl_easy_setopt(p->curl, CURLOPT_USERAGENT, "Waypost");
}

struct webpost *webpost_send(struct webpost_desk *d,
                             const struct webpost_question *q, webpost_fn *done,
                             void *user)
{
    struct webpost *p = NEW(struct webpost);
    CURL *c = curl_easy_init();

    ASSERT(c);
    p->desk = d;
    p->curl = c;
    p->done = done;
    p->user = user;
    p->next = d->posts;
    p->link = &d->posts;
    if (p->next)
        p->next->link = &p->next;
    d->posts = p;
    secret_keep(&p->sent, q->body);
    p->status_is_all = q->status_is_all;
    p->body.cap = WEBPOST_ANSWER_MOST;
    (void)buffer_room(&p->body, WEBPOST_ANSWER_MOST);
    set_text(c, CURLOPT_URL, q->url);
    set_safety(c, q);
    set_patience(c, q);
    set_headers(p, q->headers, q->is_get);
    if (q->resolve.len)
        set_place(p, q->resolve);
    set_body(p, q);
    (void)curl_easy_setopt(c, CURLOPT_HTTP_VERSION,
                           (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(c, CURLOPT_WRITEDATA, p);
    (void)curl_easy_setopt(c, CURLOPT_ERRORBUFFER, p->error);
    (void)curl_easy_setopt(c, CURLOPT_PRIVATE, p);
    ASSERT(curl_multi_add_handle(d->multi, c) == CURLM_OK);
    return p;
}

/* -------------------------------------------------------------- the answer ---- */

static int error_of(CURLcode code)
{
    switch ((int)code) {
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
        return -EHOSTUNREACH;
    case CURLE_COULDNT_CONNECT:
        return -ECONNREFUSED;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
        return ERROR_TLS;
    default:
        return ERROR_PROTOCOL;
    }
}

static void bring(struct webpost *p, CURLcode code)
{
    struct webpost_answer a = { .rc = 0 };
    struct buffer why = { .cap = CURL_ERROR_SIZE };
    const char *media = NULL;
    long status = 0;

    if (code == CURLE_WRITE_ERROR && p->status_is_all)
        code = CURLE_OK;
    if (code != CURLE_OK) {
        a.rc = p->body.overflow ? ERROR_TOO_BIG : error_of(code);
        if (p->body.overflow)
            buffer_put_string(&why, "its answer is larger than 64 KB");
        else
            buffer_put_escaped(
                &why,
                span_of(p->error[0] ? p->error : curl_easy_strerror(code)));
    }
    (void)curl_easy_getinfo(p->curl, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(p->curl, CURLINFO_CONTENT_TYPE, &media);
    a.status = (unsigned)status;
    a.media = span_of(media);
    a.body = buffer_span(&p->body);
    a.why = buffer_span(&why);
    p->done(p->user, &a);
    post_free(p);
    buffer_fini(&why);
}

static void bring_answers(struct webpost_desk *d)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(d->multi, &left))) {
        struct webpost *p = NULL;

        if (m->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&p);
        bring(p, m->data.result);
    }
}

/* -------------------------------------------------------- curl and the loop ---- */

static void on_timer(uv_timer_t *t)
{
    struct webpost_desk *d = t->data;
    int running;

    (void)curl_multi_socket_action(d->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    bring_answers(d);
}

static int on_timeout_wanted(CURLM *multi, long ms, void *user)
{
    struct webpost_desk *d = user;

    (void)multi;
    if (ms < 0)
        (void)uv_timer_stop(&d->timer);
    else
        (void)uv_timer_start(&d->timer, on_timer, (uint64_t)ms, 0);
    return 0;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct watch *w = poll->data;
    struct webpost_desk *d = w->desk;
    int what = (status < 0 ? CURL_CSELECT_ERR : 0) |
               (events & UV_READABLE ? CURL_CSELECT_IN : 0) |
               (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);
    int running;

    (void)curl_multi_socket_action(d->multi, w->socket, what, &running);
    bring_answers(d);
}

static void on_watch_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static struct watch *watch_new(struct webpost_desk *d, curl_socket_t s)
{
    struct watch *w = NEW(struct watch);

    w->desk = d;
    w->socket = s;
    if (uv_poll_init_socket(d->loop, &w->poll, s) < 0) {
        free(w);
        return NULL;
    }
    w->poll.data = w;
    return w;
}

static int on_socket(CURL *easy, curl_socket_t s, int what, void *user,
                     void *of_socket)
{
    struct webpost_desk *d = user;
    struct watch *w = of_socket;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w)
            uv_close((uv_handle_t *)&w->poll, on_watch_closed);
        (void)curl_multi_assign(d->multi, s, NULL);
        return 0;
    }
    if (!w && !(w = watch_new(d, s)))
        return 0; /* nobody watches it: its time will run out */
    (void)curl_multi_assign(d->multi, s, w);
    (void)uv_poll_start(&w->poll,
                        (what & CURL_POLL_IN ? UV_READABLE : 0) |
                            (what & CURL_POLL_OUT ? UV_WRITABLE : 0),
                        on_ready);
    return 0;
}

struct webpost_desk *webpost_desk_open(uv_loop_t *loop)
{
    struct webpost_desk *d = NEW(struct webpost_desk);

    d->loop = loop;
    d->multi = curl_multi_init();
    ASSERT(d->multi);
    (void)uv_timer_init(loop, &d->timer);
    d->timer.data = d;
    (void)curl_multi_setopt(d->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    (void)curl_multi_setopt(d->multi, CURLMOPT_SOCKETDATA, d);
    (void)curl_multi_setopt(d->multi, CURLMOPT_TIMERFUNCTION,
                            on_timeout_wanted);
    (void)curl_multi_setopt(d->multi, CURLMOPT_TIMERDATA, d);
    return d;
}

static void on_desk_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void webpost_desk_close(struct webpost_desk *d)
{
    for (struct webpost *p = d->posts, *next; p; p = next) {
        next = p->next;
        webpost_drop(p);
    }
    (void)curl_multi_cleanup(d->multi);
    uv_close((uv_handle_t *)&d->timer, on_desk_closed);
}
