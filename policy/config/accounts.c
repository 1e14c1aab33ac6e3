/*
 * accounts - how we log in to next hops: the section account, and a route's own
 * user and password.
 *
 * An account has one secret: a password in a file, a program that prints a
 * token, or an OAuth 2 server; or none, where a client certificate alone
 * speaks for us (EXTERNAL). Here it is only named.
 *
 * The list by title lives in the settings' arena, sorted, as long as reading
 * goes on.
 */
#include "policy/config/accounts.h"

#include "policy/config/lists.h"
#include "policy/config/titles.h"
#include "policy/config/value.h"
#include "policy/config/valuecheck.h"

#include <stdlib.h>

struct known {
    const char *name;
    struct account *account;
    bool is_used;
};

struct accounts {
    struct known *all; /* by name */
    size_t count;
};

/* --- single values ---------------------------------------------------------
 */

/* Of host, host:port, [address]:port. */
static bool is_this_machine(struct span authority)
{
    bool in_brackets = authority.len && authority.at[0] == '[';
    size_t end = span_find(authority, in_brackets ? ']' : ':');
    struct span port = span_skip(authority, end + in_brackets);
    uint16_t ignored;

    return value_is_loopback(
               span_skip(span_first(authority, end), in_brackets)) &&
           (port.len == 0 ||
            (port.at[0] == ':' && value_port(span_skip(port, 1), &ignored)));
}

/* The secrets that are sent there must not be read on the way. */
bool accounts_check_url(struct reading *r, const struct syntax_text *t,
                        struct span *value)
{
    static const struct span https = SPAN_INIT("https://"),
                             http = SPAN_INIT("http://");
    bool is_https = span_starts_nocase(t->text, https);
    struct span rest = span_skip(t->text, is_https ? https.len : http.len);
    struct span authority = span_first(rest, span_find(rest, '/'));

    (void)value;
    if (authority.len && span_find(t->text, ' ') == t->text.len &&
        (is_https ||
         (span_starts_nocase(t->text, http) && is_this_machine(authority))))
        return true;
    faults_add(&r->faults, t->place,
               "%s is not an https:// URL (http:// only to this machine's own "
               "127.0.0.1 or [::1])",
               faults_quote(&r->faults, t->text));
    return false;
}

static bool check_not_empty(struct reading *r, const struct syntax_text *t,
                            struct span *value)
{
    (void)value;
    if (t->text.len)
        return true;
    faults_add(&r->faults, t->place, "this is empty");
    return false;
}

#define IN(field) offsetof(struct account, field)

/* clang-format off */
static const struct key account_keys[] = {
    { "user",          KEY_TEXT, IN(user), .check = check_not_empty },
    { "password-file", KEY_TEXT, IN(password_file),
      .check = valuecheck_path },
    { "mechanisms",    KEY_OWN,  IN(mechanisms), .read = lists_mechanisms },
    { "token-command", KEY_LIST, IN(token_command), IN(token_command_count),
      .check = check_not_empty },
    { "token-url",     KEY_TEXT, IN(token_url), .check = accounts_check_url },
    { "client-id",     KEY_TEXT, IN(client_id), .check = check_not_empty },
    { "client-secret-file",  KEY_TEXT, IN(client_secret_file),
      .check = valuecheck_path },
    { "refresh-token-file",  KEY_TEXT, IN(refresh_token_file),
      .check = valuecheck_path },
    { "scope",         KEY_TEXT, IN(scope), .check = check_not_empty },
};
/* clang-format on */

static const struct key_table table = KEY_TABLE("an account", account_keys);

/* --- the section -----------------------------------------------------------
 */

bool accounts_show_secret(const struct account *a)
{
    return a->password_file.len || account_is_bearer(a);
}

/* One secret, and no more than one. */
static void check_secret(struct reading *r, const struct account *a,
                         const struct syntax_entry *section)
{
    static const char *const names[] = { "password-file", "token-command",
                                         "token-url" };
    const char *first = NULL;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!keys_find(section->entries, names[i]))
            continue;
        if (first)
            faults_add(&r->faults, keys_place(section, names[i]),
                       "%s does not go with %s: an account has one secret",
                       names[i], first);
        else
            first = names[i];
    }
    if (!first && a->mechanisms != MECHANISM_EXTERNAL)
        faults_add(&r->faults, section->place,
                   "an account needs a secret: password-file, token-command "
                   "or token-url (none with mechanisms = {\"EXTERNAL\"})");
    if (a->user.len == 0 && a->mechanisms != MECHANISM_EXTERNAL)
        faults_add(&r->faults, section->place, "an account needs a user");
}

