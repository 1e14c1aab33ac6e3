/*
 * filter - which messages do you mean?
 *
 * A row of `keys` says how a value is read and where it goes. Two conditions on
 * one key are refused rather than joined, since people would differ on what
 * that means; states are listed with commas.
 */
#include "relay/admin/filter.h"

#include "policy/vocabulary/id.h"
#include "relay/admin/demand.h"

#include <stddef.h>
#include <time.h>

enum { VALUE_MOST = 1024 };

typedef bool read_fn(struct filter *f, void *field, struct span value,
                     int64_t now_ms);

static read_fn read_id, read_sender, read_glob, read_states, read_moment,
    read_newer, read_attempts;

#define MOMENT "a duration such as 10min, 2h or 3d, or a date such as 2026-11-17 or 2026-11-17T08:30"

/* clang-format off */
static const struct key {
    const char *name;    read_fn *read;      size_t field;
    const char *meant;
} keys[] = {
#define FIELD(name) offsetof(struct queue_filter, name)
    { "id",       read_id,       FIELD(id),       "an id of 13 characters" },
    { "from",     read_sender,   FIELD(from),     "a pattern" },
    { "to",       read_glob,     FIELD(to),       "a pattern" },
    { "domain",   read_glob,     FIELD(domain),   "a pattern" },
    { "client",   read_glob,     FIELD(client),   "a pattern" },
    { "login",    read_glob,     FIELD(login),    "a pattern" },
    { "state",    read_states,   FIELD(states),   "active, ready, deferred, held or deleted" },
    { "older",    read_moment,   FIELD(older_ms), MOMENT },
    { "newer",    read_newer,    FIELD(newer_ms), MOMENT },
    { "attempts", read_attempts, FIELD(attempts), "a number" },
    { "reason",   read_glob,     FIELD(reason),   "a pattern" },
    { "via",      read_glob,     FIELD(via),      "a pattern" },
#undef FIELD
};

static const struct { const char *name; enum queue_state state; } states[] = {
    { "active", STATE_ACTIVE }, { "ready", STATE_READY },
    { "deferred", STATE_DEFERRED }, { "held", STATE_HELD },
    { "deleted", STATE_DELETED },
};

/* of FILTER_HISTORY */
static const struct { const char *name; enum queue_what what; } whats[] = {
    { "delivered", WHAT_DELIVERED }, { "failed", WHAT_FAILED },
    { "expired", WHAT_EXPIRED }, { "discarded", WHAT_DISCARDED },
    { "deleted", WHAT_DELETED }, { "changed", WHAT_CHANGED },
    { "returned", WHAT_RETURNED }, { "refused", WHAT_REFUSED },
};
/* clang-format on */

enum {
    KEY_COUNT = sizeof(keys) / sizeof(keys[0]),
    STATE_COUNT = sizeof(states) / sizeof(states[0]),
    WHAT_COUNT = sizeof(whats) / sizeof(whats[0]),
};

_Static_assert(KEY_COUNT <= 32, "filter.seen has a bit for each key");

void filter_init(struct filter *f)
{
    *f = (struct filter){ 0 };
}

void filter_fini(struct filter *f)
{
    arena_reset(&f->arena);
}

static const struct key *find_key(struct span name)
{
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (span_is(span_of(keys[i].name), name))
            return &keys[i];
    return NULL;
}

const char *filter_key(struct span name)
{
    const struct key *k = find_key(name);

    return k ? k->name : NULL;
}

static bool read_id(struct filter *f, void *field, struct span value,
                    int64_t now_ms)
{
    (void)f;
    (void)now_ms;
    /* 0 would mean every message. */
    return id_parse(value, field) && *(uint64_t *)field != 0;
}

static bool read_glob(struct filter *f, void *field, struct span value,
                      int64_t now_ms)
{
    (void)now_ms;
    if (!value.len)
        return false;
    *(struct span *)field = arena_copy(&f->arena, value);
    return true;
}

/* Lists show the null sender as MAILER-DAEMON, so it can be asked for by that. */
static bool read_sender(struct filter *f, void *field, struct span value,
                        int64_t now_ms)
{
    if (span_is_nocase(value, SPAN("MAILER-DAEMON")))
        value = SPAN("<>");
    return read_glob(f, field, value, now_ms);
}

static unsigned state_of(struct span name)
{
    for (size_t i = 0; i < STATE_COUNT; i++)
        if (span_is(span_of(states[i].name), name))
            return states[i].state;
    return 0;
}

static unsigned what_of(struct span name)
{
    for (size_t i = 0; i < WHAT_COUNT; i++)
        if (span_is(span_of(whats[i].name), name))
            return whats[i].what;
    return 0;
}

static bool read_states(struct filter *f, void *field, struct span value,
                        int64_t now_ms)
{
    unsigned all = 0;

    (void)now_ms;
    do {
        struct span name = span_trim(span_split(value, ',', &value));
        unsigned one;

        one = f->language == FILTER_HISTORY ? what_of(name) : state_of(name);
        if (!one)
            return false;
        all |= one;
    } while (value.at);
    *(unsigned *)field = all;
    return true;
}

