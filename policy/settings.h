/*
 * settings - a configuration that has been understood.
 *
 * Immutable once read; a reload reads a new one and swaps it whole. Every string
 * lives in the settings' own arena. Defaults are those of a small site (the
 * values stand in one table in settings.c, next to the key and its parser).
 *
 * Held by count, the one place where we count: sessions, workers and the queue
 * keep the one they began with, and the last to let go frees it.
 */
#ifndef WAYPOST_SETTINGS_H
#define WAYPOST_SETTINGS_H

#include "policy/vocabulary/arena.h"
#include "policy/vocabulary/error.h"
#include "policy/names.h"
#include "policy/networks.h"
#include "policy/vocabulary/limits.h"
#include "policy/vocabulary/mechanism.h"
#include "policy/vocabulary/network.h"
#include "policy/vocabulary/rate.h"
#include "policy/vocabulary/reply.h"

#include <stdatomic.h>

/* Where in which file; every verdict and fault carries one. */
struct place {
    const char *file;
    unsigned line, column;
};

enum listener_tls {
    LISTENER_TLS_NONE, LISTENER_TLS_OPTIONAL, LISTENER_TLS_REQUIRED,
    LISTENER_TLS_IMPLICIT,
};
enum listener_auth {
    LISTENER_AUTH_NONE, LISTENER_AUTH_OPTIONAL, LISTENER_AUTH_REQUIRED,
};
enum listener_certificate {       /* of clients; required: 530 without one */
    CERTIFICATE_NONE, CERTIFICATE_OPTIONAL, CERTIFICATE_REQUIRED,
};

struct listener_settings {
    struct span title;
    struct span address;      /* as written: "[::]:25", "127.0.0.1:2525" */
    struct host_address host; /* parsed */
    uint16_t port;
    bool normalize;           /* bare CR or LF become CRLF instead of 550 */
    enum listener_tls tls;    /* optional where tls { } has a certificate, else none */
    enum listener_auth auth;
    enum listener_certificate client_certificate;
    bool auth_without_tls;    /* logins may go over clear text */
    bool submission;          /* completes what machines leave out */
    bool turn;                /* ATRN and TURN after login; CRAM-MD5 is offered here alone */
    bool is_fetch;            /* of a fetch: its client is a provider that we asked */
    bool is_local;            /* the sendmail socket: its clients are users of this machine */
    int64_t greet_delay_ms;   /* a client that talks before the banner is turned away; 0: the
                                 banner comes at once */
    bool hides_client;        /* received = no-client */
    unsigned mechanisms;      /* of enum mechanism, that may be offered */
    struct networks legacy_tls; /* clients that may use TLS 1.0 and old ciphers */
    struct networks proxy;    /* clients that must begin with a PROXY header; when there
                                 are any, nobody else may connect */
    struct networks xclient, xforward, verp; /* clients that may use these */
    struct place place;
};

/* One condition of a rule: a key, its values, perhaps negated. */
struct condition;

enum rule_action {
    ACTION_RELAY, ACTION_REJECT, ACTION_DEFER, ACTION_DISCARD, /* these decide */
    ACTION_HOLD, ACTION_LIMIT, ACTION_GREYLIST, ACTION_TAG, ACTION_ADD_HEADER,
    ACTION_REMOVE_HEADER, ACTION_REWRITE, ACTION_COPY, ACTION_ROUTE, ACTION_POLICY,
};

enum limit_per {
    LIMIT_PER_CLIENT, LIMIT_PER_LOGIN, LIMIT_PER_FROM, LIMIT_PER_FROM_DOMAIN,
    LIMIT_PER_TO_DOMAIN,
};
enum limit_count { LIMIT_OF_MESSAGES, LIMIT_OF_RECIPIENTS, LIMIT_OF_BYTES };
enum limit_over { LIMIT_DEFERS, LIMIT_REJECTS, LIMIT_HOLDS };

struct table;                     /* see policy/table.h */
struct rewriting;                 /* see policy/rewriting.h */
struct header_test;               /* see policy/condition.h */

