/*
 * sasl_private - what the files of the sasl module share.
 *
 *   sasl.c         an exchange's way from the worker to a thread and back
 *   sasl_desk.c    the threads, and when the book is read again
 *   sasl_book.c    what settings and files say
 *   sasl_plain.c   PLAIN, LOGIN, EXTERNAL, and how a password is checked
 *   sasl_scram.c   SCRAM and CRAM-MD5, by libgsasl
 *   sasl_pam.c     PAM
 *   dovecot.c      Dovecot's socket
 *
 * Where an exchange is (guarded by the desk's lock):
 *
 *   RESTS -> WAITS      [sasl_step]
 *   WAITS -> WORKS      [a thread takes it]
 *   WORKS -> ANSWERED   [sasl_answer]
 *   ANSWERED -> RESTS   [the worker's task], and done is called
 *
 * The worker may touch all of it at RESTS, the thread at WORKS, nobody in between. One
 * that is dropped is freed at once at RESTS and WAITS, else at the end of the move.
 */
#ifndef WAYPOST_SASL_PRIVATE_H
#define WAYPOST_SASL_PRIVATE_H

#include "relay/inbound/dovecot.h"
#include "relay/inbound/password_cache.h"
#include "relay/inbound/sasl.h"
#include "relay/inbound/userfile.h"

#include <gsasl.h>
#include <pthread.h>

enum {
    SASL_WAITING_MOST = 256, /* exchanges that wait for a thread */
    SASL_THREADS_COMPUTING =
        2,                  /* a check is computing: more would not be faster */
    SASL_THREADS_MOST = 16, /* PAM and Dovecot: a check is mostly waiting */
    SASL_LOOK_MS = 1000,    /* files are looked at no more often */
    SASL_SECRET = 32,
    SASL_FILES = 3, /* enum userfile_kind */
};

enum sasl_backend { SASL_NOBODY, SASL_FILE, SASL_PAM, SASL_DOVECOT };

/* What a configuration and its files say. Immutable but for the cache and Dovecot's
 * connections, which lock for themselves; held by count. */
struct sasl_book {
    atomic_uint holders;
    enum sasl_backend backend;
    char *paths[SASL_FILES]; /* NULL: none */
    struct userfile *files[SASL_FILES];
    struct stat seen[SASL_FILES];
    char *service; /* of PAM */
    char *socket;  /* of Dovecot */
    struct dovecot *dovecot;
    struct password_cache *cache;
    unsigned mechanisms; /* served; of Dovecot's, those of the beginning */
};

/* NULL: out_why is a sentence. */
struct sasl_book *sasl_book_of(const struct users_settings *u,
                               struct buffer *out_why);
/* The same settings, with the files as they are now. */
struct sasl_book *sasl_book_again(const struct sasl_book *old,
                                  struct buffer *out_why);
struct sasl_book *sasl_book_hold(struct sasl_book *b);
void sasl_book_release(struct sasl_book *b);
/* What it serves now: Dovecot may have learned. */
unsigned sasl_book_mechanisms(const struct sasl_book *b);
/* Have its files changed since the last try? Remembers them as tried. */
bool sasl_book_has_changed(const struct sasl_book *b, struct stat *tried);
/* See sasl_stamp. */
uint64_t sasl_book_stamp(const struct sasl_book *b, struct span login);

struct sasl_desk {
    pthread_mutex_t lock;
    pthread_cond_t work_is_there;
    struct sasl_book *book;
    atomic_uint mechanisms; /* the book's, for any thread */
    struct password_work work;
    unsigned char
        secret[SASL_SECRET]; /* what unknown users are shown is made of it */
    Gsasl *gsasl;
    int64_t (*clock)(void); /* monotonic ms; the tests' own in tests */
    const char *pam_folder; /* NULL: the system's; for tests */
    int64_t looked_ms;
    struct stat tried[SASL_FILES]; /* the last that was read or could not be */
    struct sasl_exchange *first, **last;
    unsigned waiting;
    pthread_t threads[SASL_THREADS_MOST];
    unsigned thread_count, thread_index;
    unsigned threads_at_work; /* the first so many may take work */
    bool is_closing;
};

enum sasl_place { SASL_RESTS, SASL_WAITS, SASL_WORKS, SASL_ANSWERED };

struct sasl_exchange {
    struct sasl_desk *desk;
    struct worker *worker;
    sasl_done_fn *done;
    uint64_t token;
    struct sasl_exchange *next; /* that waits */
    enum sasl_place place;
    bool is_dropped;

    unsigned mechanism, offered;
    struct host_address client;
    bool is_tls;
    char *hostname, *fingerprint, *name; /* never NULL */
    struct buffer exporter;

    unsigned round; /* steps so far */
    bool is_over;   /* it has had its answer */
    bool has_response;
    struct buffer response; /* wiped after the step */
    struct sasl_book *book; /* from the first step on; held */
    Gsasl_session *gsasl;
    bool is_chosen,
        is_decoy; /* SCRAM: whose verifier is shown, and is it his? */
    struct password_scram verifier;
    struct dovecot_link *link;

    enum sasl_said said; /* what the step came to */
    struct buffer text, login;
};

/* A step, on a thread of the desk: reads has_response and response, fills text and
 * login. */
typedef enum sasl_said sasl_step_fn(struct sasl_exchange *x);

sasl_step_fn sasl_plain, sasl_login, sasl_external;
sasl_step_fn sasl_scram, sasl_cram_md5;
sasl_step_fn sasl_dovecot;

/* What libgsasl asks of an exchange. */
int sasl_scram_callback(Gsasl *g, Gsasl_session *session, Gsasl_property what);

/* Does all of a step but telling the worker. */
void sasl_work(struct sasl_exchange *x);
void sasl_answer(struct sasl_exchange *x);

/* The current book, after a look at its files when it is time. To be released. */
struct sasl_book *sasl_desk_book(struct sasl_desk *d);
/* Dovecot may have said on a new connection what it offers now. */
void sasl_desk_learned(struct sasl_desk *d, const struct sasl_book *b);

/* Of an unknown login: n bytes (64 at most) that are always the same for `what` and the
 * login while the process runs. */
void sasl_decoy_bytes(struct sasl_desk *d, const char *what, struct span login,
                      unsigned char *out, size_t n);
/* The entry whose work an unknown login is worth: some entry of the file that has a
 * verifier, so that times are spread among unknown logins as among known ones. hash:
 * PASSWORD_HASHES: any verifier. NULL: there is none. */
const struct userfile_entry *sasl_decoy_entry(struct sasl_desk *d,
                                              const struct userfile *f,
                                              struct span login,
                                              enum password_hash hash);
bool sasl_entry_has(const struct userfile_entry *e, enum password_hash hash);

/* PLAIN's three fields; false: it is not that. */
bool sasl_plain_split(struct span response, struct span *out_authzid,
                      struct span *out_login, struct span *out_password);

/* SASL_OK, SASL_WRONG or SASL_UNAVAILABLE with text. */
enum sasl_said sasl_pam_check(struct sasl_exchange *x, struct span login,
                              struct span password);

#endif
