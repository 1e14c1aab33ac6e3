/*
 * mx - sort, shuffle, cut, filter.
 *
 * The cut comes in two steps, since our name is seen before any address is and
 * ours may hide behind a name that we do not know. Both obey RFC 5321 5.1:
 * everything of equal or worse preference goes, or mail would travel in
 * circles. An unsafe address is left out before it is compared with ours: a
 * stranger's record that points to loopback does not make us the domain's host.
 */
#include "relay/net/mx.h"

static bool is_host_byte(char c)
{
    return c > ' ' && c < 0x7f && !strchr("\"()*,./:;<>@[\\]", c);
}

bool mx_name_read(struct span data, struct buffer *out_name)
{
    struct span rest = data;

    if (data.len > LIMIT_DOMAIN)
        return false;
    buffer_clear(out_name);
    while (rest.len > 0 && rest.at[0] != 0) {
        size_t len = (unsigned char)rest.at[0];

        if (len > 63 || len + 1 > rest.len)
            return false;
        if (out_name->len > 0)
            buffer_put_byte(out_name, '.');
        for (size_t i = 1; i <= len; i++) {
            if (!is_host_byte(rest.at[i]))
                return false;
            buffer_put_byte(out_name, ascii_lower(rest.at[i]));
        }
        rest = span_skip(rest, len + 1);
    }
    return rest.len == 1;
}

bool mx_record_read(struct span data, uint16_t *out_preference,
                    struct buffer *out_name)
{
    if (data.len < 3 || !mx_name_read(span_skip(data, 2), out_name))
        return false;
    *out_preference =
        (uint16_t)((unsigned char)data.at[0] << 8 | (unsigned char)data.at[1]);
    return true;
}

static bool is_same_name(struct span a, struct span b)
{
    if (a.len > 0 && a.at[a.len - 1] == '.')
        a.len--;
    if (b.len > 0 && b.at[b.len - 1] == '.')
        b.len--;
    return span_is_nocase(a, b);
}

/* Each name once, with its best preference; a root among others is no host. */
static size_t drop_doubles(struct mx_record *list, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        size_t j = 0;

        if (list[i].name.len == 0)
            continue;
        while (j < kept && !is_same_name(list[j].name, list[i].name))
            j++;
        if (j == kept)
            list[kept++] = list[i];
        else if (list[i].preference < list[j].preference)
            list[j].preference = list[i].preference;
    }
    return kept;
}

static void shuffle(struct mx_record *list, size_t count, mx_random_fn *random,
                    void *user)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = (size_t)((uint64_t)random(user) * i >> 32);
        struct mx_record other = list[i - 1];

        list[i - 1] = list[j];
        list[j] = other;
    }
}

/* Stable, so that the shuffle survives among equals. */
static void sort(struct mx_record *list, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct mx_record one = list[i];
        size_t j = i;

        for (; j > 0 && list[j - 1].preference > one.preference; j--)
            list[j] = list[j - 1];
        list[j] = one;
    }
}

void mx_prepare(const struct mx_record *records, size_t count,
                struct span hostname, mx_random_fn *random, void *user,
                struct mx_set *out_set)
{
    struct mx_record list[MX_RECORDS];
    uint32_t cut = UINT32_MAX;

    *out_set =
        (struct mx_set){ .is_null = count == 1 && records[0].name.len == 0 };
    count = count < MX_RECORDS ? count : MX_RECORDS;
    for (size_t i = 0; i < count; i++)
        list[i] = records[i];
    count = drop_doubles(list, count);
    shuffle(list, count, random, user);
    sort(list, count);
    for (size_t i = 0; i < count && cut == UINT32_MAX; i++) {
        if (is_same_name(list[i].name, hostname))
            cut = list[i].preference;
    }
    out_set->is_cut = cut != UINT32_MAX;
    for (size_t i = 0; i < count && out_set->count < LIMIT_MX_HOSTS; i++) {
        if (list[i].preference >= cut)
            break;
        out_set->targets[out_set->count++] =
            (struct mx_target){ .name = list[i].name,
                                .preference = list[i].preference };
    }
}

void mx_prepare_host(struct span name, struct span hostname,
                     struct mx_set *out_set)
{
    *out_set = (struct mx_set){ .is_implicit = true,
                                .is_cut = is_same_name(name, hostname) };
    if (!out_set->is_cut)
        out_set->targets[out_set->count++].name = name;
}

