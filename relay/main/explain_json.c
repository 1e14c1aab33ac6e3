/*
 * explain_json - an explanation as one JSON object.
 */
#include "relay/main/explain_json.h"

#include "policy/config/rule_actions.h"
#include "policy/route.h"
#include "policy/showing.h"
#include "relay/admin/listing.h"

enum { PAGE = 200 };

static void add(json_t *array, json_t *value)
{
    ASSERT(value && json_array_append_new(array, value) == 0);
}

static json_t *text_or_null(struct span s)
{
    return s.len ? listing_text(s) : json_null();
}

/* The buffer's text; it is empty then. */
static json_t *taken(struct buffer *b)
{
    json_t *o = listing_text(buffer_span(b));

    buffer_fini(b);
    return o;
}

static json_t *place_of(const struct place *p)
{
    struct buffer b = { 0 };

    if (!p->file)
        return json_null();
    buffer_printf(&b, "%s:%u", p->file, p->line);
    return taken(&b);
}

static json_t *name_of(const struct rule *r)
{
    return r ? listing_text(r->title) : json_null();
}

/* --- question and verdict --------------------------------------------------- */

static json_t *question(const struct explanation *x)
{
    const struct facts *f = &x->facts;
    struct buffer client = { 0 };
    json_t *o = json_object();

    host_address_print(&client, &f->client);
    listing_set(o, "client", taken(&client));
    listing_set(o, "listener", text_or_null(f->listener));
    listing_set(o, "helo", text_or_null(f->helo));
    listing_set(o, "tls", json_boolean(f->tls));
    listing_set(o, "certificate", text_or_null(f->certificate));
    listing_set(o, "login", text_or_null(f->login));
    listing_set(o, "from", listing_text(f->sender->text));
    listing_set(o, "to", listing_text(f->recipient->text));
    listing_set(o, "size", json_integer((json_int_t)f->size_bytes));
    listing_set(o, "message", json_boolean(x->has_message));
    return o;
}

static json_t *verdict(const struct explanation *x)
{
    static const char *const kinds[] = {
        [VERDICT_RELAY] = "accept", [VERDICT_REJECT] = "reject",
        [VERDICT_DEFER] = "defer",  [VERDICT_DISCARD] = "discard",
        [VERDICT_OPEN] = "accept",  [VERDICT_ASKS] = "defer",
    };
    static const char *const by[] = {
        [BY_RULE] = "rule",
        [BY_NO_RULE] = "no-rule",
        [BY_POSTMASTER] = "postmaster",
        [BY_LISTENER] = "listener",
        [BY_LIMITS] = "limits",
        [BY_SENDERS] = "senders",
        [BY_ROUTE] = "route",
        [BY_QUOTA] = "quota",
        [BY_VERIFY] = "verify",
    };
    const struct verdict *v = &x->verdict;
    struct buffer reply = { 0 };
    json_t *o = json_object();

    if (v->reply.code)
        reply_print(&reply, &v->reply);
    listing_set(o, "kind", json_string(kinds[v->kind]));
    listing_set(o, "hold", json_boolean(v->hold));
    listing_set(o, "stage", json_string(showing_stage(x->stage)));
    listing_set(o, "by", json_string(by[x->by]));
    listing_set(o, "rule", name_of(v->rule));
    listing_set(o, "place", v->rule ? place_of(&v->rule->place) : json_null());
    listing_set(o, "reply", reply.len ? taken(&reply) : json_null());
    listing_set(o, "conditional", json_boolean(explanation_is_conditional(x)));
    return o;
}

/* --- rules and effects ------------------------------------------------------ */

static void put_effect(struct buffer *b, const struct effect *e)
{
    buffer_put_string(b, showing_effect(e->kind));
    if (e->text.len)
        buffer_put_byte(b, ' ');
    buffer_put(b, e->text);
}

static bool is_refused(const struct explanation *x)
{
    return x->verdict.kind == VERDICT_REJECT ||
           x->verdict.kind == VERDICT_DEFER || x->verdict.kind == VERDICT_ASKS;
}

/* Is it done? To a recipient that is refused nothing is. */
static bool is_done(const struct explanation *x, const struct effect *e)
{
    return !is_refused(x) || e->kind == EFFECT_LOG || e->kind == EFFECT_SHADOW;
}

