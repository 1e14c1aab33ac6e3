/*
 * routes - what a route section says.
 */
#include "policy/config/routes.h"

#include "policy/config/sections.h"
#include "policy/config/titles.h"
#include "policy/config/value.h"
#include "policy/pattern.h"

enum { SMTP_PORT = 25 };

static const char *const none[] = { "none", NULL };

/* --- patterns --------------------------------------------------------------
 */

/* The form that route.c looks up: folded, "*." in front of what is below. */
static bool check_to(struct reading *r, const struct syntax_text *t,
                     struct span *value)
{
    struct buffer b = { 0 };
    struct pattern p = { .kind = PATTERN_NULL };
    bool ok = pattern_parse(r->arena, t->text, PATTERN_OF_MAILBOX, &p, &b);

    if (ok && (p.kind == PATTERN_NULL || p.kind == PATTERN_EXPRESSION)) {
        buffer_put_string(&b, "is not what a route can be found by: a domain, "
                              "*.domain, an address, or *");
        ok = false;
    }
    if (ok) {
        buffer_put_string(&b, p.kind == PATTERN_BELOW ? "*." : "");
        buffer_put(&b, p.text);
        *value = arena_copy(r->arena, buffer_span(&b));
    } else {
        faults_add(&r->faults, t->place, "%s %s",
                   faults_quote(&r->faults, t->text), buffer_string(&b));
    }
    buffer_fini(&b);
    return ok;
}

static bool check_from(struct reading *r, const struct syntax_text *t,
                       struct span *value)
{
    struct buffer why = { 0 };
    struct pattern ignored;
    bool ok =
        pattern_parse(r->arena, t->text, PATTERN_OF_MAILBOX, &ignored, &why);

    (void)value;
    if (!ok)
        faults_add(&r->faults, t->place, "%s %s",
                   faults_quote(&r->faults, t->text), buffer_string(&why));
    buffer_fini(&why);
    return ok;
}

/* --- next hops -------------------------------------------------------------
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
static bool split_hop(struct reading *r, struct span s, struct hop *hop)
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
    hop->port = SMTP_PORT;
    if (rest.len &&
        (rest.at[0] != ':' || !value_port(span_skip(rest, 1), &hop->port)))
        return false;
    ok = fold_host(host, in_brackets, hop, &folded);
    if (ok)
        hop->host = arena_copy(r->arena, buffer_span(&folded));
    buffer_fini(&folded);
    return ok;
}

static bool read_hop(struct reading *r, const struct syntax_text *t,
                     struct hop *hop)
{
    const struct span smtp = SPAN("smtp://");

    *hop =
        (struct hop){ .kind = HOP_MX, .text = arena_copy(r->arena, t->text) };
    if (span_is(t->text, SPAN("mx")))
        return true;
    hop->kind = HOP_SMTP;
    if (!span_starts_nocase(t->text, smtp)) {
        faults_add(&r->faults, t->place,
                   "%s is not a next hop that this version knows: mx, or "
                   "smtp://HOST, smtp://HOST:PORT, smtp://[ADDRESS]:PORT",
                   faults_quote(&r->faults, t->text));
        return false;
    }
    if (split_hop(r, span_skip(t->text, smtp.len), hop))
        return true;
    faults_add(&r->faults, t->place,
               "%s is not smtp://HOST, smtp://HOST:PORT or "
               "smtp://[ADDRESS]:PORT",
               faults_quote(&r->faults, t->text));
    return false;
}

static void put_hop(struct buffer *b, const struct hop *hop)
{
    bool in_brackets = span_find(hop->host, ':') < hop->host.len;

    if (hop->kind == HOP_MX) {
        buffer_put_string(b, "mx");
        return;
    }
    buffer_put_string(b, in_brackets ? "smtp://[" : "smtp://");
    buffer_put(b, hop->host);
    buffer_printf(b, in_brackets ? "]:%u" : ":%u", hop->port);
}

/* All of one kind, none twice. */
static bool fits(const struct hop *hops, size_t count, const struct hop *hop)
{
    if (count && (hops[0].kind == HOP_MX || hop->kind == HOP_MX))
        return false;
    for (size_t i = 0; i < count; i++)
        if (hops[i].port == hop->port && span_is(hops[i].host, hop->host))
            return false;
    return true;
}