static bool read_moment(struct filter *f, void *field, struct span value,
                        int64_t now_ms)
{
    int64_t ms;

    (void)f;
    if (!instant_parse(value, now_ms, &ms, NULL))
        return false;
    /* 0 would mean any time. */
    *(int64_t *)field = ms > 0 ? ms : 1;
    return true;
}

/* A day that is named belongs to it from its first moment on. */
static bool read_newer(struct filter *f, void *field, struct span value,
                       int64_t now_ms)
{
    bool is_date;
    int64_t ms;

    (void)f;
    if (!instant_parse(value, now_ms, &ms, &is_date))
        return false;
    ms -= is_date;
    *(int64_t *)field = ms > 0 ? ms : 1;
    return true;
}

static bool read_attempts(struct filter *f, void *field, struct span value,
                          int64_t now_ms)
{
    uint64_t n;

    (void)f;
    (void)now_ms;
    if (!span_number(value, &n) || n > UINT32_MAX)
        return false;
    *(uint32_t *)field = (uint32_t)n;
    return true;
}

static const char *meant(const struct filter *f, const struct key *k)
{
    return f->language == FILTER_HISTORY && k->read == read_states
               ? "delivered, failed, expired, discarded, deleted, returned, "
                 "changed or refused"
               : k->meant;
}

/* NULL, or what is wrong with it; its value is to be shown where is_value. */
static const char *add(struct filter *f, const struct key *k, struct span value,
                       int64_t now_ms, bool *is_value)
{
    unsigned bit = 1U << (unsigned)(k - keys);

    *is_value = false;
    if (f->seen & bit)
        return "is given twice";
    if (value.len > VALUE_MOST ||
        !k->read(f, (char *)&f->queue + k->field, value, now_ms)) {
        *is_value = true;
        return meant(f, k);
    }
    f->seen |= bit;
    return NULL;
}

static void put_fault(struct buffer *b, const char *what, bool is_value,
                      struct span value)
{
    if (!is_value) {
        buffer_put_string(b, what);
        return;
    }
    buffer_printf(b, "should be %s, not \"", what);
    buffer_put_escaped(b, span_first(value, VALUE_MOST));
    buffer_put_byte(b, '"');
}

bool filter_add(struct filter *f, struct span key, struct span value,
                int64_t now_ms, struct buffer *out_why)
{
    const struct key *k = find_key(key);
    const char *fault;
    bool is_value;

    if (!k) {
        buffer_put_string(out_why, "there is no filter \"");
        buffer_put_escaped(out_why, span_first(key, VALUE_MOST));
        buffer_put_byte(out_why, '"');
        return false;
    }
    fault = add(f, k, value, now_ms, &is_value);
    if (!fault)
        return true;
    buffer_printf(out_why, "%s ", k->name);
    put_fault(out_why, fault, is_value, value);
    return false;
}

json_t *filter_value(struct span key, const char *value)
{
    const struct key *k = find_key(key);
    bool is_date = false;
    char text[64];
    int64_t ms;
    time_t at;
    struct tm t;

    if (!k || (k->read != read_moment && k->read != read_newer) ||
        !instant_parse(span_of(value), 0, &ms, &is_date) || !is_date)
        return json_string(value);
    at = (time_t)(ms / 1000);
    if (!gmtime_r(&at, &t) ||
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &t) == 0)
        return json_string(value);
    return json_string(text);
}

static bool is_in(const char *name, const char *const *list)
{
    for (; list && *list; list++)
        if (span_is(span_of(name), span_of(*list)))
            return true;
    return false;
}

/* Text, or a number as text in `number`; false: neither. */
static bool text_of(json_t *value, struct buffer *number, struct span *out)
{
    if (json_is_string(value)) {
        *out = span_make(json_string_value(value), json_string_length(value));
        return true;
    }
    if (!json_is_integer(value))
        return false;
    buffer_clear(number);
    buffer_printf(number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    *out = buffer_span(number);
    return true;
}

bool filter_add_json(struct filter *f, json_t *object,
                     const char *const *except, int64_t now_ms,
                     struct buffer *out_why)
{
    struct buffer number = { 0 };
    const char *name, *fault = NULL;
    json_t *value;

    json_object_foreach(object, name, value)
    {
        const struct key *k = find_key(span_of(name));
        struct span text = SPAN("");
        bool is_value = false;

        if (is_in(name, except))
            continue;
        if (!k)
            fault = "there is no such filter";
        else if (!text_of(value, &number, &text))
            fault = "should be text or a number";
        else
            fault = add(f, k, text, now_ms, &is_value);
        if (!fault)
            continue;
        demand_put_path(out_why, span_of(name));
        buffer_put_string(out_why, ": ");
        put_fault(out_why, fault, is_value, text);
        break;
    }
    buffer_fini(&number);
    return fault == NULL;
}

const char *filter_what_name(enum queue_what what)
{
    for (size_t i = 0; i < WHAT_COUNT; i++)
        if (whats[i].what == what)
            return whats[i].name;
    return "unknown";
}

const char *filter_state_name(enum queue_state state)
{
    for (size_t i = 0; i < STATE_COUNT; i++)
        if (states[i].state == state)
            return states[i].name;
    return "unknown";
}
