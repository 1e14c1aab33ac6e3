/*
 * admin - HTTP for the people who run the relay, on the main loop.
 *
 * A unix socket (mode 0600; only root and the relay's own user are let in) and, where it is
 * wanted, a TCP address (for tokens, and what anyone may see), with the endpoints that stand
 * in endpoints.c. It has a port of its own on the queue; nothing here blocks the loop but
 * for a look at the file of tokens. Errors are {"error": "..."} with 400, 401, 403, 404,
 * 405, 413, 415, 421, 429, 431 or 503.
 */
#ifndef WAYPOST_ADMIN_H
#define WAYPOST_ADMIN_H

#include "policy/settings.h"
#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/network.h"
#include "queue/queue.h"

#include <uv.h>

struct admin;
struct gauge_sum;
struct acquaintance;
struct scorecard;
struct settings;

/* What only the main loop knows, for GET /api/v1/status and the metrics. */
struct admin_status {
    uint32_t workers;
    uint64_t sessions; /* inbound, open now */
    uint64_t epoch;    /* of the settings: 1 and one more at each reload */
    unsigned faulty_tables; /* that keep their former content */
    bool is_stopping;
    bool is_deaf;      /* a listener could not be opened */
    uint32_t lag_us_most;   /* longest turn of a loop since the start ... */
    uint32_t lag_us_recent; /* ... and since this was asked last */
    struct scorecard *scores; /* NULL: none */
    bool has_old_names; /* metrics also by the names of Postfix's exporter */
};

/* A provider that mail is fetched from, and what the latest fetch came to; borrowed for a
 * call. */
struct admin_fetch {
    struct span name, from;
    bool is_running;
    int64_t every_ms;         /* 0: only when it is asked for */
    int64_t last_ms, next_ms; /* 0: never */
    bool is_ok;
    uint32_t messages, refused;
    struct span result; /* one sentence; empty: there was none yet */
};
typedef void admin_fetch_fn(void *user, const struct admin_fetch *f);
typedef void admin_fetched_fn(void *user, uint64_t token,
                              const struct admin_fetch *f);

enum admin_fetch_answer {
    ADMIN_FETCH_BEGUN,   /* or it was under way: done comes once, later */
    ADMIN_FETCH_UNKNOWN, /* there is none of that name */
    ADMIN_FETCH_NOT_NOW, /* we are going down */
};

/* Who fetches, on the same loop. */
struct admin_fetches {
    void (*list)(void *user, admin_fetch_fn *each, void *each_user);
    enum admin_fetch_answer (*begin)(void *user, struct span name,
                                     admin_fetched_fn *done, void *done_user,
                                     uint64_t token);
    void *user;
};

/* The answer is one JSON object and a line end; status: HTTP's. */
typedef void admin_explained_fn(void *user, uint64_t token, int status,
                                struct span answer);

/* Somebody who is told over HTTPS what became of mail; borrowed for a call. */
enum admin_webhook_state {
    ADMIN_WEBHOOK_OK,
    ADMIN_WEBHOOK_WAITING, /* for an answer */
    ADMIN_WEBHOOK_FAILING,
};
struct admin_webhook {
    struct span name, host;
    enum admin_webhook_state state;
    unsigned events;  /* bits of enum webhook_event */
    uint64_t behind;  /* events that were not told yet */
    uint64_t sent, lost, failures; /* since the start; in a row */
    unsigned status;  /* of the latest answer; 0: none came */
    int64_t last_ms, next_ms; /* the latest 2xx, the next try; 0: none */
    struct span error; /* one sentence, while it fails */
};
typedef void admin_webhook_fn(void *user, const struct admin_webhook *w);

/* Who tells them, on the same loop. */
struct admin_webhooks {
    void (*list)(void *user, admin_webhook_fn *each, void *each_user);
    /* Tries one now; false: there is none of that name. */
    bool (*retry)(void *user, struct span name, admin_webhook_fn *each,
                  void *each_user);
    void *user;
};

/* Who explains what the rules say. */
struct admin_explains {
    /* question: JSON. False: not now; else done comes once, later, on the same loop. */
    bool (*begin)(void *user, struct span question, admin_explained_fn *done,
                  void *done_user, uint64_t token);
    void *user;
};

/* A certificate of ours; borrowed for a call. */
struct admin_certificate {
    struct span file;
    struct span names; /* "a.example, b.example" */
    int64_t ends_ms;
};
typedef void admin_certificate_fn(void *user,
                                  const struct admin_certificate *c);

struct admin_listener {
    struct span name, address;
};
typedef void admin_listener_fn(void *user, const struct admin_listener *l);

/* Who knows what is counted, and what the relay stands on. Any may be NULL. */
struct admin_gauges {
    void (*sum)(void *user, struct gauge_sum *io_sum); /* adds to it */
    void (*certificates)(void *user, admin_certificate_fn *each,
                         void *each_user);
    void (*listeners)(void *user, admin_listener_fn *each, void *each_user);
    void *user;
};

/* Whole lines; is_over: these were the last. */
typedef void admin_probed_fn(void *user, uint64_t token, struct span lines,
                             bool is_over);

/* Who walks to destinations, on the same loop. */
struct admin_probes {
    /* sender: at NULL: none is given. False: not now; else told comes, later. */
    bool (*begin)(void *user, struct span name, struct span sender,
                  admin_probed_fn *told, void *told_user, uint64_t token);
    /* It is not told any more. */
    void (*cancel)(void *user, uint64_t token);
    void *user;
};

typedef void admin_looked_fn(void *user, uint64_t token, bool is_good);

/* Who reads the files of users again, on the same loop. */
struct admin_logins {
    /* False: not now; else done comes once, later. */
    bool (*look)(void *user, admin_looked_fn *done, void *done_user,
                 uint64_t token);
    void *user;
};

struct admin_options {
    struct span socket;                                   /* path; copied */
    void (*status)(void *user, struct admin_status *out); /* may be NULL */
    const struct settings *(*settings)(void *user); /* today's; may be NULL */
    void *user;
    struct admin_fetches fetches; /* list NULL: nobody fetches */
    struct admin_explains explains; /* begin NULL: nobody explains */
    struct admin_webhooks webhooks; /* list NULL: nobody is told */
    struct admin_logins logins;     /* look NULL: there are no users */
    struct admin_gauges gauges;
    struct admin_probes probes;     /* begin NULL: nobody probes */
    struct acquaintance *acquaintances; /* NULL: none */
};

/* On failure one sentence for a person is put into out_why. */
MUST int admin_open(struct admin **out_admin, uv_loop_t *loop, struct queue *q,
                    const struct admin_options *o, struct buffer *out_why);

/* Who may come in over TCP, and by what names we are asked; all is copied. */
struct admin_access {
    struct span http; /* as configured: "127.0.0.1:8025"; empty: nobody */
    struct host_address host;
    uint16_t port;
    int passed_fd;      /* a listening socket for it, taken over if used; 0: none */
    struct span tokens; /* path of the file */
    struct span hostname;
    const struct span *hosts; /* further names */
    size_t host_count;
};

/* At the start, and when settings have changed; an address that stays keeps its
 * connections. On failure it is as it was, but for tokens and names, and out_why has one
 * sentence. */
MUST int admin_allow(struct admin *a, const struct admin_access *access,
                     struct buffer *out_why);

/* Cuts off who is still connected, closes its port on the queue and removes the
 * socket's file. closed (or NULL) is called once the loop has let go of the
 * handles. */
void admin_close(struct admin *take_a, void (*closed)(void *user), void *user);

#endif
