/*
 * hops - the next hops of a route: what via says.
 *
 *   mx
 *   smtp://[ACCOUNT@]HOST[:25]    smtps://[ACCOUNT@]HOST[:465]
 *   lmtp://[ACCOUNT@]HOST[:24]    lmtp:/path/of/a/socket
 *   pickup:NAME                   maildir:/path/%d/%u
 *
 * mx, pickup and maildir stand alone. An account's title may have an @, a host's
 * name has none. In a maildir's path %d is the recipient's domain, %u the local
 * part, %% a percent; its first folder has none of them.
 */
#include "policy/config/hops.h"

#include "policy/config/accounts.h"
#include "policy/config/value.h"
#include "policy/vocabulary/address.h"

enum { PICKUP_MOST = 64, MAILDIR_MOST = 1024 };

/* clang-format off */
static const struct scheme {
    enum hop_kind kind;
    struct span prefix;
    uint16_t port;
} schemes[] = {
    { HOP_SMTP,  SPAN_INIT("smtp://"),  25 },
    { HOP_SMTPS, SPAN_INIT("smtps://"), 465 },
    { HOP_LMTP,  SPAN_INIT("lmtp://"),  24 },
};
/* clang-format on */

enum { SCHEMES = sizeof schemes / sizeof schemes[0] };

/* --- reading ---------------------------------------------------------------
 */

/* A name that a look-up may be made for, folded; inside a site it may have _.
 */
static bool is_host_name(struct span s)
{
    size_t last = span_find_last(s, '.');
    struct span end = span_skip(s, last < s.len ? last + 1 : 0);
    uint64_t ignored;

    if (s.len == 0 || s.len > LIMIT_DOMAIN || span_number(end, &ignored))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
              c == '_' || (c == '.' && i && s.at[i - 1] != '.')))
            return false;
    }
    return s.at[s.len - 1] != '.';
}

/* An address, or a name in lower case and A-labels. */
static bool fold_host(struct span host, bool in_brackets, struct hop *hop,
                      struct buffer *out)
{
    struct host_address address;

    hop->is_literal = host_address_parse(host, &address);
    if (hop->is_literal) {
        host_address_print(out, &address);
        return true;
    }
    if (in_brackets)
        return false;
    if (domain_fold(host, out) < 0)
        for (size_t i = 0; i < host.len; i++)
            buffer_put_byte(out, ascii_lower(host.at[i]));
    return is_host_name(buffer_span(out));
}

/* host, host:25, [::1], [::1]:25, 192.0.2.1:25 into host and port. */
static bool split_host(struct reading *r, struct span s, struct hop *hop)
{
    bool in_brackets = s.len && s.at[0] == '[';
    size_t end = span_find(s, in_brackets ? ']' : ':');
    struct span host = span_first(s, end), rest = span_skip(s, end);
    struct buffer folded = { 0 };
    bool ok;

    if (in_brackets) {
        if (end == s.len)
            return false;
        host = span_skip(host, 1);
        rest = span_skip(rest, 1);
    }
    if (rest.len &&
        (rest.at[0] != ':' || !value_port(span_skip(rest, 1), &hop->port)))
        return false;
    ok = fold_host(host, in_brackets, hop, &folded);
    if (ok)
        hop->host = arena_copy(r->arena, buffer_span(&folded));
    buffer_fini(&folded);
    return ok;
}

/* After the scheme: [ACCOUNT@]HOST[:PORT]. */
static bool read_host(struct reading *r, const struct syntax_text *t,
                      const struct scheme *scheme, uint16_t port,
                      struct hop *hop)
{
    struct span rest = span_skip(t->text, scheme->prefix.len);
    size_t at = span_find_last(rest, '@');
    bool has_account = at < rest.len;

    hop->kind = scheme->kind;
    hop->port = port;
    if (!split_host(r, span_skip(rest, has_account ? at + 1 : 0), hop)) {
        const char *name = arena_string(r->arena, scheme->prefix);

        faults_add(&r->faults, t->place,
                   "%s is not %sHOST, %sHOST:PORT, %s[ADDRESS]:PORT or "
                   "%sACCOUNT@HOST",
                   faults_quote(&r->faults, t->text), name, name, name, name);
        return false;
    }
    if (!has_account)
        return true;
    hop->account = accounts_find(r, span_first(rest, at), t->place);
    return hop->account;
}