struct rule {
    struct span title;
    struct place place;
    enum rule_action action;
    bool is_shadow;               /* records what it would have done, and does nothing */
    struct reply reply;           /* code 0: the action's own */
    struct condition *conditions; /* all must hold; see policy/judge.c */
    size_t condition_count;
    bool needs_message;           /* one of the conditions does (not size alone) */
    /* ADD_HEADER: "Name: value" with %{name}; REMOVE_HEADER: "Name" or "Name: /pattern/"; TAG:
     * tags; COPY: addresses; ROUTE: one title, of a route there is; POLICY: one server,
     * "host:port" or "/path". */
    struct span *texts;
    size_t text_count;
    const struct header_test *removals; /* REMOVE_HEADER: the texts, understood; as many */
    struct {                      /* LIMIT */
        enum limit_per per;
        enum limit_count count;
        enum limit_over over;
        struct rate *rates;       /* all of them hold */
        size_t rate_count;
    } limit;
    struct {                      /* GREYLIST; RFC 6647 */
        int64_t delay_ms;         /* 5 min: knocking again earlier is too early */
        int64_t window_ms;        /* 2 d: ... and later is a first knock */
        int64_t keep_ms;          /* 35 d: a pair that has passed is known so long */
        uint32_t clients_after;   /* 5: a client that passed so often is not asked again; 0:
                                     always asked */
    } greylist;
    const struct rewriting *rewriting; /* REWRITE */
};

/* How we log in to a next hop. Secrets are in files that are read when they are needed and
 * are never part of the settings. */
struct account {
    struct span title;            /* empty: a route's own user and password-file */
    struct place place;
    struct span user;
    struct span password_file;    /* its first line */
    unsigned mechanisms;          /* that may be used; 0: all */
    /* A bearer token, from a program or an OAuth 2 server (RFC 6749). */
    struct span *token_command;   /* program and arguments; it prints the token */
    size_t token_command_count;
    struct span token_url, client_id, client_secret_file, scope;
    struct span refresh_token_file; /* empty: the client credentials grant */
};

static inline bool account_is_bearer(const struct account *a)
{
    return a->token_command_count > 0 || a->token_url.len > 0;
}

/* One member of via: a next hop. */
enum hop_kind {
    HOP_MX, HOP_SMTP, HOP_SMTPS, HOP_LMTP,
    HOP_PICKUP,                   /* pickup:NAME, in host: waits until it is fetched or
                                     released */
    HOP_MAILDIR,                  /* maildir:/path/%d/%u, in path: %d the domain, %u the
                                     local part, %% a percent, and no other %; absolute,
                                     no empty, "." or ".." between slashes, none at the
                                     end; the first folder has neither %d nor %u */
};

struct hop {
    enum hop_kind kind;
    struct span text;         /* as written */
    struct span host;         /* name or address; empty for mx and for a socket */
    struct span path;         /* lmtp:/path: a unix socket; maildir: with %d and %u */
    bool is_literal;          /* host is an address: no look-up */
    uint16_t port;            /* 25; 465 for smtps, 24 for lmtp where none is written */
    const struct account *account; /* smtp://ACCOUNT@host, else the route's, or NULL */
};

enum route_tls {                  /* of an outbound connection */
    ROUTE_TLS_NONE, ROUTE_TLS_OPTIONAL, ROUTE_TLS_REQUIRED, ROUTE_TLS_VERIFY,
    ROUTE_TLS_DANE,               /* DANE, else MTA-STS, else optional */
    ROUTE_TLS_DANE_ONLY,          /* DANE, or no mail goes there */
};
/* What a next hop cannot take (8-bit or binary content): re-encoded? */
enum route_convert { CONVERT_NEVER, CONVERT_UNSIGNED, CONVERT_ALWAYS };

/* Minutes of the local day; `to` may be the smaller one (over midnight), is never `from`,
 * and is 24 * 60 at most. */
struct window { uint16_t from, to; };

/* A host that is not always there: who may have its mail, and when it is tried. Each of the
 * three is enough; where none is set nobody may. */
