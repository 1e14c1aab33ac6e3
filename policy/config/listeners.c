/*
 * listeners - where clients may connect.
 */
#include "policy/config/listeners.h"

#include "policy/config/credentials.h"
#include "policy/config/lists.h"
#include "policy/config/titles.h"
#include "policy/config/value.h"

static const char *const line_ends[] = { "strict", "normalize", NULL };
static const char *const received[] = { "full", "no-client", NULL };

static const char *const tls_words[] = {
    [LISTENER_TLS_NONE] = "none",
    [LISTENER_TLS_OPTIONAL] = "optional",
    [LISTENER_TLS_REQUIRED] = "required",
    [LISTENER_TLS_IMPLICIT] = "implicit",
    NULL,
};

static const char *const auth_words[] = {
    [LISTENER_AUTH_NONE] = "none",
    [LISTENER_AUTH_OPTIONAL] = "optional",
    [LISTENER_AUTH_REQUIRED] = "required",
    NULL,
};

static const char *const certificate_words[] = {
    [CERTIFICATE_NONE] = "none",
    [CERTIFICATE_OPTIONAL] = "optional",
    [CERTIFICATE_REQUIRED] = "required",
    NULL,
};

/* A listener while its keys are read. */
struct draft {
    struct listener_settings listener;
    unsigned line_ends, received;
};

static void read_address(struct reading *r, const struct key *key,
                         const struct syntax_entry *e, void *object)
{
    struct listener_settings *l = &((struct draft *)object)->listener;
    const struct syntax_text *t = keys_only_text(r, e);

    (void)key;
    if (!t)
        return;
    if (!value_endpoint(t->text, &l->host, &l->port)) {
        faults_add(&r->faults, t->place,
                   "%s is not an address with a port, such as 127.0.0.1:2525, "
                   "0.0.0.0:25 or [::]:25",
                   faults_quote(&r->faults, t->text));
        return;
    }
    l->address = arena_copy(r->arena, t->text);
}

#define IN(field) offsetof(struct draft, listener.field)

/* clang-format off */
static const struct key listener_keys[] = {
    { "address",    KEY_OWN,     .read = read_address },
    { "line-ends",  KEY_WORD,    offsetof(struct draft, line_ends),
      .words = line_ends },
    { "tls",        KEY_WORD,    IN(tls), .words = tls_words },
    { "auth",       KEY_WORD,    IN(auth), .words = auth_words },
    { "client-certificate", KEY_WORD, IN(client_certificate),
      .words = certificate_words },
    { "auth-without-tls", KEY_BOOLEAN, IN(auth_without_tls) },
    { "submission", KEY_BOOLEAN, IN(submission) },
    { "greet-delay", KEY_DURATION, IN(greet_delay_ms),
      .high = 60 * 1000ull },
    { "turn",       KEY_BOOLEAN, IN(turn) },
    { "received",   KEY_WORD,    offsetof(struct draft, received),
      .words = received },
    { "mechanisms", KEY_OWN,     IN(mechanisms), .read = lists_mechanisms },
    { "legacy-tls", KEY_OWN,     IN(legacy_tls), .read = lists_networks },
    { "proxy",      KEY_OWN,     IN(proxy), .read = lists_networks },
    { "xclient",    KEY_OWN,     IN(xclient), .read = lists_networks },
    { "xforward",   KEY_OWN,     IN(xforward), .read = lists_networks },
    { "verp",       KEY_OWN,     IN(verp), .read = lists_networks },
};
/* clang-format on */

static const struct key_table table = KEY_TABLE("a listener", listener_keys);

static void check_taken(struct reading *r, const struct listener_settings *all,
                        size_t count, struct place place)
{
    const struct listener_settings *l = &all[count];

    for (size_t i = 0; i < count; i++) {
        if (all[i].port == l->port && all[i].port &&
            host_address_is(&all[i].host, &l->host)) {
            faults_add(&r->faults, place,
                       "the listener at %s has this address already",
                       faults_place(&r->faults, all[i].place));
            return;
        }
    }
}

/* --- TLS and logins --------------------------------------------------------
 */

static void check_tls(struct reading *r, const struct listener_settings *l,
                      const struct syntax_entry *section)
{
    if (l->tls != LISTENER_TLS_NONE && r->settings->tls.certificate_count == 0)
        faults_add(&r->faults, keys_place(section, "tls"),
                   "tls = %s needs a certificate: tls { certificate = FILE  "
                   "key = FILE }",
                   tls_words[l->tls]);
    if (l->tls == LISTENER_TLS_NONE &&
        l->client_certificate != CERTIFICATE_NONE)
        faults_add(&r->faults, keys_place(section, "client-certificate"),
                   "without TLS no client can show a certificate");
    if (l->tls == LISTENER_TLS_NONE &&
        keys_find(section->entries, "legacy-tls"))
        faults_add(&r->faults, keys_place(section, "legacy-tls"),
                   "this listener has no TLS, old or new");
    if (networks_are_everything(&l->legacy_tls))
        faults_warn(&r->faults, keys_place(section, "legacy-tls"),
                    "everybody may use TLS 1.0 here, which can be read on the "
                    "way");
}

