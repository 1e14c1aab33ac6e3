/*
 * lookup - one search for the hosts of a domain.
 *
 *   FRESH   -> RECORDS  [lookup_begin]       by MX, or by PTR
 *   FRESH   -> HOSTS    [lookup_begin]       one host
 *   FRESH   -> DONE     [lookup_begin]       a literal, or no name at all
 *   RECORDS -> HOSTS    [lookup_on_records]  records; or none: the domain
 * itself RECORDS -> DONE     [lookup_settle]      no such domain, or it failed
 *   HOSTS   -> DONE     [lookup_settle]      the last address came
 *   any     -> DONE     [lookup_expire]
 *   any     -> FRESH    [lookup_cancel]
 *
 * Each open question is counted in `waiting`, and so is the function that asks,
 * since a question that cannot be asked is answered on the spot. RFC 5321 5.1.
 */
#include "relay/net/lookup.h"

enum { LOOKUP_NAMES = 5 }; /* of one address that are looked at */

void lookup_init(struct lookup *l, const struct lookup_context *context,
                 enum lookup_aim aim, struct span name,
                 void (*done)(struct lookup *l))
{
    *l = (struct lookup){
        .context = context, .aim = aim, .name = name, .done = done
    };
}

void lookup_cancel(struct lookup *l)
{
    for (size_t i = 0; i < sizeof l->parts / sizeof *l->parts; i++)
        dns_cancel(l->context->dns, &l->parts[i].question);
    l->state = LOOKUP_FRESH;
}

void lookup_expire(struct lookup *l)
{
    bool has_hosts = l->state == LOOKUP_HOSTS;

    lookup_cancel(l);
    l->state = LOOKUP_DONE;
    if (!has_hosts)
        l->kind = RESOLVER_FAILED;
    if (l->why.len == 0)
        l->why = SPAN("the look-up took too long");
}

void lookup_fini(struct lookup *l)
{
    lookup_cancel(l);
    arena_reset(&l->arena);
}

static void lookup_settle(struct lookup *l)
{
    if (--l->waiting > 0)
        return;
    l->state = LOOKUP_DONE;
    l->done(l);
}

static void lookup_note_failure(struct lookup *l, const struct dns_reply *reply)
{
    if (reply->kind != RESOLVER_FAILED)
        return;
    l->is_bogus = l->is_bogus || reply->is_bogus;
    l->why = arena_copy(&l->arena, reply->why);
}

static struct span lookup_keep_name(struct lookup *l, struct span name)
{
    if (name.at[name.len - 1] == '.')
        name.len--;
    return name.len <= LIMIT_DOMAIN ? arena_copy(&l->arena, name) : SPAN("");
}

static void lookup_on_addresses(struct lookup_part *p,
                                const struct dns_reply *reply)
{
    size_t length = p->is_v6 ? 16 : 4;

    lookup_note_failure(p->lookup, reply);
    p->out->kind = reply->kind;
    if (reply->is_bogus && p->lookup->takes_bogus && reply->count > 0)
        p->out->kind = RESOLVER_OK;
    else if (reply->is_bogus)
        return;
    p->out->is_secure = reply->is_secure;
    if (reply->name.len)
        p->out->canonical = lookup_keep_name(p->lookup, reply->name);
    for (size_t i = 0; i < reply->count; i++) {
        struct host_address a = { .bytes = { [10] = 0xff, [11] = 0xff } };

        if (reply->records[i].len != length ||
            p->out->count == MX_HOST_ADDRESSES)
            continue;
        memcpy(a.bytes + 16 - length, reply->records[i].at, length);
        p->out->at[p->out->count++] = a;
    }
}

static void lookup_on_records(struct lookup_part *p,
                              const struct dns_reply *reply);

static void lookup_on_reply(struct dns_question *question,
                            const struct dns_reply *reply)
{
    struct lookup_part *p = (struct lookup_part *)question;

    if (p->out)
        lookup_on_addresses(p, reply);
    else
        lookup_on_records(p, reply);
    lookup_settle(p->lookup);
}

static void lookup_ask(struct lookup *l, struct lookup_part *p,
                       struct span name, enum dns_type type)
{
    struct dns_reply reply = { .kind = RESOLVER_FAILED };
    int rc;

    p->lookup = l;
    p->question.done = lookup_on_reply;
    l->waiting++;
    rc = dns_ask(l->context->dns, &p->question, name, type);
    if (rc >= 0)
        return;
    if (rc == ERROR_SYNTAX)
        reply.kind = RESOLVER_NO_DOMAIN;
    reply.why = SPAN("the resolver does not work");
    lookup_on_reply(&p->question, &reply);
}