struct offline_settings {
    bool is_set;
    struct names logins;
    struct networks clients;
    struct names certificates, fingerprints;
    struct hop *deliver_to;       /* where a release leads for a pickup, neither mx nor
                                     pickup; NULL: only ATRN fetches */
    int64_t probe_ms;             /* it is tried by itself so often; 0: not */
    struct window *windows;       /* open: it is tried as any other */
    size_t window_count;
};

/* Is a recipient known where its mail leads? Asked before it is accepted. */
struct verify_settings {
    enum { VERIFY_NOT, VERIFY_CALLOUT, VERIFY_TABLE } how;
    struct table *table;          /* VERIFY_TABLE: an address, or a domain for all of it */
    enum verify_unknown { VERIFY_UNKNOWN_DEFERS, VERIFY_UNKNOWN_ACCEPTS }
        unknown;                  /* who cannot be asked about: 450, or accepted */
    int64_t known_ms, refused_ms; /* CALLOUT: how long yes and no count: 7 d, 1 h */
};

struct retry_settings {
    int64_t first_ms, most_ms;    /* 60 s, 1 h */
    int64_t expire_ms;            /* 5 d */
    int64_t expire_report_ms;     /* 2 d, for messages from <> */
    int64_t warn_ms;              /* 4 h; 0: no delay notice */
};

struct route {
    struct span title;
    struct place place;
    struct span *to;              /* folded patterns; [title] where none written */
    size_t to_count;
    struct table **to_tables;     /* their keys are patterns of the route, too */
    size_t to_table_count;
    struct span *from;            /* sender patterns; none: any sender */
    size_t from_count;
    struct hop *via;              /* tried in order */
    size_t via_count;
    struct span key;              /* stable text naming via (the destination),
                                     e.g. "smtp://a:25,smtp://b:25"; for mx "mx". What
                                     else must not share a connection follows it:
                                     " tls=required account=NAME"; and how its mail is
                                     treated: " connections=1". "pickup:NAME" stands
                                     alone; routes of one key, but for mx, have the same
                                     `offline` */
    enum route_tls tls;           /* dane for mx; verify where there is an account or a
                                     smtps hop; none for lmtp and maildir; else
                                     optional. Of a pickup that of deliver_to, or what is
                                     asked of who fetches: none, optional or required */
    struct span tls_name;         /* the name to verify instead of the host's, or empty */
    struct span certificate, certificate_key; /* our client certificate's files */
    const struct account *account; /* NULL: no login */
    enum route_convert convert;
    uint32_t fold;                /* longest line, longer ones are folded; 0: as is */
    bool chunking;                /* BDAT where it is offered; true */
    bool xforward;                /* tell the next hop who the client was */
    uint32_t connections;         /* most at once, 20 */
    struct rate *rates;           /* messages to its destination at most; all of them hold */
    size_t rate_count;            /* 0: any number; RATES_MOST at most */
    uint32_t messages_per_connection; /* 0: no limit */
    int64_t idle_ms;              /* a free connection is kept so long; 2 s */
    struct retry_settings retry;  /* the global ones where not set here; for a pickup
                                     expire is then 30 d at least, expire-reports as
                                     long as expire, and warn 0 */
    struct offline_settings offline; /* is_set: on demand */
    struct verify_settings verify;
    uint64_t quota_bytes;         /* most that may wait for its destination; 0: no limit */
};

struct resolver_settings {
    enum { RESOLVER_SYSTEM, RESOLVER_RECURSE, RESOLVER_FORWARD } mode;
    struct span *servers;         /* "127.0.0.1@5301" */
    size_t server_count;
    struct span *insecure;        /* domains not validated */
    size_t insecure_count;
    struct span root_hints;       /* file, "" for built in; recurse only */
    struct span trust_anchor;     /* file, "" for Debian's */
};

struct tls_settings {
    struct span *certificates, *keys; /* files, in pairs; a name asked for by SNI picks
                                         the first that has it, else the first pair */
    size_t certificate_count, key_count;
    struct place place;           /* of the certificates */
    struct span authorities;      /* file for `verify`; "": the system's */
    struct span client_authorities; /* file; "": no client certificate is trusted, only
                                       its fingerprint is known */
};

