/*
 * rule_actions - what each action of a rule needs to be told.
 *
 * A key that is written in a rule whose action has no use for it is a fault:
 * whoever wrote it meant another action, or thinks that it does something.
 */
#include "policy/config/rule_actions.h"

#include "policy/config/rates.h"
#include "policy/config/tables.h"
#include "policy/config/value.h"
#include "policy/rewriting.h"
#include "policy/vocabulary/address.h"

const char *const rule_actions_names[] = {
    [ACTION_RELAY] = "relay",
    [ACTION_REJECT] = "reject",
    [ACTION_DEFER] = "defer",
    [ACTION_DISCARD] = "discard",
    [ACTION_HOLD] = "hold",
    [ACTION_LIMIT] = "limit",
    [ACTION_GREYLIST] = "greylist",
    [ACTION_TAG] = "tag",
    [ACTION_ADD_HEADER] = "add-header",
    [ACTION_REMOVE_HEADER] = "remove-header",
    [ACTION_REWRITE] = "rewrite",
    [ACTION_COPY] = "copy",
    [ACTION_ROUTE] = "route",
    [ACTION_POLICY] = "policy",
    NULL,
};

/* --- which key goes with which action --------------------------------------
 */

#define WITH(action) (1u << ACTION_##action)

/* clang-format off */
static const struct belonging {
    const char *key;
    unsigned actions;
    bool is_needed;           /* by the action it goes with */
    const char *example;
} belongings[] = {
    { "reply",         WITH(REJECT) | WITH(DEFER) | WITH(LIMIT) | WITH(GREYLIST), false, NULL },
    { "per",           WITH(LIMIT),         true,  "per = client" },
    { "rate",          WITH(LIMIT),         true,  "rate = {\"100/h\"}" },
    { "count",         WITH(LIMIT),         false, NULL },
    { "over",          WITH(LIMIT),         false, NULL },
    { "retry-after",   WITH(GREYLIST),      false, NULL },
    { "retry-within",  WITH(GREYLIST),      false, NULL },
    { "remember",      WITH(GREYLIST),      false, NULL },
    { "trust-after",   WITH(GREYLIST),      false, NULL },
    { "set-tag",       WITH(TAG),           true,  "set-tag = {\"NAME\"}" },
    { "add-header",    WITH(ADD_HEADER),    true,  "add-header = {\"NAME: VALUE\"}" },
    { "remove-header", WITH(REMOVE_HEADER), true,  "remove-header = {\"NAME\"}" },
    { "rewrite-from",  WITH(REWRITE),       false, NULL },
    { "rewrite-to",    WITH(REWRITE),       false, NULL },
    { "copy",          WITH(COPY),          true,  "copy = {\"archive@example.org\"}" },
    { "route",         WITH(ROUTE),         true,  "route = \"NAME\"" },
    { "server",        WITH(POLICY),        true,  "server = \"127.0.0.1:10023\"" },
};
/* clang-format on */

enum { BELONGINGS = sizeof belongings / sizeof belongings[0] };

static void not_with(struct reading *r, const struct belonging *b,
                     enum rule_action action, struct place place)
{
    struct buffer goes_with = { 0 };

    for (unsigned i = 0; rule_actions_names[i]; i++)
        if (b->actions & 1u << i)
            buffer_printf(&goes_with, "%s%s", goes_with.len ? ", " : "",
                          rule_actions_names[i]);
    faults_add(&r->faults, place, "%s goes with action = %s, not with %s",
               b->key, buffer_string(&goes_with), rule_actions_names[action]);
    buffer_fini(&goes_with);
}

void rule_actions_check_keys(struct reading *r, enum rule_action action,
                             const struct syntax_entry *section)
{
    for (size_t i = 0; i < BELONGINGS; i++) {
        const struct belonging *b = &belongings[i];
        const struct syntax_entry *e = keys_find(section->entries, b->key);
        bool belongs = b->actions & 1u << action;

        if (e && !belongs)
            not_with(r, b, action, e->place);
        else if (!e && belongs && b->is_needed)
            faults_add(&r->faults, keys_place(section, "action"),
                       "%s needs %s, such as %s", rule_actions_names[action],
                       b->key, b->example);
    }
}

void rule_actions_mode(struct reading *r, const struct key *key,
                       const struct syntax_entry *e, void *object)
{
    const struct syntax_text *t = keys_only_text(r, e);
    bool is_shadow = t && span_is(t->text, SPAN("shadow"));

    (void)key;
    ((struct rule *)object)->is_shadow = is_shadow;
    if (t && !is_shadow && !span_is(t->text, SPAN("enforce")))
        faults_add(&r->faults, t->place,
                   "%s is not right for mode, which takes one of: enforce, "
                   "shadow (records what the rule would do, and does nothing)",
                   faults_quote(&r->faults, t->text));
}

/* --- limit -----------------------------------------------------------------
 */

void rule_actions_rates(struct reading *r, const struct key *key,
                        const struct syntax_entry *e, void *object)
{
    struct rule *rule = object;

    (void)key;
    rates_read(r, e, &rule->limit.rates, &rule->limit.rate_count);
}

static void check_limit(struct reading *r, const struct rule *rule,
                        const struct syntax_entry *section)
{
    rates_check(r, keys_find(section->entries, "rate"), rule->limit.rates,
                rule->limit.rate_count,
                rule->limit.count == LIMIT_OF_BYTES
                    ? NULL
                    : "this limit does not count bytes (count = bytes)");
}