/* What is said only to an OAuth server needs one, and it needs them. */
static void check_oauth(struct reading *r, const struct account *a,
                        const struct syntax_entry *section)
{
    static const char *const names[] = { "client-id", "client-secret-file",
                                         "refresh-token-file", "scope" };
    bool has_url = keys_find(section->entries, "token-url");

    for (size_t i = 0; i < sizeof names / sizeof names[0] && !has_url; i++)
        if (keys_find(section->entries, names[i]))
            faults_add(&r->faults, keys_place(section, names[i]),
                       "%s is used only with token-url", names[i]);
    if (!has_url)
        return;
    if (!keys_find(section->entries, "client-id"))
        faults_add(&r->faults, keys_place(section, "token-url"),
                   "token-url needs a client-id");
    if (a->client_secret_file.len == 0 && a->refresh_token_file.len == 0)
        faults_add(&r->faults, keys_place(section, "token-url"),
                   "token-url needs a client-secret-file, a "
                   "refresh-token-file, or both");
}

/* Can the secret be shown in one of these ways? */
static void check_mechanisms(struct reading *r, const struct account *a,
                             const struct syntax_entry *section)
{
    unsigned bearer = MECHANISMS_BEARER;
    unsigned fit = account_is_bearer(a) ? bearer : MECHANISM_ALL & ~bearer;
    struct buffer names = { 0 };

    if (!accounts_show_secret(a) || (a->mechanisms & ~fit) == 0)
        return;
    mechanisms_print(&names, a->mechanisms & ~fit);
    faults_add(&r->faults, keys_place(section, "mechanisms"),
               "%s cannot show %s", buffer_string(&names),
               account_is_bearer(a) ? "a token; OAUTHBEARER and XOAUTH2 do"
                                    : "a password");
    buffer_fini(&names);
}

static void read_account(struct reading *r, const struct syntax_entry *section,
                         struct account *a)
{
    size_t faults_before = r->faults.fault_count;

    a->place = section->place;
    keys_read(r, &table, section->entries, a);
    if (r->faults.fault_count > faults_before)
        return;
    check_secret(r, a, section);
    check_oauth(r, a, section);
    check_mechanisms(r, a, section);
}

static int by_name(const void *left, const void *right)
{
    const struct known *a = left, *b = right;

    return strcmp(a->name, b->name);
}

void accounts_read(struct reading *r, const struct syntax_entry *first,
                   size_t count)
{
    struct account *list = arena_take(r->arena, count * sizeof *list);
    struct accounts *accounts = arena_take(r->arena, sizeof *accounts);
    const struct syntax_entry *e = first;
    struct titles titles = { 0 };

    accounts->all = arena_take(r->arena, count * sizeof *accounts->all);
    accounts->count = count;
    for (size_t i = 0; i < count; i++, e = e->next_of_kind) {
        list[i].title = titles_take(&titles, r, "account", e);
        read_account(r, e, &list[i]);
        accounts->all[i] =
            (struct known){ .name = arena_string(r->arena, list[i].title),
                            .account = &list[i] };
    }
    titles_fini(&titles);
    if (count)
        qsort(accounts->all, count, sizeof *accounts->all, by_name);
    r->accounts = accounts;
}

const struct account *accounts_find(struct reading *r, struct span title,
                                    struct place place)
{
    struct accounts *list = r->accounts;
    struct known key = { .name = arena_string(r->arena, title) };
    struct known *found =
        list->count ? bsearch(&key, list->all, list->count, sizeof key, by_name)
                    : NULL;
    const char *near;

    if (found) {
        found->is_used = true;
        return found->account;
    }
    near = list->count ? faults_nearest(title, &list->all[0].name, list->count,
                                        sizeof list->all[0])
                       : NULL;
    faults_add(&r->faults, place, "there is no account %s%s%s%s",
               faults_quote(&r->faults, title), near ? "; " : "",
               near ? faults_quote(&r->faults, span_of(near)) : "",
               near ? " was meant?" : "");
    return NULL;
}

void accounts_take_own(struct reading *r, const struct account *own,
                       const char *key, const struct syntax_entry *section,
                       const struct account **out)
{
    bool has_user = keys_find(section->entries, "user"),
         has_file = keys_find(section->entries, "password-file");
    struct account *kept;

    if (!has_user && !has_file)
        return;
    if (keys_find(section->entries, key)) {
        faults_add(&r->faults,
                   keys_place(section, has_user ? "user" : "password-file"),
                   "the account has its own user and secret");
        return;
    }
    if (!own->user.len || !has_file) {
        faults_add(&r->faults,
                   keys_place(section, has_user ? "user" : "password-file"),
                   "user and password-file go together");
        return;
    }
    kept = arena_take(r->arena, sizeof *kept);
    *kept = *own;
    kept->place = keys_place(section, "user");
    check_mechanisms(r, kept, section);
    *out = kept;
}

void accounts_doubt_unused(struct reading *r)
{
    for (size_t i = 0; i < r->accounts->count; i++)
        if (!r->accounts->all[i].is_used)
            faults_warn(
                &r->faults, r->accounts->all[i].account->place,
                "account %s is used by no route",
                faults_quote(&r->faults, r->accounts->all[i].account->title));
}
