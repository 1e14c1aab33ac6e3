/*
 * rules - what a rule section says, and that it does not open the relay.
 *
 * A condition is a row of rule_keys; its twin with not- is made from the same
 * row by the flag in `high`. What `relay` needs is in check_relay.
 */
#include "policy/config/rules.h"

#include "policy/config/conditions.h"
#include "policy/config/rewritetables.h"
#include "policy/config/rule_actions.h"
#include "policy/config/rule_texts.h"
#include "policy/config/sections.h"
#include "policy/config/titles.h"
#include "policy/config/zones.h"
#include "policy/table.h"

static const char *const per_words[] = {
    [LIMIT_PER_CLIENT] = "client",
    [LIMIT_PER_LOGIN] = "login",
    [LIMIT_PER_FROM] = "from",
    [LIMIT_PER_FROM_DOMAIN] = "from-domain",
    [LIMIT_PER_TO_DOMAIN] = "to-domain",
    NULL,
};

static const char *const count_words[] = {
    [LIMIT_OF_MESSAGES] = "messages",
    [LIMIT_OF_RECIPIENTS] = "recipients",
    [LIMIT_OF_BYTES] = "bytes",
    NULL,
};

static const char *const over_words[] = {
    [LIMIT_DEFERS] = "defer",
    [LIMIT_REJECTS] = "reject",
    [LIMIT_HOLDS] = "hold",
    NULL,
};

static void read_condition(struct reading *r, const struct key *key,
                           const struct syntax_entry *e, void *object)
{
    struct rule *rule = object;

    conditions_read(r, key, e, &rule->conditions[rule->condition_count++]);
}

/* Read with its zones, when all keys were. */
static void read_threshold(struct reading *r, const struct key *key,
                           const struct syntax_entry *e, void *object)
{
    (void)r;
    (void)key;
    (void)e;
    (void)object;
}

#define IN(field) offsetof(struct rule, field)