/* What those of one rule are as texts, or what of all is done as objects (r NULL). */
static json_t *effects(const struct explanation *x, const struct rule *r)
{
    const struct verdict *const of[] = { &x->granted, &x->at_content };
    json_t *all = json_array();

    for (size_t v = 0; v < 2; v++) {
        for (size_t i = 0; i < of[v]->effect_count; i++) {
            const struct effect *e = &of[v]->effects[i];
            struct buffer b = { 0 };

            if (showing_is_silent(e->kind) ||
                (r ? e->rule != r : !is_done(x, e)))
                continue;
            if (r) {
                put_effect(&b, e);
                add(all, taken(&b));
                continue;
            }
            add(all, json_pack("{s:o, s:s, s:o}", "rule", name_of(e->rule),
                               "kind", showing_effect(e->kind), "text",
                               listing_text(e->text)));
        }
    }
    return all;
}

static json_t *one_rule(const struct explanation *x, size_t i)
{
    const struct rule *r = &x->settings->rules[i];
    const struct explained_rule *e = &x->rules[i];
    struct buffer fact = { 0 };
    json_t *o = json_object();

    listing_set(o, "name", listing_text(r->title));
    listing_set(o, "place", place_of(&r->place));
    listing_set(o, "action", json_string(rule_actions_names[r->action]));
    listing_set(o, "shadow", json_boolean(r->is_shadow));
    listing_set(o, "fate", json_string(showing_fate(e->fate)));
    listing_set(o, "condition",
                e->which ? listing_text(e->which->text) : json_null());
    if (e->which)
        showing_fact(&fact, x, e->which);
    listing_set(o, "fact", fact.len ? taken(&fact) : json_null());
    listing_set(o, "stage",
                json_string(showing_stage(e->is_of_message ? STAGE_CONTENT
                                                           : x->stage)));
    listing_set(o, "effects", effects(x, r));
    return o;
}

static json_t *rules(const struct explanation *x)
{
    json_t *all = json_array();

    for (size_t i = 0; i < x->settings->rule_count; i++)
        add(all, one_rule(x, i));
    return all;
}

/* --- evidence and budgets --------------------------------------------------- */

static json_t *evidence(const struct explanation *x)
{
    static const char *const hows[] = { [TOLD_ASKED] = "asked",
                                        [TOLD_ASSUMED] = "assumed",
                                        [TOLD_FAILED] = "failed" };
    json_t *all = json_array();

    for (size_t i = 0; i < x->answer_count; i++) {
        const struct explained_answer *a = &x->answers[i];
        struct buffer asked = { 0 }, said = { 0 };

        showing_question(&asked, a);
        showing_answer(&said, x, a);
        add(all, json_pack("{s:s, s:o, s:o, s:s, s:o}", "kind",
                           showing_kind(a->kind), "question", taken(&asked),
                           "rule", name_of(a->rule), "how", hows[a->how],
                           "answer", taken(&said)));
    }
    return all;
}

/* When there will be room for one more; it is in memory, since it was just asked. */
static json_t *free_at(const struct explained_answer *a,
                       const struct rate *rate, struct queue *q)
{
    struct queue_charge charge = { .key = a->key,
                                   .amount = 1,
                                   .limit = rate->amount,
                                   .period_ms = rate->period_ms };
    struct queue_budget budget = { 0 };
    size_t over;

    if (!q || !queue_charge_try(q, &charge, 1, true, &over, &budget) ||
        budget.free_ms <= 0 || budget.free_ms == INT64_MAX)
        return json_null();
    return json_integer(budget.free_ms / 1000);
}

static json_t *budgets(const struct explanation *x, struct queue *q)
{
    json_t *all = json_array();

    for (size_t i = 0; i < x->answer_count; i++) {
        const struct explained_answer *a = &x->answers[i];
        const struct rate *rate;
        struct span left = { 0 };
        uint64_t n;

        if (a->kind != EVIDENCE_BUDGET || a->how != TOLD_ASKED ||
            evidence_find(x->evidence, a->kind, a->key, &left) !=
                EVIDENCE_ANSWERED ||
            !span_number(left, &n))
            continue;
        rate = &a->rule->limit.rates[a->rate];
        add(all,
            json_pack("{s:o, s:I, s:I, s:I, s:o}", "rule", name_of(a->rule),
                      "left", (json_int_t)n, "limit", (json_int_t)rate->amount,
                      "period", (json_int_t)(rate->period_ms / 1000), "free",
                      free_at(a, rate, q)));
    }
    return all;
}