/* What is listed must be something that users { } can verify. */
static void check_mechanisms(struct reading *r,
                             const struct listener_settings *l,
                             const struct syntax_entry *section)
{
    unsigned known = credentials_mechanisms(&r->settings->users);
    struct buffer names = { 0 };

    if ((l->mechanisms & ~known) == 0 ||
        !keys_find(section->entries, "mechanisms"))
        return;
    mechanisms_print(&names, l->mechanisms & ~known);
    faults_add(&r->faults, keys_place(section, "mechanisms"),
               "users { } has nothing to verify %s with (CRAM-MD5 needs cram, "
               "EXTERNAL certificates, SCRAM file, tokens dovecot)",
               buffer_string(&names));
    buffer_fini(&names);
}

static void check_auth(struct reading *r, const struct listener_settings *l,
                       const struct syntax_entry *section)
{
    if (l->auth == LISTENER_AUTH_NONE)
        return;
    if (!credentials_have_users(&r->settings->users)) {
        faults_add(&r->faults, keys_place(section, "auth"),
                   "auth = %s, but nobody can log in: users { file = FILE }, "
                   "or pam, dovecot, cram or certificates in it",
                   auth_words[l->auth]);
        return;
    }
    if (l->tls == LISTENER_TLS_NONE && !l->auth_without_tls) {
        if (l->auth == LISTENER_AUTH_REQUIRED)
            faults_add(&r->faults, keys_place(section, "auth"),
                       "nobody can log in here: there is no TLS, and no "
                       "auth-without-tls = true");
        else
            faults_warn(&r->faults, keys_place(section, "auth"),
                        "nobody can log in here: there is no TLS, and no "
                        "auth-without-tls = true");
    }
    check_mechanisms(r, l, section);
}

/* RFC 2645: for who has logged in, if need be by the one way that its clients know. */
static void check_turn(struct reading *r, const struct listener_settings *l,
                       const struct syntax_entry *section)
{
    if (l->turn && l->auth == LISTENER_AUTH_NONE)
        faults_add(&r->faults, keys_place(section, "turn"),
                   "mail is fetched after a login only: auth = required, or "
                   "optional");
    if (l->auth != LISTENER_AUTH_NONE &&
        !keys_find(section->entries, "mechanisms") &&
        credentials_have_users(&r->settings->users) &&
        !(l->mechanisms & credentials_mechanisms(&r->settings->users)))
        faults_add(&r->faults, keys_place(section, "auth"),
                   "nobody can log in here: CRAM-MD5, which is all that users "
                   "{ } has, is for listeners with turn = true");
    if (!l->turn && keys_find(section->entries, "mechanisms") &&
        l->mechanisms & MECHANISM_CRAM_MD5)
        faults_add(&r->faults, keys_place(section, "mechanisms"),
                   "CRAM-MD5 is for who fetches his mail: turn = true");
}

/* Who may say to be any client opens the relay. */
static void check_speakers(struct reading *r, const struct listener_settings *l,
                           const struct syntax_entry *section)
{
    const struct {
        const char *name;
        const struct networks *networks;
    } lists[] = { { "proxy", &l->proxy }, { "xclient", &l->xclient } };

    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (networks_are_everything(lists[i].networks) &&
            !host_address_is_loopback(&l->host))
            faults_add(&r->faults, keys_place(section, lists[i].name),
                       "this opens the relay: everybody could say to be any "
                       "client");
}

static void read_listener(struct reading *r, const struct syntax_entry *section,
                          struct listener_settings *l)
{
    struct draft draft = { 0 };
    size_t faults_before = r->faults.fault_count;

    draft.listener.place = section->place;
    if (r->settings->tls.certificate_count)
        draft.listener.tls = LISTENER_TLS_OPTIONAL;
    keys_read(r, &table, section->entries, &draft);
    *l = draft.listener;
    if (!keys_find(section->entries, "mechanisms"))
        l->mechanisms = MECHANISMS_SERVED | (l->turn ? MECHANISM_CRAM_MD5 : 0);
    l->normalize = draft.line_ends == 1;
    l->hides_client = draft.received == 1;
    if (!keys_find(section->entries, "address"))
        faults_add(&r->faults, section->place, "a listener needs an address");
    if (r->faults.fault_count > faults_before)
        return;
    check_tls(r, l, section);
    check_auth(r, l, section);
    check_turn(r, l, section);
    check_speakers(r, l, section);
}

void listeners_read(struct reading *r, const struct syntax_entry *first,
                    size_t count)
{
    struct listener_settings *list = arena_take(r->arena, count * sizeof *list);
    const struct syntax_entry *e = first;
    struct titles titles = { 0 };

    for (size_t i = 0; i < count; i++, e = e->next_of_kind) {
        read_listener(r, e, &list[i]);
        /* one without a title is called by its address */
        list[i].title = e->title.text.len
                            ? titles_take(&titles, r, "listener", e)
                            : list[i].address;
        check_taken(r, list, i, keys_place(e, "address"));
    }
    titles_fini(&titles);
    r->settings->listeners = list;
    r->settings->listener_count = count;
}