/* Has a target's address list one of ours that a stranger may mean? */
static bool is_own(const struct mx_target *t, const struct mx_rules *rules)
{
    const struct mx_addresses *families[] = { &t->v6, &t->v4 };

    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < families[k]->count; i++) {
            const struct host_address *a = &families[k]->at[i];

            for (size_t n = 0; n < rules->own_count; n++) {
                if (host_address_is(&rules->own[n], a) &&
                    !host_address_is_unsafe_target(a))
                    return true;
            }
        }
    }
    return false;
}

/* Usable addresses of one target, families in turn; returns how many. */
static size_t choose_addresses(const struct mx_target *t,
                               const struct mx_rules *rules,
                               struct host_address *out, bool *out_is_unsafe)
{
    const struct mx_addresses *families[] = { &t->v6, &t->v4 };
    size_t n = 0;

    for (size_t i = 0; i < MX_HOST_ADDRESSES; i++) {
        for (size_t k = 0; k < 2 && n < MX_HOST_ADDRESSES; k++) {
            if (i >= families[k]->count)
                continue;
            if (!rules->allow_unsafe &&
                host_address_is_unsafe_target(&families[k]->at[i]))
                *out_is_unsafe = true;
            else
                out[n++] = families[k]->at[i];
        }
    }
    return n;
}

static void explain(const struct mx_set *set, bool own, bool unsafe,
                    bool failed, struct mx_answer *a)
{
    if (failed) {
        a->kind = RESOLVER_FAILED;
        a->why = SPAN("the look-up of the host's address failed");
    } else if (own) {
        a->is_own = true;
        a->why = SPAN("mail for this domain loops back to this host");
    } else if (unsafe) {
        a->is_unsafe = true;
        a->why = SPAN("the domain's hosts have no address that mail may go to");
    } else if (set->is_implicit && set->count > 0 &&
               set->targets[0].v4.kind == RESOLVER_NO_DOMAIN) {
        a->kind = RESOLVER_NO_DOMAIN;
        a->why = SPAN("no such domain");
    } else {
        a->kind = RESOLVER_NO_DATA;
        a->why = set->is_implicit ? SPAN("the name has no address")
                                  : SPAN("no mail exchanger has an address");
    }
}

void mx_choose(const struct mx_set *set, const struct mx_rules *rules,
               struct mx_choice *out_choice)
{
    struct mx_choice *c = out_choice;
    struct mx_answer *a = &c->answer;
    bool own = set->is_cut, unsafe = false, failed = false;
    uint32_t cut = UINT32_MAX;

    *a = (struct mx_answer){ .hosts = c->hosts,
                             .is_secure = set->is_secure,
                             .is_set_secure = set->is_secure };
    if (set->is_null) {
        a->is_null_mx = true;
        a->why = SPAN("the domain does not accept mail");
        return;
    }
    for (size_t i = 0; i < set->count && cut == UINT32_MAX; i++) {
        if (!rules->allow_unsafe && is_own(&set->targets[i], rules))
            cut = set->targets[i].preference;
    }
    own = own || cut != UINT32_MAX;
    for (size_t i = 0; i < set->count && set->targets[i].preference < cut;
         i++) {
        const struct mx_target *t = &set->targets[i];
        struct host_address *addresses = c->addresses[a->count];
        size_t n = choose_addresses(t, rules, addresses, &unsafe);

        if (n == 0) {
            failed = failed || t->v4.kind == RESOLVER_FAILED ||
                     t->v6.kind == RESOLVER_FAILED;
            continue;
        }
        c->hosts[a->count] = (struct mx_host){
            .name = t->name,
            .canonical = t->v6.count ? t->v6.canonical : t->v4.canonical,
            .preference = t->preference,
            .is_secure = (t->v4.count == 0 || t->v4.is_secure) &&
                         (t->v6.count == 0 || t->v6.is_secure),
            .addresses = addresses,
            .count = n
        };
        a->is_secure = a->is_secure && c->hosts[a->count].is_secure;
        a->count++;
    }
    if (a->count == 0) {
        a->is_secure = false;
        explain(set, own, unsafe, failed, a);
    }
}