/* --- destinations ----------------------------------------------------------- */

struct looking {
    struct span name;
    json_t *object;
    bool is_found;
};

static void each_destination(void *user, const struct queue_destination_row *d)
{
    static const char *const states[] = { [DESTINATION_UP] = "up",
                                          [DESTINATION_RESTING] = "backing-off",
                                          [DESTINATION_OFFLINE] = "offline",
                                          [DESTINATION_SUSPENDED] =
                                              "suspended" };
    struct looking *l = user;

    if (l->is_found || !span_is(d->name, l->name))
        return;
    l->is_found = true;
    listing_set(l->object, "state", json_string(states[d->state]));
    listing_set(l->object, "waiting", json_integer((json_int_t)d->waiting));
    listing_set(l->object, "reason", text_or_null(d->error));
}

/* What the queue does not know of has no mail, and nothing is wrong with it. */
static void put_standing(json_t *o, const struct route *r, struct span name,
                         struct queue *q)
{
    struct looking l = { .name = name, .object = o };

    listing_set(o, "state",
                q ? json_string(r->offline.is_set ? "offline" : "up")
                  : json_null());
    listing_set(o, "waiting", q ? json_integer(0) : json_null());
    listing_set(o, "reason", json_null());
    for (size_t first = 0; q && !l.is_found &&
                           queue_destinations(q, first, PAGE, each_destination,
                                              &l) > first + PAGE;
         first += PAGE)
        ;
}

static json_t *rates_of(const struct route *r)
{
    json_t *all = json_array();
    struct buffer text = { 0 };

    for (size_t i = 0; i < r->rate_count; i++) {
        buffer_clear(&text);
        rate_put(&text, &r->rates[i]);
        add(all, listing_text(buffer_span(&text)));
    }
    buffer_fini(&text);
    return all;
}

static json_t *one_destination(const struct explanation *x,
                               const struct destiny *d, struct queue *q)
{
    static const char *const tls[] = {
        [ROUTE_TLS_NONE] = "none",         [ROUTE_TLS_OPTIONAL] = "optional",
        [ROUTE_TLS_REQUIRED] = "required", [ROUTE_TLS_VERIFY] = "verify",
        [ROUTE_TLS_DANE] = "dane",         [ROUTE_TLS_DANE_ONLY] = "dane-only",
    };
    const struct route *r = d->route;
    struct span from =
        destinies_sender(x->facts.sender->text, &x->granted, &x->at_content);
    struct buffer lane = { 0 }, name = { 0 };
    json_t *o = json_object(), *via = json_array();

    listing_set(o, "address", listing_text(d->address.text));
    listing_set(o, "sender", listing_text(from));
    listing_set(o, "route", r ? listing_text(r->title) : json_null());
    listing_set(o, "place", r ? place_of(&r->place) : json_null());
    for (size_t i = 0; r && i < r->via_count; i++)
        add(via, listing_text(r->via[i].text));
    listing_set(o, "via", via);
    if (r && destinies_lane(x->settings, from, d, &lane) == 0) {
        destination_name(r, buffer_span(&lane), &name);
        put_standing(o, r, buffer_span(&name), q);
        listing_set(o, "name", listing_text(buffer_span(&name)));
        listing_set(o, "tls", json_string(tls[r->tls]));
        listing_set(o, "quota", json_integer((json_int_t)r->quota_bytes));
        listing_set(o, "rates", rates_of(r));
    }
    buffer_fini(&lane);
    buffer_fini(&name);
    return o;
}

json_t *explain_json(const struct explanation *x, struct queue *q)
{
    json_t *o = json_object(), *all = json_array();

    for (size_t i = 0; i < x->destiny_count; i++)
        add(all, one_destination(x, &x->destinies[i], q));
    listing_set(o, "source", json_string(q ? "relay" : "file"));
    listing_set(o, "question", question(x));
    listing_set(o, "verdict", verdict(x));
    listing_set(o, "rules", rules(x));
    listing_set(o, "evidence", evidence(x));
    listing_set(o, "effects", effects(x, NULL));
    listing_set(o, "budgets", budgets(x, q));
    listing_set(o, "destinations", all);
    return o;
}