static void target_put_known(struct mx_target *t,
                             const struct host_address *addresses, size_t count)
{
    t->v4.kind = t->v6.kind = RESOLVER_NO_DATA;
    for (size_t i = 0; i < count; i++) {
        struct mx_addresses *family =
            host_address_is_v4(&addresses[i]) ? &t->v4 : &t->v6;

        family->kind = RESOLVER_OK;
        family->at[family->count++] = addresses[i];
    }
}

/* A list is asked for IPv4, and a name is to lead back to one address. */
static bool lookup_wants(const struct lookup *l, bool is_v6)
{
    if (l->aim == LOOKUP_NAME)
        return is_v6 != host_address_is_v4(&l->address);
    return l->aim != LOOKUP_LIST || !is_v6;
}

static void lookup_ask_family(struct lookup *l, struct lookup_part *p,
                              struct span name, bool is_v6,
                              struct mx_addresses *out)
{
    out->kind = RESOLVER_NO_DATA;
    if (!lookup_wants(l, is_v6))
        return;
    out->kind = RESOLVER_FAILED;
    p->out = out;
    p->is_v6 = is_v6;
    lookup_ask(l, p, name, is_v6 ? DNS_AAAA : DNS_A);
}

/* FAILED until it has come, so that a time-out leaves no false "no such name".
 */
static void lookup_ask_hosts(struct lookup *l)
{
    const struct hosts *hosts = l->context->hosts;
    struct host_address known[MX_HOST_ADDRESSES];

    l->state = LOOKUP_HOSTS;
    for (size_t i = 0; i < l->set.count; i++) {
        struct mx_target *t = &l->set.targets[i];
        struct lookup_part *p = &l->parts[1 + 2 * i];
        size_t count = 0;

        if (hosts && l->aim != LOOKUP_LIST)
            count = hosts_find(hosts, t->name, known, MX_HOST_ADDRESSES);
        if (count > 0) {
            target_put_known(t, known, count);
            continue;
        }
        lookup_ask_family(l, &p[0], t->name, false, &t->v4);
        lookup_ask_family(l, &p[1], t->name, true, &t->v6);
    }
}

static void lookup_read_records(struct lookup *l, const struct dns_reply *reply)
{
    struct mx_record records[MX_RECORDS];
    struct buffer name = { .cap = LIMIT_DOMAIN + 1 };
    size_t count = 0;

    for (size_t i = 0; i < reply->count && count < MX_RECORDS; i++) {
        struct mx_record *m = &records[count];

        if (!mx_record_read(reply->records[i], &m->preference, &name))
            continue;
        m->name = arena_copy(&l->arena, buffer_span(&name));
        count++;
    }
    buffer_fini(&name);
    mx_prepare(records, count, l->context->hostname, l->context->random,
               l->context->user, &l->set);
}

/* Who owns the address may give it any number of names; the first few do. */
static void lookup_read_names(struct lookup *l, const struct dns_reply *reply)
{
    struct buffer name = { .cap = LIMIT_DOMAIN + 1 };

    for (size_t i = 0; i < reply->count && l->set.count < LOOKUP_NAMES; i++)
        if (mx_name_read(reply->records[i], &name) && name.len > 0)
            l->set.targets[l->set.count++].name =
                arena_copy(&l->arena, buffer_span(&name));
    buffer_fini(&name);
}

static void lookup_take_raw(struct lookup *l, const struct dns_reply *reply)
{
    l->kind = reply->kind;
    l->set.is_secure = reply->is_secure;
    if (reply->kind != RESOLVER_OK)
        return;
    l->records = arena_take(&l->arena, reply->count * sizeof *l->records);
    for (size_t i = 0; i < reply->count; i++)
        l->records[i] = arena_copy(&l->arena, reply->records[i]);
    l->record_count = reply->count;
}

static void lookup_on_records(struct lookup_part *p,
                              const struct dns_reply *reply)
{
    struct lookup *l = p->lookup;

    lookup_note_failure(l, reply);
    if (l->aim == LOOKUP_RAW) {
        lookup_take_raw(l, reply);
        return;
    }
    switch (reply->kind) {
    case RESOLVER_OK:
        if (l->aim == LOOKUP_NAME)
            lookup_read_names(l, reply);
        else
            lookup_read_records(l, reply);
        break;
    case RESOLVER_NO_DATA:
        if (l->aim == LOOKUP_NAME) {
            l->kind = reply->kind;
            return;
        }
        mx_prepare_host(l->name, l->context->hostname, &l->set);
        break;
    case RESOLVER_NO_DOMAIN:
    case RESOLVER_FAILED:
        l->kind = reply->kind;
        return;
    }
    l->set.is_secure = reply->is_secure;
    lookup_ask_hosts(l);
}

/* [::1] as well, which URLs have and SMTP has not. */
static bool host_parse(struct span name, struct host_address *out)
{
    if (host_literal_parse(name, out))
        return true;
    if (name.len < 2 || name.at[0] != '[' || name.at[name.len - 1] != ']')
        return false;
    return host_address_parse(span_make(name.at + 1, name.len - 2), out);
}