/* clang-format off */
static const struct key rule_keys[] = {
    { "client", KEY_OWN, .low = FACT_CLIENT, .read = read_condition },
    { "not-client", KEY_OWN, .low = FACT_CLIENT, .high = true, .read = read_condition },
    { "client-name", KEY_OWN, .low = FACT_CLIENT_NAME, .read = read_condition },
    { "not-client-name", KEY_OWN, .low = FACT_CLIENT_NAME, .high = true, .read = read_condition },
    { "listener", KEY_OWN, .low = FACT_LISTENER, .read = read_condition },
    { "not-listener", KEY_OWN, .low = FACT_LISTENER, .high = true, .read = read_condition },
    { "helo", KEY_OWN, .low = FACT_HELO, .read = read_condition },
    { "not-helo", KEY_OWN, .low = FACT_HELO, .high = true, .read = read_condition },
    { "tls", KEY_OWN, .low = FACT_TLS, .read = read_condition },
    { "not-tls", KEY_OWN, .low = FACT_TLS, .high = true, .read = read_condition },
    { "login", KEY_OWN, .low = FACT_LOGIN, .read = read_condition },
    { "not-login", KEY_OWN, .low = FACT_LOGIN, .high = true, .read = read_condition },
    { "certificate", KEY_OWN, .low = FACT_CERTIFICATE, .read = read_condition },
    { "not-certificate", KEY_OWN, .low = FACT_CERTIFICATE, .high = true, .read = read_condition },
    { "from", KEY_OWN, .low = FACT_FROM, .read = read_condition },
    { "not-from", KEY_OWN, .low = FACT_FROM, .high = true, .read = read_condition },
    { "to", KEY_OWN, .low = FACT_TO, .read = read_condition },
    { "not-to", KEY_OWN, .low = FACT_TO, .high = true, .read = read_condition },
    { "size", KEY_OWN, .low = FACT_SIZE, .read = read_condition },
    { "not-size", KEY_OWN, .low = FACT_SIZE, .high = true, .read = read_condition },
    { "time", KEY_OWN, .low = FACT_TIME, .read = read_condition },
    { "not-time", KEY_OWN, .low = FACT_TIME, .high = true, .read = read_condition },
    { "today", KEY_OWN, .low = FACT_TODAY, .read = read_condition },
    { "not-today", KEY_OWN, .low = FACT_TODAY, .high = true, .read = read_condition },
    { "dnsbl", KEY_OWN, .low = FACT_DNSBL, .read = read_condition },
    { "not-dnsbl", KEY_OWN, .low = FACT_DNSBL, .high = true, .read = read_condition },
    { "tag", KEY_OWN, .low = FACT_TAG, .read = read_condition },
    { "not-tag", KEY_OWN, .low = FACT_TAG, .high = true, .read = read_condition },
    { "header", KEY_OWN, .low = FACT_HEADER, .read = read_condition },
    { "not-header", KEY_OWN, .low = FACT_HEADER, .high = true, .read = read_condition },
    { "attachment", KEY_OWN, .low = FACT_ATTACHMENT, .read = read_condition },
    { "not-attachment", KEY_OWN, .low = FACT_ATTACHMENT, .high = true, .read = read_condition },
    { "dnsbl-threshold", KEY_OWN, .read = read_threshold },
    { "action",        KEY_EARLY_WORD, IN(action), .words = rule_actions_names },
    { "mode",          KEY_OWN,  .read = rule_actions_mode },
    { "reply",         KEY_OWN,  .read = rule_texts_reply },
    { "per",           KEY_WORD, IN(limit.per), .words = per_words },
    { "rate",          KEY_OWN,  .read = rule_actions_rates },
    { "count",         KEY_WORD, IN(limit.count), .normal = "messages",
      .words = count_words },
    { "over",          KEY_WORD, IN(limit.over), .normal = "defer",
      .words = over_words },
    { "retry-after",   KEY_DURATION, IN(greylist.delay_ms), .normal = "5min",
      .low = 1000, .high = DURATION_MOST },
    { "retry-within",  KEY_DURATION, IN(greylist.window_ms), .normal = "2d",
      .low = 1000, .high = DURATION_MOST },
    { "remember",      KEY_DURATION, IN(greylist.keep_ms), .normal = "35d",
      .low = 1000, .high = DURATION_MOST },
    { "trust-after",   KEY_NUMBER, IN(greylist.clients_after), .normal = "5",
      .high = 1000000 },
    { "set-tag",       KEY_OWN,  .read = rule_texts_tags },
    { "add-header",    KEY_OWN,  .read = rule_texts_add_header },
    { "remove-header", KEY_OWN,  .read = rule_texts_remove_header },
    { "rewrite-from",  KEY_OWN,  .high = true, .read = rule_actions_rewrite },
    { "rewrite-to",    KEY_OWN,  .read = rule_actions_rewrite },
    { "copy",          KEY_OWN,  .read = rule_actions_copy },
    { "route",         KEY_OWN,  .read = rule_actions_route },
    { "server",        KEY_OWN,  .read = rule_actions_server },
};
/* clang-format on */

static const struct key_table table = KEY_TABLE("a rule", rule_keys);

/* relay must say who may send, or whose mail this is. */
static void check_relay(struct reading *r, const struct rule *rule,
                        const struct syntax_entry *section)
{
    bool is_everybody = false;

    for (size_t i = 0; i < rule->condition_count; i++) {
        const struct condition *c = &rule->conditions[i];

        if (condition_names_domains(c) || condition_names_somebody(c))
            return;
        is_everybody = is_everybody || condition_is_any_client(c);
    }
    faults_add(&r->faults,
               is_everybody ? keys_place(section, "client")
                            : keys_place(section, "action"),
               is_everybody
                   ? "this opens the relay: these networks hold everybody"
                   : "this opens the relay: say who may send (client = "
                     "{\"10.0.0.0/8\"}, login = {\"*\"}, certificate) or "
                     "whose mail it is (to = {\"example.org\"}; * and "
                     "expressions name no domain)");
}

/* Whether a message may be relayed is said before it comes. */
static void check_known(struct reading *r, const struct syntax_entry *section)
{
    static const char *const keys[] = { "header", "not-header", "attachment",
                                        "not-attachment" };

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (keys_find(section->entries, keys[i]))
            faults_add(&r->faults, keys_place(section, keys[i]),
                       "relay is decided before the message comes, and %s is "
                       "in it: refuse what should not pass in a rule above",
                       keys[i]);
}

static bool needs_message(const struct rule *rule)
{
    for (size_t i = 0; i < rule->condition_count; i++)
        if (rule->conditions[i].fact == FACT_HEADER ||
            rule->conditions[i].fact == FACT_ATTACHMENT)
            return true;
    return false;
}