/* Who may log in; at most one of file, pam and dovecot. */
struct users_settings {
    struct place place;           /* of the section */
    struct span file;             /* LOGIN:verifiers, see relay/inbound/userfile.h */
    struct span cram_file;        /* passwords for CRAM-MD5, mode 0600 */
    struct span pam;              /* service name */
    struct span dovecot;          /* auth socket */
    struct span certificates;     /* file: "sha256:HEX LOGIN" or "NAME LOGIN" a line */
    struct span senders;          /* file: "LOGIN ADDRESS[,ADDRESS...]" a line */
    bool from_header;             /* bind the From: line too */
};

struct senders;                   /* see policy/senders.h */

/* A provider whose customer we are: our mail is fetched from there by ATRN (RFC 2645) and
 * comes in under the rules, by a listener named like this. */
struct fetch_settings {
    struct span title;            /* no listener has the same */
    struct place place;
    struct route route;           /* how it is reached: one hop of via, tls, account */
    struct span *domains;         /* folded; none: all that the login may have */
    size_t domain_count;
    int64_t every_ms;             /* 0: only by `waypost fetch` */
    struct listener_settings listener; /* title is the fetch's; no address */
};

/* What a webhook may be told of. */
enum webhook_event {
    WEBHOOK_DELIVERED, WEBHOOK_FAILED, WEBHOOK_EXPIRED, WEBHOOK_DISCARDED,
    WEBHOOK_DELETED, WEBHOOK_RETURNED, WEBHOOK_CHANGED, WEBHOOK_EVENTS
};
/* "delivered", ...; ends with NULL. */
extern const char *const settings_webhook_events[WEBHOOK_EVENTS + 1];
enum { WEBHOOK_BATCH_MOST = 1000 };

/* Somebody who is told over HTTPS what became of mail. */
struct webhook_settings {
    struct span title;
    struct place place;
    struct span url;              /* may have a secret in it: only its host is shown */
    struct span secret_file;      /* what is sent is signed with its first line */
    struct span authorities;      /* file; "": the system's */
    unsigned events;              /* bits of enum webhook_event */
    uint32_t batch;               /* events in one request, at most */
};

/* The names in GET /metrics: ours alone, or those of Postfix's exporter besides. */
enum metric_names { METRIC_NAMES_WAYPOST, METRIC_NAMES_POSTFIX_EXPORTER };

enum log_form { LOG_POSTFIX, LOG_JSON };

/* How programs of this machine submit mail. */
struct sendmail_settings {
    struct span socket;           /* "submit.sock" beside the admin socket; "none": no such */
    struct span drop;             /* folder, "drop" beside the queue; "none": no such */
    struct names users;           /* of this machine, that may; default all */
    bool is_on, drops;            /* there is a socket; and a folder */
    struct listener_settings listener; /* of the title "sendmail"; no host */
    struct place place;           /* of the section; zero: there is none */
};

struct aliases;                   /* see policy/aliases.h */

struct settings {
    struct arena arena;
    atomic_uint holders;
    uint64_t epoch;               /* 1, 2, ...; set by who swaps it in */