/* A name that stands in the hosts file leads back by itself. */
static bool lookup_knows_name(struct lookup *l)
{
    struct span name = SPAN("");

    if (l->aim == LOOKUP_NAME && l->context->hosts)
        name = hosts_find_name(l->context->hosts, &l->address);
    if (name.len == 0)
        return false;
    mx_prepare_host(arena_copy(&l->arena, name), SPAN(""), &l->set);
    target_put_known(&l->set.targets[0], &l->address, 1);
    return true;
}

/* A literal needs no question; where MX is asked for, only brackets make one.
 */
static bool lookup_reads_literal(struct lookup *l)
{
    bool has_bracket = l->name.len > 0 && l->name.at[0] == '[';
    struct host_address address;
    struct buffer text = { 0 };

    if (l->aim == LOOKUP_LIST || l->aim == LOOKUP_NAME ||
        l->aim == LOOKUP_RAW ||
        (l->aim == LOOKUP_MX && !has_bracket))
        return false;
    if (!(l->aim == LOOKUP_MX ? host_literal_parse(l->name, &address)
                              : host_parse(l->name, &address))) {
        l->kind = has_bracket ? RESOLVER_NO_DOMAIN : RESOLVER_OK;
        return has_bracket;
    }
    host_address_print(&text, &address);
    mx_prepare_host(arena_copy(&l->arena, buffer_span(&text)), SPAN(""),
                    &l->set);
    buffer_fini(&text);
    target_put_known(&l->set.targets[0], &address, 1);
    return true;
}

void lookup_begin(struct lookup *l)
{
    arena_reset(&l->arena);
    l->set = (struct mx_set){ 0 };
    l->kind = RESOLVER_OK;
    l->is_bogus = false;
    l->records = NULL;
    l->record_count = 0;
    l->why = SPAN("");
    memset(l->parts, 0, sizeof l->parts);
    l->waiting = 1;
    if (lookup_reads_literal(l) || lookup_knows_name(l)) {
        ;
    } else if (l->aim == LOOKUP_RAW) {
        l->state = LOOKUP_RECORDS;
        lookup_ask(l, &l->parts[0], l->name, l->type);
    } else if (l->aim == LOOKUP_MX || l->aim == LOOKUP_NAME) {
        l->state = LOOKUP_RECORDS;
        lookup_ask(l, &l->parts[0], l->name,
                   l->aim == LOOKUP_MX ? DNS_MX : DNS_PTR);
    } else {
        mx_prepare_host(l->name, SPAN(""), &l->set);
        l->set.is_secure = true;
        lookup_ask_hosts(l);
    }
    lookup_settle(l);
}

/* The first that leads back. FAILED where one that could not be looked up might have. */
static void lookup_confirm(const struct lookup *l, struct mx_choice *out)
{
    struct mx_answer *a = &out->answer;

    *a = (struct mx_answer){ .kind = RESOLVER_NO_DATA,
                             .hosts = out->hosts,
                             .why = SPAN("no name leads back") };
    for (size_t i = 0; i < l->set.count; i++) {
        const struct mx_target *t = &l->set.targets[i];
        const struct mx_addresses *family =
            host_address_is_v4(&l->address) ? &t->v4 : &t->v6;

        if (family->kind == RESOLVER_FAILED)
            a->kind = RESOLVER_FAILED;
        for (size_t k = 0; k < family->count; k++) {
            if (!host_address_is(&family->at[k], &l->address))
                continue;
            out->hosts[0] = (struct mx_host){ .name = t->name,
                                              .addresses = &family->at[k],
                                              .count = 1 };
            a->kind = RESOLVER_OK;
            a->count = 1;
            return;
        }
    }
}

void lookup_answer(const struct lookup *l, struct mx_choice *out_choice)
{
    struct mx_rules rules = { .own = l->context->own,
                              .own_count = l->context->own_count,
                              .allow_unsafe = l->aim != LOOKUP_MX };
    struct mx_answer *a = &out_choice->answer;

    ASSERT(l->state == LOOKUP_DONE);
    if (l->aim == LOOKUP_RAW)
        *a = (struct mx_answer){ .kind = l->kind,
                                 .is_secure = l->set.is_secure,
                                 .records = l->records,
                                 .record_count = l->record_count };
    else if (l->kind == RESOLVER_OK && l->aim == LOOKUP_NAME)
        lookup_confirm(l, out_choice);
    else if (l->kind == RESOLVER_OK)
        mx_choose(&l->set, &rules, out_choice);
    else
        *a = (struct mx_answer){ .kind = l->kind,
                                 .why = SPAN("no such domain") };
    if (a->kind == RESOLVER_FAILED && l->why.len > 0)
        a->why = l->why;
}