/* --- copies, routes, servers -----------------------------------------------
 */

void rule_actions_copy(struct reading *r, const struct key *key,
                       const struct syntax_entry *e, void *object)
{
    struct rule *rule = object;
    struct address ignored;

    (void)key;
    rule->texts = arena_take(r->arena, e->value_count * sizeof *rule->texts);
    for (size_t i = 0; i < e->value_count; i++) {
        const struct syntax_text *t = &e->values[i];

        if (address_parse(t->text, &ignored) == ADDRESS_OK)
            rule->texts[rule->text_count++] = arena_copy(r->arena, t->text);
        else
            faults_add(&r->faults, t->place, "%s is not an address",
                       faults_quote(&r->faults, t->text));
    }
}

static void take_text(struct reading *r, struct rule *rule, struct span text)
{
    rule->texts = arena_take(r->arena, sizeof *rule->texts);
    rule->texts[0] = arena_copy(r->arena, text);
    rule->text_count = 1;
}

void rule_actions_route(struct reading *r, const struct key *key,
                        const struct syntax_entry *e, void *object)
{
    const struct syntax_text *t = keys_only_text(r, e);

    (void)key;
    if (t)
        take_text(r, object, t->text);
}

void rule_actions_resolve(struct reading *r, const struct syntax_entry *section)
{
    const struct settings *s = r->settings;
    const struct syntax_entry *e = keys_find(section->entries, "route");
    size_t i = 0;

    if (!e || e->value_count != 1)
        return;
    while (i < s->route_count &&
           !span_is(s->routes[i].title, e->values[0].text))
        i++;
    if (i == s->route_count)
        faults_add(&r->faults, e->values[0].place, "there is no route %s",
                   faults_quote(&r->faults, e->values[0].text));
}

static bool is_server(struct span s)
{
    struct span ignored;
    uint16_t port;

    if (s.len > 1 && s.at[0] == '/')
        return s.len <= LIMIT_SOCKET_PATH;
    return value_host_port(s, &ignored, &port);
}

void rule_actions_server(struct reading *r, const struct key *key,
                         const struct syntax_entry *e, void *object)
{
    const struct syntax_text *t = keys_only_text(r, e);

    (void)key;
    if (!t)
        return;
    if (is_server(t->text))
        take_text(r, object, t->text);
    else
        faults_add(&r->faults, t->place,
                   "%s is not a policy server such as \"127.0.0.1:10023\", "
                   "\"[::1]:10023\" or a socket \"/run/postgrey.sock\" "
                   "(at most %d bytes)",
                   faults_quote(&r->faults, t->text), LIMIT_SOCKET_PATH);
}

/* --- rewrite ---------------------------------------------------------------
 */

/* A bad table is a fault of its own. */
static bool add_member(struct reading *r, struct rewriting *w,
                       const struct syntax_text *t, struct buffer *why)
{
    struct table *table;

    if (!tables_is_named(t->text))
        return rewriting_add(w, r->arena, t->text, why);
    table = tables_take(r, t);
    return !table || rewriting_add_table(w, table, why);
}

void rule_actions_rewrite(struct reading *r, const struct key *key,
                          const struct syntax_entry *e, void *object)
{
    struct rewriting *w = rewriting_new(r->arena, key->high);
    struct buffer why = { 0 };

    for (size_t i = 0; i < e->value_count; i++) {
        buffer_clear(&why);
        if (!add_member(r, w, &e->values[i], &why))
            faults_add(&r->faults, e->values[i].place, "%s %s",
                       faults_quote(&r->faults, e->values[i].text),
                       buffer_string(&why));
    }
    buffer_fini(&why);
    ((struct rule *)object)->rewriting = w;
}

static void check_rewrite(struct reading *r, const struct rule *rule,
                          const struct syntax_entry *section)
{
    const struct syntax_entry *from =
                                  keys_find(section->entries, "rewrite-from"),
                              *to = keys_find(section->entries, "rewrite-to");

    if (!from && !to)
        faults_add(&r->faults, keys_place(section, "action"),
                   "rewrite needs rewrite-from or rewrite-to");
    else if (from && to)
        faults_add(&r->faults, to->place,
                   "a rule rewrites senders or recipients: write another one "
                   "for rewrite-to");
    else if (rewriting_is_srs(rule->rewriting) &&
             r->settings->srs.secret_file.len == 0)
        faults_add(&r->faults, (from ? from : to)->place,
                   "srs signs with a secret: srs-secret-file = FILE at the top "
                   "level, with one in its first line");
}

/* --- greylist --------------------------------------------------------------
 */

static void check_greylist(struct reading *r, const struct rule *rule,
                           const struct syntax_entry *section)
{
    if (rule->greylist.delay_ms < rule->greylist.window_ms)
        return;
    faults_add(&r->faults,
               keys_place(section, keys_find(section->entries, "retry-within")
                                       ? "retry-within"
                                       : "retry-after"),
               "nobody could ever pass: retry-within ends before retry-after "
               "has begun");
}

void rule_actions_check(struct reading *r, const struct rule *rule,
                        const struct syntax_entry *section)
{
    if (rule->action == ACTION_LIMIT)
        check_limit(r, rule, section);
    else if (rule->action == ACTION_GREYLIST)
        check_greylist(r, rule, section);
    else if (rule->action == ACTION_REWRITE)
        check_rewrite(r, rule, section);
}
