/*
 * rules - what a rule section says, and that it does not open the relay.
 *
 * A condition is a row of rule_keys; its twin with not- is made from the same
 * row by the flag in `high`. What `relay` needs is in check_relay.
 */
#include "policy/config/rules.h"

#include "policy/config/conditions.h"
#include "policy/config/titles.h"
#include "policy/table.h"
#include "policy/vocabulary/utf8.h"

enum { REPLY_TEXT_MOST = 400 };

static const char *const actions[] = {
    [ACTION_RELAY] = "relay", [ACTION_REJECT] = "reject",
    [ACTION_DEFER] = "defer", [ACTION_DISCARD] = "discard",
    [ACTION_HOLD] = "hold",   NULL,
};

/* A rule while its keys are read. */
struct draft {
    struct rule *rule;
    unsigned action;
};

static void read_condition(struct reading *r, const struct key *key,
                           const struct syntax_entry *e, void *object)
{
    struct rule *rule = ((struct draft *)object)->rule;

    conditions_read(r, key, e, &rule->conditions[rule->condition_count++]);
}

/* Every %{name} in it must be one that verdict_text knows. */
static void check_names(struct reading *r, const struct syntax_text *t)
{
    static const char *const names[] = { "recipient", "sender", "client",
                                         "helo",      "rule",   "login" };
    struct span rest = t->text;

    while ((rest = span_skip(rest, span_find(rest, '%'))).len) {
        struct span after, name = span_split(span_skip(rest, 2), '}', &after);
        size_t i = 0;

        if (rest.len < 2 || rest.at[1] != '{') {
            rest = span_skip(rest, 1);
            continue;
        }
        while (i < sizeof names / sizeof names[0] &&
               !span_is(name, span_of(names[i])))
            i++;
        if (!after.at || i == sizeof names / sizeof names[0])
            faults_add(&r->faults, t->place,
                       "%%{%s is not one of %%{recipient}, %%{sender}, "
                       "%%{client}, %%{helo}, %%{rule}, %%{login}",
                       faults_quote(&r->faults, name));
        rest = after;
    }
}

static void read_reply(struct reading *r, const struct key *key,
                       const struct syntax_entry *e, void *object)
{
    struct rule *rule = ((struct draft *)object)->rule;
    const struct syntax_text *t = keys_only_text(r, e);

    (void)key;
    if (!t)
        return;
    if (t->text.len > REPLY_TEXT_MOST || utf8_has_high(t->text))
        faults_add(&r->faults, t->place,
                   "a reply is plain ASCII of at most %d characters",
                   REPLY_TEXT_MOST);
    else if (!reply_parse(arena_copy(r->arena, t->text), &rule->reply))
        faults_add(&r->faults, t->place,
                   "%s is not a reply such as \"554 5.7.1 Not here\"",
                   faults_quote(&r->faults, t->text));
    else
        check_names(r, t);
}

/* clang-format off */
static const struct key rule_keys[] = {
    { "client",     KEY_OWN,  .low = FACT_CLIENT, .read = read_condition },
    { "from",       KEY_OWN,  .low = FACT_FROM,   .read = read_condition },
    { "to",         KEY_OWN,  .low = FACT_TO,     .read = read_condition },
    { "helo",       KEY_OWN,  .low = FACT_HELO,   .read = read_condition },
    { "login",      KEY_OWN,  .low = FACT_LOGIN,  .read = read_condition },
    { "certificate", KEY_OWN, .low = FACT_CERTIFICATE, .read = read_condition },
    { "tls",        KEY_OWN,  .low = FACT_TLS,    .read = read_condition },
    { "not-client", KEY_OWN,  .low = FACT_CLIENT, .high = true, .read = read_condition },
    { "not-from",   KEY_OWN,  .low = FACT_FROM,   .high = true, .read = read_condition },
    { "not-to",     KEY_OWN,  .low = FACT_TO,     .high = true, .read = read_condition },
    { "not-helo",   KEY_OWN,  .low = FACT_HELO,   .high = true, .read = read_condition },
    { "not-login",  KEY_OWN,  .low = FACT_LOGIN,  .high = true, .read = read_condition },
    { "not-certificate", KEY_OWN, .low = FACT_CERTIFICATE, .high = true,
      .read = read_condition },
    { "action",     KEY_EARLY_WORD, offsetof(struct draft, action), .words = actions },
    { "reply",      KEY_OWN,  .read = read_reply },
};
/* clang-format on */

static const struct key_table table = KEY_TABLE("a rule", rule_keys);

/* Its networks, or those of one of its tables, are all there are. */
static bool is_any_client(const struct condition *c)
{
    bool is_any = networks_are_everything(&c->networks);

    for (size_t i = 0; i < c->table_count && !is_any; i++)
        is_any = table_holds_everybody(c->tables[i]);
    return c->fact == FACT_CLIENT && is_any;
}

/* relay must say who may send, or whose mail this is. */
static void check_relay(struct reading *r, const struct rule *rule,
                        const struct syntax_entry *section)
{
    bool is_everybody = false;

    for (size_t i = 0; i < rule->condition_count; i++) {
        const struct condition *c = &rule->conditions[i];

        if (condition_names_domains(c))
            return;
        if (!condition_names_somebody(c))
            continue;
        if (!is_any_client(c))
            return;
        is_everybody = true;
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

static void check_reply(struct reading *r, const struct rule *rule,
                        const struct syntax_entry *section)
{
    int class = rule->reply.code / 100;

    if (class == 0)
        return;
    if (rule->action != ACTION_REJECT && rule->action != ACTION_DEFER)
        faults_add(&r->faults, keys_place(section, "reply"),
                   "%s gives no reply; reject and defer do",
                   actions[rule->action]);
    else if (class != (rule->action == ACTION_REJECT ? 5 : 4))
        faults_add(&r->faults, keys_place(section, "reply"),
                   "the reply of %s begins with %s", actions[rule->action],
                   rule->action == ACTION_REJECT ? "5" : "4");
}

static void read_rule(struct reading *r, const struct syntax_entry *section,
                      struct rule *rule)
{
    size_t faults_before = r->faults.fault_count;
    struct draft draft = { .rule = rule };

    rule->place = section->place;
    rule->conditions =
        arena_take(r->arena, table.count * sizeof *rule->conditions);
    keys_read(r, &table, section->entries, &draft);
    rule->action = (enum rule_action)draft.action;
    if (!keys_find(section->entries, "action"))
        faults_add(&r->faults, section->place, "a rule needs an action");
    /* with a condition misread, what it would open is not known */
    if (r->faults.fault_count > faults_before)
        return;
    if (rule->action == ACTION_RELAY)
        check_relay(r, rule, section);
    check_reply(r, rule, section);
}

static bool is_for_anybody(const struct rule *rule)
{
    for (size_t i = 0; i < rule->condition_count; i++)
        if (condition_names_somebody(&rule->conditions[i]))
            return false;
    return rule->action == ACTION_RELAY;
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
    struct rule *rules = arena_take(r->arena, count * sizeof *rules);
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