/* lmtp:/path */
static bool read_socket(struct reading *r, const struct syntax_text *t,
                        struct hop *hop)
{
    struct span path = span_skip(t->text, sizeof "lmtp:" - 1);

    hop->kind = HOP_LMTP;
    hop->path = arena_copy(r->arena, path);
    if (path.len > 1 && path.at[0] == '/' && path.len <= LIMIT_SOCKET_PATH)
        return true;
    faults_add(&r->faults, t->place,
               "%s is not lmtp:/PATH (of a socket, at most %d characters) or "
               "lmtp://HOST:PORT",
               faults_quote(&r->faults, t->text), LIMIT_SOCKET_PATH);
    return false;
}

/* pickup:NAME */
static bool read_pickup(struct reading *r, const struct syntax_text *t,
                        struct hop *hop)
{
    struct span name = span_skip(t->text, sizeof "pickup:" - 1);
    bool ok = name.len && name.len <= PICKUP_MOST;

    hop->kind = HOP_PICKUP;
    hop->host = arena_copy(r->arena, name);
    for (size_t i = 0; i < name.len; i++) {
        char c = ascii_lower(name.at[i]);

        ok = ok && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '_' || c == '.');
    }
    if (!ok)
        faults_add(&r->faults, t->place,
                   "%s is not pickup:NAME (letters, digits, -, _ and ., at "
                   "most %d)",
                   faults_quote(&r->faults, t->text), PICKUP_MOST);
    return ok;
}

/* What is wrong with a folder of a maildir's path; NULL: nothing. */
static const char *why_no_folder(struct span folder, bool is_first)
{
    if (folder.len == 0 || span_is(folder, SPAN(".")) ||
        span_is(folder, SPAN("..")))
        return "no folder of it is empty, . or ..";
    for (size_t i = 0; i < folder.len; i++) {
        if (folder.at[i] != '%')
            continue;
        if (++i == folder.len || !strchr("du%", folder.at[i]))
            return "%d is the domain, %u the local part, %% a percent, and no "
                   "other % means anything";
        if (is_first && folder.at[i] != '%')
            return "%d and %u stand after its first folder";
    }
    return NULL;
}

/* maildir:/path/%d/%u */
static bool read_maildir(struct reading *r, const struct syntax_text *t,
                         struct hop *hop)
{
    struct span path = span_skip(t->text, sizeof "maildir:" - 1), rest;
    const char *why = NULL;
    bool is_first = true;

    if (path.len > 2 && path.at[path.len - 1] == '/')
        path.len--;
    hop->kind = HOP_MAILDIR;
    hop->path = arena_copy(r->arena, path);
    if (path.len < 2 || path.at[0] != '/' || path.len > MAILDIR_MOST)
        why = "the path is a whole one, and not too long";
    rest = span_skip(path, 1);
    while (!why && rest.at) {
        why = why_no_folder(span_split(rest, '/', &rest), is_first);
        is_first = false;
    }
    if (why)
        faults_add(&r->faults, t->place,
                   "%s is not maildir:/PATH, such as "
                   "maildir:/var/mail/%%d/%%u: %s",
                   faults_quote(&r->faults, t->text), why);
    return !why;
}

bool hops_read_one(struct reading *r, const struct syntax_text *t,
                   struct hop *hop)
{
    *hop =
        (struct hop){ .kind = HOP_MX, .text = arena_copy(r->arena, t->text) };
    if (span_is(t->text, SPAN("mx")))
        return true;
    for (size_t i = 0; i < SCHEMES; i++)
        if (span_starts_nocase(t->text, schemes[i].prefix))
            return read_host(r, t, &schemes[i], schemes[i].port, hop);
    if (span_starts_nocase(t->text, SPAN("lmtp:")))
        return read_socket(r, t, hop);
    if (span_starts_nocase(t->text, SPAN("pickup:")))
        return read_pickup(r, t, hop);
    if (span_starts_nocase(t->text, SPAN("maildir:")))
        return read_maildir(r, t, hop);
    faults_add(&r->faults, t->place,
               "%s is not a next hop that this version knows: mx, "
               "smtp://HOST, smtp://HOST:PORT, smtp://[ADDRESS]:PORT, "
               "smtps://HOST, lmtp://HOST, lmtp:/PATH, pickup:NAME, "
               "maildir:/PATH",
               faults_quote(&r->faults, t->text));
    return false;
}

