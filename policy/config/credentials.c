/*
 * credentials - the sections tls and users: whom we prove to be, and who may
 * prove to be somebody to us.
 *
 * Certificates, keys and passwords are named here and read elsewhere; only the
 * table of senders, which is no secret, is read with the settings.
 */
#include "policy/config/credentials.h"

#include "policy/config/valuecheck.h"
#include "policy/senders.h"

#define IN(field) offsetof(struct settings, field)

/* clang-format off */
static const struct key tls_keys[] = {
    { "certificate", KEY_LIST, IN(tls.certificates),
      IN(tls.certificate_count), .check = valuecheck_path },
    { "key",         KEY_LIST, IN(tls.keys), IN(tls.key_count),
      .check = valuecheck_path },
    { "authorities", KEY_TEXT, IN(tls.authorities),
      .check = valuecheck_path },
    { "client-authorities", KEY_TEXT, IN(tls.client_authorities),
      .check = valuecheck_path },
};

static const struct key users_keys[] = {
    { "file",         KEY_TEXT,    IN(users.file), .check = valuecheck_path },
    { "cram",         KEY_TEXT,    IN(users.cram_file),
      .check = valuecheck_path },
    { "pam",          KEY_TEXT,    IN(users.pam), .check = valuecheck_path },
    { "dovecot",      KEY_TEXT,    IN(users.dovecot),
      .check = valuecheck_socket },
    { "certificates", KEY_TEXT,    IN(users.certificates),
      .check = valuecheck_path },
    { "senders",      KEY_TEXT,    IN(users.senders),
      .check = valuecheck_path },
    { "from-header",  KEY_BOOLEAN, IN(users.from_header), .normal = "false" },
};
/* clang-format on */

const struct key_table credentials_tls = KEY_TABLE("tls", tls_keys);
const struct key_table credentials_users = KEY_TABLE("users", users_keys);

/* Of a list, the first value that the other list has no partner for. */
static struct place place_without(const struct syntax_entry *section,
                                  const char *name, size_t partners)
{
    const struct syntax_entry *e = keys_find(section->entries, name);

    return e && partners < e->value_count ? e->values[partners].place
                                          : keys_place(section, name);
}

void credentials_check_tls(struct reading *r,
                           const struct syntax_entry *section)
{
    struct tls_settings *t = &r->settings->tls;

    t->place = keys_place(section, "certificate");
    if (t->certificate_count > t->key_count)
        faults_add(&r->faults,
                   place_without(section, "certificate", t->key_count),
                   "this certificate has no key: as many are needed, in the "
                   "same order");
    if (t->key_count > t->certificate_count)
        faults_add(&r->faults,
                   place_without(section, "key", t->certificate_count),
                   "this key has no certificate: as many are needed, in the "
                   "same order");
}

/* --- users ----------------------------------------------------------------- */

bool credentials_have_users(const struct users_settings *u)
{
    return u->file.len || u->cram_file.len || u->pam.len || u->dovecot.len ||
           u->certificates.len;
}

unsigned credentials_mechanisms(const struct users_settings *u)
{
    unsigned set = 0;

    if (u->dovecot.len) /* judges for itself */
        set |= MECHANISM_ALL & ~(unsigned)MECHANISM_EXTERNAL;
    if (u->pam.len)
        set |= MECHANISM_PLAIN | MECHANISM_LOGIN;
    if (u->file.len)
        set |= MECHANISMS_SERVED & ~(unsigned)MECHANISM_EXTERNAL;
    if (u->cram_file.len)
        set |= MECHANISM_CRAM_MD5;
    if (u->certificates.len)
        set |= MECHANISM_EXTERNAL;
    return set;
}

/* Passwords are looked for in one place. */
static void check_one_backend(struct reading *r,
                              const struct syntax_entry *section)
{
    static const struct {
        const char *name;
        size_t offset;
    } backends[] = {
        { "file", IN(users.file) },
        { "pam", IN(users.pam) },
        { "dovecot", IN(users.dovecot) },
    };
    const char *first = NULL;

    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        const struct span *s = (const struct span *)((const char *)r->settings +
                                                     backends[i].offset);

        if (s->len == 0)
            continue;
        if (first)
            faults_add(&r->faults, keys_place(section, backends[i].name),
                       "%s does not go with %s: one of file, pam and dovecot "
                       "knows who may log in",
                       backends[i].name, first);
        else
            first = backends[i].name;
    }
    if (r->settings->users.cram_file.len && first && strcmp(first, "file") != 0)
        faults_add(&r->faults, keys_place(section, "cram"),
                   "cram goes with file, or stands alone; %s has passwords of "
                   "its own",
                   first);
}

static void read_senders(struct reading *r, struct place place)
{
    const struct span name = r->settings->users.senders;
    const char *file = arena_string(r->arena, name);
    struct buffer text = { 0 }, faults = { 0 };
    int rc = r->source->read_file(r->source->user, file, &text);

    if (rc < 0)
        faults_add(&r->faults, place, "cannot read %s: %s",
                   faults_quote(&r->faults, name), error_text(rc));
    else
        r->settings->senders =
            senders_read(r->arena, buffer_span(&text), &faults);
    faults_add_lines(&r->faults, file, buffer_span(&faults));
    buffer_fini(&text);
    buffer_fini(&faults);
}

void credentials_check_users(struct reading *r,
                             const struct syntax_entry *section)
{
    struct users_settings *u = &r->settings->users;

    u->place = section->place;
    check_one_backend(r, section);
    if (u->from_header && u->senders.len == 0)
        faults_add(&r->faults, keys_place(section, "from-header"),
                   "from-header asks the table of senders: senders = FILE");
    if (u->senders.len && !r->source->is_brief)
        read_senders(r, keys_place(section, "senders"));
}