    struct span hostname;         /* default: the machine's, given by the caller */
    struct span origin;           /* completes bare addresses; default hostname */
    struct span postmaster;       /* "" when not set */
    uint32_t workers;             /* 0: one for each core */
    struct span user;             /* whom we become when root starts us; "": waypost, where
                                     there is one */
    bool sandbox;                 /* we keep ourselves from what we do not need */
    int64_t drain_ms;             /* 60 s */
    struct { struct span path; uint64_t reserve_bytes; int64_t history_ms;
             uint64_t history_bytes; } /* 0: no cap */
        queue;                    /* reserve 0: the smaller of 256 MB and a tenth */
    struct {                      /* HTTP for people and programs that run the relay */
        struct span socket;
        struct span http;         /* TCP: as written; "": not over TCP */
        struct host_address http_host;
        uint16_t http_port;
        struct span tokens;       /* the file; default: tokens, beside the queue */
        struct span *hosts;       /* further names that it is asked by */
        size_t host_count;
        enum metric_names metric_names;
    } admin;
    struct { enum log_form form; struct span tag; bool syslog;
             struct span file; } /* "": standard error */
        log;
    struct {                      /* see policy/srs.h; where no rule asks for it, unused */
        struct span secret_file;  /* one secret a line, SRS_SECRET_LEAST characters or more; the
                                     first signs */
        struct span domain;       /* folded; default origin */
    } srs;
    struct resolver_settings resolver;
    struct tls_settings tls;
    struct users_settings users;
    struct senders *senders;      /* read from users.senders; NULL: not set */
    struct limits limits;
    struct retry_settings retry;

    struct listener_settings *listeners;
    size_t listener_count;
    struct sendmail_settings sendmail;
    struct span aliases_file;     /* "" when not set */
    struct place aliases_place;
    struct aliases *aliases;      /* read from it; NULL: there are none */
    struct rule *rules;           /* those of the file; two of ours stand behind them */
    size_t rule_count;
    struct rule_index *rule_index; /* see policy/rule_index.h; made by settings_read */
    struct fetch_settings *fetches;
    size_t fetch_count;
    struct webhook_settings *webhooks;
    size_t webhook_count;
    struct table **tables;        /* all that the file names, each once */
    size_t table_count;
    struct route *routes;         /* in file order */
    size_t route_count;
    struct route_index *route_index; /* see policy/route.h; made by settings_read */
    bool verifies;                /* one of the routes does */
    struct span *own_domains;     /* exact folded domains of which anybody may
                                     send: "to" of relay rules without client */
    size_t own_domain_count;
    struct table **own_tables;    /* and their domains; see table_next_domain */
    size_t own_table_count;
};

enum { SETTINGS_OWN_RULES = 2 };

/* What grants to users of this machine when no rule of the file refuses, and what names the
 * aliases as the reason for another address. In no index, and no condition is theirs. */
static inline struct rule *settings_sendmail_rule(const struct settings *s)
{
    return &s->rules[s->rule_count];
}
static inline struct rule *settings_alias_rule(const struct settings *s)
{
    return &s->rules[s->rule_count + 1];
}

/*
 * Reads a file for include; 0 and bytes appended, or a negative error. This and
 * the next are the only things settings_read asks of the world.
 */
typedef int settings_file_fn(void *user, const char *path, struct buffer *out);
/* Reads a table's lines (policy/table.h), whatever they are kept in; path may end with
 * "#NAME". On failure perhaps a better word for it in out_why. */
typedef int settings_table_fn(void *user, const char *path, struct buffer *out,
                              struct buffer *out_why);

/* A table that need not be read, held; NULL: it is to be. */
typedef struct table *settings_kept_fn(void *user, const char *path);

struct settings_source {
    const char *path;             /* NULL: no file, the built-in default */
    const char *machine_name;     /* default for hostname */
    const char *state_folder;     /* for the default queue path and socket */
    settings_file_fn *read_file;
    settings_table_fn *read_table; /* NULL: read_file does */
    settings_table_fn
        *read_list; /* aliases, and what they include; NULL: read_table does */
    settings_kept_fn *kept_table; /* NULL: all are read */
    void *user;
    bool is_brief;                /* for programs of any user, who may not read all files: only
                                     the top level and where things are (queue, admin, limits,
                                     sendmail); the rest is passed over */
    bool has_users;               /* in brief, users as well, but no file that it names */
};

/*
 * Reads a whole configuration. Every fault is a line FILE:LINE:COLUMN: text in
 * out_faults, warnings ("warning: ..." after the place) in out_warnings. Returns
 * settings held once, or NULL when there was any fault.
 */
struct settings *settings_read(const struct settings_source *source,
                               struct buffer *out_faults,
                               struct buffer *out_warnings);

struct settings *settings_hold(struct settings *s);
void settings_release(struct settings *s);

#endif