static void read_rule(struct reading *r, const struct syntax_entry *section,
                      struct rule *rule)
{
    size_t faults_before = r->faults.fault_count;
    bool has_action = keys_find(section->entries, "action");

    rule->place = section->place;
    rule->conditions =
        arena_take(r->arena, table.count * sizeof *rule->conditions);
    keys_set_defaults(r, &table, rule);
    keys_read(r, &table, section->entries, rule);
    zones_set_threshold(r, section, rule->conditions, rule->condition_count);
    rule->needs_message = needs_message(rule);
    if (!has_action)
        faults_add(&r->faults, section->place, "a rule needs an action");
    /* with a key misread, what the others mean is not known */
    if (r->faults.fault_count > faults_before)
        return;
    rule_actions_check_keys(r, rule->action, section);
    if (r->faults.fault_count > faults_before)
        return;
    if (rule->action == ACTION_RELAY) {
        check_known(r, section);
        check_relay(r, rule, section);
    }
    rule_texts_check_reply(r, rule, rule_actions_names[rule->action], section);
    rule_actions_check(r, rule, section);
}

static bool is_for_anybody(const struct rule *rule)
{
    for (size_t i = 0; i < rule->condition_count; i++)
        if (condition_names_somebody(&rule->conditions[i]))
            return false;
    return rule->action == ACTION_RELAY && !rule->is_shadow;
}

/* The tables of a rule that names domains of which anybody may send: likewise. */
static size_t own_tables(const struct rule *rule, struct table **out)
{
    size_t count = 0;

    for (size_t i = 0; i < rule->condition_count; i++) {
        const struct condition *c = &rule->conditions[i];

        if (!condition_names_domains(c))
            continue;
        for (size_t n = 0; n < c->table_count; n++, count++)
            if (out)
                out[count] = c->tables[n];
    }
    return count;
}

/* Exact domains of which anybody may send: counted, and stored where out is. */
static size_t own_domains(const struct rule *rule, struct span *out)
{
    size_t count = 0;

    for (size_t i = 0; i < rule->condition_count; i++) {
        const struct patterns *p = &rule->conditions[i].patterns;

        if (!condition_names_domains(&rule->conditions[i]))
            continue;
        for (size_t n = p->first[PATTERN_DOMAIN];
             n < p->first[PATTERN_DOMAIN + 1]; n++, count++)
            if (out)
                out[count] = p->all[n].text;
    }
    return count;
}

static void gather_own_domains(struct settings *s)
{
    size_t count = 0, table_count = 0;

    for (size_t i = 0; i < s->rule_count; i++) {
        if (!is_for_anybody(&s->rules[i]))
            continue;
        count += own_domains(&s->rules[i], NULL);
        table_count += own_tables(&s->rules[i], NULL);
    }
    s->own_domains = arena_take(&s->arena, count * sizeof *s->own_domains);
    s->own_tables = arena_take(&s->arena, table_count * sizeof(struct table *));
    for (size_t i = 0; i < s->rule_count; i++) {
        if (!is_for_anybody(&s->rules[i]))
            continue;
        s->own_domain_count +=
            own_domains(&s->rules[i], s->own_domains + s->own_domain_count);
        s->own_table_count +=
            own_tables(&s->rules[i], s->own_tables + s->own_table_count);
    }
}

void rules_read(struct reading *r, const struct syntax_entry *first,
                size_t count)
{
    struct rule *rules =
        arena_take(r->arena, (count + SETTINGS_OWN_RULES) * sizeof *rules);
    const struct syntax_entry *e = first;
    struct titles titles = { 0 };

    for (size_t i = 0; i < count; i++, e = e->next_of_kind) {
        rules[i].title = titles_take(&titles, r, "rule", e);
        read_rule(r, e, &rules[i]);
    }
    titles_fini(&titles);
    r->settings->rules = rules;
    r->settings->rule_count = count;
    gather_own_domains(r->settings);
}

void rules_resolve(struct reading *r, const struct syntax_entry *first)
{
    for (const struct syntax_entry *e = first; e; e = e->next_of_kind) {
        conditions_resolve(r, e);
        rule_actions_resolve(r, e);
    }
    rewritetables_check(r);
}