bool hops_read_provider(struct reading *r, const struct syntax_text *t,
                        uint16_t port, struct hop *hop)
{
    *hop = (struct hop){ .text = arena_copy(r->arena, t->text) };
    for (size_t i = 0; i < SCHEMES; i++)
        if (schemes[i].kind != HOP_LMTP &&
            span_starts_nocase(t->text, schemes[i].prefix))
            return read_host(r, t, &schemes[i], port, hop);
    faults_add(&r->faults, t->place,
               "%s is not a provider: smtp://HOST, smtp://HOST:PORT or "
               "smtps://HOST",
               faults_quote(&r->faults, t->text));
    return false;
}

static bool stands_alone(const struct hop *hop)
{
    return hop->kind == HOP_MX || hop->kind == HOP_PICKUP ||
           hop->kind == HOP_MAILDIR;
}

/* All of one kind, none twice. */
static bool fits(const struct hop *hops, size_t count, const struct hop *hop)
{
    if (count && (stands_alone(&hops[0]) || stands_alone(hop)))
        return false;
    for (size_t i = 0; i < count; i++)
        if (hops[i].port == hop->port && span_is(hops[i].host, hop->host) &&
            span_is(hops[i].path, hop->path))
            return false;
    return true;
}

void hops_read(struct reading *r, const struct syntax_entry *e,
               struct route *route)
{
    struct hop *hops = arena_take(r->arena, e->value_count * sizeof *hops);
    size_t count = 0;

    for (size_t i = 0; i < e->value_count; i++) {
        struct hop hop;

        if (!hops_read_one(r, &e->values[i], &hop))
            continue;
        if (!fits(hops, count, &hop)) {
            faults_add(&r->faults, e->values[i].place,
                       "%s does not go with what stands before it: via is mx, "
                       "a pickup or a maildir alone, or hosts and sockets, "
                       "each once",
                       faults_quote(&r->faults, e->values[i].text));
            continue;
        }
        hops[count++] = hop;
    }
    route->via = hops;
    route->via_count = count;
}

/* --- naming ----------------------------------------------------------------
 */

/* What parts names in a key. A maildir's own % is told from %HH by its letter. */
#define MARKS " ,:@%"

static void print_escaped(struct buffer *b, struct span name, const char *marks)
{
    for (size_t i = 0; i < name.len; i++) {
        if (strchr(marks, name.at[i]) && name.at[i])
            buffer_printf(b, "%%%02X", (unsigned char)name.at[i]);
        else
            buffer_put_byte(b, name.at[i]);
    }
}

void hops_print_name(struct buffer *b, struct span name)
{
    print_escaped(b, name, MARKS);
}

static void print_hop(struct buffer *b, const struct hop *hop)
{
    bool in_brackets = span_find(hop->host, ':') < hop->host.len;
    size_t i = 0;

    if (hop->kind == HOP_MX) {
        buffer_put_string(b, "mx");
        return;
    }
    if (hop->kind == HOP_PICKUP) {
        buffer_put_string(b, "pickup:");
        buffer_put(b, hop->host);
        return;
    }
    if (hop->path.len) {
        bool is_maildir = hop->kind == HOP_MAILDIR;

        buffer_put_string(b, is_maildir ? "maildir:" : "lmtp:");
        print_escaped(b, hop->path, is_maildir ? " ,:@" : MARKS);
        return;
    }
    while (schemes[i].kind != hop->kind)
        i++;
    buffer_put(b, schemes[i].prefix);
    if (hop->account) {
        hops_print_name(b, hop->account->title);
        buffer_put_byte(b, '@');
    }
    buffer_put_string(b, in_brackets ? "[" : "");
    buffer_put(b, hop->host);
    buffer_printf(b, in_brackets ? "]:%u" : ":%u", hop->port);
}

void hops_print(struct buffer *b, const struct hop *hops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buffer_put_string(b, i ? "," : "");
        print_hop(b, &hops[i]);
    }
}

bool hops_are_local(const struct hop *hop)
{
    return hop->path.len || value_is_loopback(hop->host);
}