static void read_via(struct reading *r, const struct key *key,
                     const struct syntax_entry *e, void *object)
{
    struct route *route = object;
    struct hop *hops = arena_take(r->arena, e->value_count * sizeof *hops);
    struct buffer b = { 0 };
    size_t count = 0;

    (void)key;
    for (size_t i = 0; i < e->value_count; i++) {
        struct hop hop;

        if (!read_hop(r, &e->values[i], &hop))
            continue;
        if (!fits(hops, count, &hop)) {
            faults_add(&r->faults, e->values[i].place,
                       "%s does not go with what stands before it: via is mx "
                       "alone, or hosts, each once",
                       faults_quote(&r->faults, e->values[i].text));
            continue;
        }
        buffer_put_string(&b, count ? "," : "");
        put_hop(&b, &hop);
        hops[count++] = hop;
    }
    route->via = hops;
    route->via_count = count;
    route->key = arena_copy(r->arena, buffer_span(&b));
    buffer_fini(&b);
}

/* --- the section -----------------------------------------------------------
 */

#define IN(field) offsetof(struct route, field)

/* clang-format off */
static const struct key route_keys[] = {
    { "to",          KEY_LIST,     IN(to), IN(to_count), .check = check_to },
    { "from",        KEY_LIST,     IN(from), IN(from_count), .check = check_from },
    { "via",         KEY_OWN,      .read = read_via },
    { "tls",         KEY_WORD,     KEY_NOWHERE, .words = none },
    { "connections", KEY_NUMBER,   IN(connections), .normal = "20",
      .low = 1, .high = 10000 },
    { "messages-per-connection", KEY_NUMBER, IN(messages_per_connection),
      .normal = "0", .high = 1000000 },
    { "idle",        KEY_DURATION, IN(idle_ms), .normal = "2s",
      .high = 300 * 1000ull },
    SECTIONS_RETRY_KEYS(IN(retry), NULL, NULL, NULL, NULL, NULL),
};
/* clang-format on */

static const struct key_table table = KEY_TABLE("a route", route_keys);

/* Without `to` the title is the pattern. */
static void take_title_as_pattern(struct reading *r, struct route *route,
                                  const struct syntax_entry *section)
{
    struct span value = section->title.text;

    if (value.len == 0 || !check_to(r, &section->title, &value))
        return;
    route->to = arena_take(r->arena, sizeof *route->to);
    route->to[0] = value;
    route->to_count = 1;
}

static void read_route(struct reading *r, const struct syntax_entry *section,
                       struct route *route)
{
    route->place = section->place;
    route->retry = r->settings->retry;
    keys_set_defaults(r, &table, route);
    keys_read(r, &table, section->entries, route);
    if (!keys_find(section->entries, "to"))
        take_title_as_pattern(r, route, section);
    if (!keys_find(section->entries, "via"))
        faults_add(&r->faults, section->place,
                   "a route needs a next hop: via = {\"mx\"} or via = "
                   "{\"smtp://HOST:PORT\"}");
    sections_check_retry(r, &route->retry, section);
}

void routes_read(struct reading *r, const struct syntax_entry *first,
                 size_t count)
{
    struct route *routes = arena_take(r->arena, count * sizeof *routes);
    const struct syntax_entry *e = first;
    struct titles titles = { 0 };

    for (size_t i = 0; i < count; i++, e = e->next_of_kind) {
        routes[i].title = titles_take(&titles, r, "route", e);
        read_route(r, e, &routes[i]);
    }
    titles_fini(&titles);
    r->settings->routes = routes;
    r->settings->route_count = count;
}
