/*
 * acquaintance - what deliveries to a destination came to, since the start.
 */
#include "relay/net/acquaintance.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"

#include <stdlib.h>
#include <uv.h>

enum {
    WAYS = 8, /* places where a name may stand */
    SETS = ACQUAINTANCES / WAYS,
    LOCKS = 32,
    SMOOTH = 8, /* a new time counts for an eighth */
};

struct seat {
    uint64_t hash; /* 0: nobody stands here */
    char name[ACQUAINTANCE_NAME + 1];
    struct acquaintance_row row;
};

struct acquaintance {
    uv_mutex_t locks[LOCKS];
    struct seat seats[SETS][WAYS];
};

/* FNV-1a. Who is clever enough to make two names alike mixes two figures. */
static uint64_t hash_of(struct span name)
{
    uint64_t h = 14695981039346656037u;

    for (size_t i = 0; i < name.len; i++)
        h = (h ^ (unsigned char)name.at[i]) * 1099511628211u;
    return h ? h : 1;
}

struct acquaintance *acquaintance_new(void)
{
    struct acquaintance *a = NEW(struct acquaintance);

    for (size_t i = 0; i < LOCKS; i++)
        ASSERT(uv_mutex_init(&a->locks[i]) == 0);
    return a;
}

void acquaintance_free(struct acquaintance *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < LOCKS; i++)
        uv_mutex_destroy(&a->locks[i]);
    free(a);
}

static uv_mutex_t *lock_of(struct acquaintance *a, uint64_t hash)
{
    return &a->locks[hash % SETS % LOCKS];
}

static bool is_it(const struct seat *p, uint64_t hash, struct span name)
{
    return p->hash == hash &&
           span_is(span_of(p->name), span_first(name, ACQUAINTANCE_NAME));
}

/* NULL: it does not stand here. out_oldest: who would have to give way. */
static struct seat *find(struct acquaintance *a, uint64_t hash,
                          struct span name, struct seat **out_oldest)
{
    struct seat *set = a->seats[hash % SETS];

    *out_oldest = &set[0];
    for (size_t i = 0; i < WAYS; i++) {
        if (is_it(&set[i], hash, name))
            return &set[i];
        if ((*out_oldest)->hash &&
            (!set[i].hash || set[i].row.last_ms < (*out_oldest)->row.last_ms))
            *out_oldest = &set[i];
    }
    return NULL;
}

static void put_text(char *to, size_t most, struct span text)
{
    text = span_first(text, most);
    if (text.len)
        memcpy(to, text.at, text.len);
    to[text.len] = '\0';
}

static void add(struct acquaintance_row *r, const struct acquaintance_news *n)
{
    r->sent += n->sent;
    r->deferred += n->deferred;
    r->bounced += n->bounced;
    r->last_ms = n->now_ms;
    if (n->sent)
        r->sent_ms = n->now_ms;
    if (n->delivery_ms >= 0)
        r->delivery_ms =
            r->delivery_ms < 0
                ? n->delivery_ms
                : r->delivery_ms + (n->delivery_ms - r->delivery_ms) / SMOOTH;
    if (n->is_connected) {
        r->is_connected = true;
        r->protocol = n->protocol;
        r->trust = n->trust;
        r->policy = n->policy;
    }
    if (n->reply.len)
        put_text(r->reply, ACQUAINTANCE_REPLY, n->reply);
}

void acquaintance_note(struct acquaintance *a, struct span destination,
                       const struct acquaintance_news *n)
{
    uint64_t hash = hash_of(destination);
    struct seat *p, *oldest;

    if (!a)
        return;
    uv_mutex_lock(lock_of(a, hash));
    p = find(a, hash, destination, &oldest);
    if (!p) {
        p = oldest;
        p->hash = hash;
        put_text(p->name, ACQUAINTANCE_NAME, destination);
        p->row = (struct acquaintance_row){ .delivery_ms = -1 };
    }
    add(&p->row, n);
    uv_mutex_unlock(lock_of(a, hash));
}

bool acquaintance_find(struct acquaintance *a, struct span destination,
                       struct acquaintance_row *out)
{
    uint64_t hash = hash_of(destination);
    struct seat *p, *oldest;

    if (!a)
        return false;
    uv_mutex_lock(lock_of(a, hash));
    p = find(a, hash, destination, &oldest);
    if (p)
        *out = p->row;
    uv_mutex_unlock(lock_of(a, hash));
    return p != NULL;
}

void acquaintance_put_tls(struct buffer *b, const struct acquaintance_row *r)
{
    static const char *const words[] = {
        [TLS_ANONYMOUS] = "Anonymous",
        [TLS_UNTRUSTED] = "Untrusted",
        [TLS_TRUSTED] = "Trusted",
        [TLS_VERIFIED] = "Verified",
    };

    if (r->protocol)
        buffer_printf(b, "%s %s", words[r->trust], r->protocol);
    else
        buffer_put_string(b, "none");
    if (r->protocol && r->policy)
        buffer_printf(b, " (%s)", r->policy);
}
