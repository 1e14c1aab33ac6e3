/*
 * annals_plan - along which index is the history walked?
 *
 * Every index ends with the time, so that each way gives the newest first without sorting.
 * Of the values that an index leads to, the one with the fewest rows in the time that is asked
 * for is taken; counting stops early, since what is frequent is found soon by any way.
 * What is asked for by an address or a domain may have had that before, and another one now:
 * the way is then along several indexes at once, which are merged as they are read.
 * Indexes that are still being built (history_index.c) are not there to be taken.
 */
#include "queue/annals_private.h"

#include "queue/history_index.h"

enum { COUNTED_MOST = 5000, NO_WAY = -1 };

/* A way: what the index wants, and which pattern gives it. %s: the table. */
enum way {
    WAY_TIME,
    WAY_MESSAGE,
    WAY_TO,
    WAY_FROM,
    WAY_LOGIN,
    WAY_CLIENT,
    WAY_DOMAIN,
    WAY_NAME,  /* of a client */
    WAY_KIND,  /* what became of it, where that is not the usual */
    WAY_TRIES, /* more than one */
    WAY_TAKEN, /* and thrown away: what a rule discards is among the refusals */
    WAYS
};

static const struct way_row {
    const char *index; /* behind the table's name */
    const char *where; /* ?3: the value */
} ways[WAYS] = {
    /* clang-format off */
    [WAY_TIME]    = { "_at",      "1" },
    [WAY_MESSAGE] = { "_message", "message=?3" },
    [WAY_TO]      = { "_to",      "recipient COLLATE NOCASE=?3" },
    [WAY_FROM]    = { "_from",    "sender COLLATE NOCASE=?3" },
    [WAY_LOGIN]   = { "_login",   "login<>'' AND login COLLATE NOCASE=?3" },
    [WAY_CLIENT]  = { "_client",  "client=?3" },
    [WAY_DOMAIN]  = { "_domain",  HISTORY_DOMAIN " COLLATE NOCASE=?3" },
    [WAY_NAME]    = { "_name",    "client_name<>'' AND client_name COLLATE NOCASE=?3" },
    [WAY_TRIES]   = { "_tries",   "attempts>1" },
    [WAY_TAKEN]   = { "_taken",   "reply>='2' AND reply<'3'" },
    /* clang-format on */
};

/* What else a way means; in the order in which they are read. */
static const struct way_other {
    enum way way;
    bool is_former; /* only the history has it */
    struct way_row also;
} others[] = {
    /* clang-format off */
    { WAY_NAME,   false, { "_client", "client=?3" } },
    { WAY_TO,     true,  { "_asked_to", "asked_to<>'' AND asked_to COLLATE NOCASE=?3" } },
    { WAY_TO,     true,  { "_orig_to", "orig_to<>'' AND orig_to COLLATE NOCASE=?3" } },
    { WAY_FROM,   true,  { "_asked_from", "asked_from<>'' AND asked_from COLLATE NOCASE="
                    "CASE ?3 WHEN '' THEN '<>' ELSE ?3 END" } },
    { WAY_DOMAIN, true,  { "_asked_domain", "asked_to<>'' AND " HISTORY_DOMAIN_OF("asked_to")
                    " COLLATE NOCASE=?3" } },
    { WAY_DOMAIN, true,  { "_orig_domain", "orig_to<>'' AND " HISTORY_DOMAIN_OF("orig_to")
                    " COLLATE NOCASE=?3" } },
    /* clang-format on */
};

/* By number; the usual one, that it was delivered, is in no index. */
static const struct way_row kinds[] = {
    /* clang-format off */
    [EVENT_FAILED]    = { "_kind", "kind<>1 AND kind=2" },
    [EVENT_EXPIRED]   = { "_kind", "kind<>1 AND kind=3" },
    [EVENT_DISCARDED] = { "_kind", "kind<>1 AND kind=4" },
    [EVENT_DELETED]   = { "_kind", "kind<>1 AND kind=5" },
    [EVENT_CHANGED]   = { "_kind", "kind<>1 AND kind=6" },
    [EVENT_RETURNED]  = { "_kind", "kind<>1 AND kind=7" },
    /* clang-format on */
};

enum {
    OTHERS = sizeof others / sizeof others[0],
    KINDS = sizeof kinds / sizeof kinds[0],
    PARTS = KINDS + OTHERS
};

static const char *const tables[ANNALS_SOURCES] = {
    [SOURCE_EVENT] = "event",
    [SOURCE_REFUSAL] = "refusal",
    [SOURCE_HISTORY] = "history",
};

static bool is_address(struct span s)
{
    bool is_dotted = true;

    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] == ':')
            return true;
        is_dotted = is_dotted && is_one_of(s.at[i], "0123456789.");
    }
    return is_dotted;
}

static const struct annals_pattern *pattern_of(const struct annals_walk *w,
                                               enum way way)
{
    const struct annals_pattern *p;

    switch (way) {
    case WAY_TO:
        p = &w->to;
        break;
    case WAY_FROM:
        p = &w->from;
        break;
    case WAY_LOGIN:
        p = &w->login;
        break;
    case WAY_CLIENT:
        p = is_address(buffer_span(&w->client.text)) ? &w->client : NULL;
        break;
    case WAY_NAME:
        p = is_address(buffer_span(&w->client.text)) ? NULL : &w->client;
        break;
    case WAY_DOMAIN:
        p = w->domain.is_exact && w->domain.is_given ? &w->domain
                                                     : &w->to_domain;
        break;
    case WAY_TIME:
    case WAY_MESSAGE:
    case WAY_KIND:
    case WAY_TRIES:
    case WAY_TAKEN:
    case WAYS:
    default:
        p = NULL;
    }
    return p && p->is_given && p->is_exact ? p : NULL;
}

/* Does the filter name what the way leads to? */
static bool is_open(const struct annals_walk *w, enum annals_source s,
                    enum way way)
{
    const struct queue_filter *f = &w->filter;

    if (way == WAY_KIND)
        return s == SOURCE_HISTORY && f->states &&
               !(f->states & WHAT_DELIVERED);
    if (way == WAY_TRIES)
        return s == SOURCE_HISTORY && f->attempts > 1;
    if (way == WAY_TAKEN)
        return s == SOURCE_REFUSAL && f->states && !(f->states & WHAT_REFUSED);
    return pattern_of(w, way) != NULL;
}

static void bind_value(sqlite3_stmt *st, const struct annals_walk *w,
                       enum way way)
{
    const struct annals_pattern *p = pattern_of(w, way);

    if (p)
        bind_span(st, 3, buffer_span(&p->text));
    else if (way == WAY_MESSAGE)
        bind_number(st, 3, (int64_t)w->filter.id);
}

static int prepare(struct database *d, const char *text, sqlite3_stmt **out_st)
{
    int rc = sqlite3_prepare_v2(d->db, text, -1, out_st, NULL);

    return rc == SQLITE_OK ? 0 : database_fail(d, rc);
}

/* The indexes of a way, the way's own first; answers how many. */
static size_t parts_of(const struct annals_walk *w, enum annals_source s,
                       enum way way, struct way_row parts[PARTS])
{
    size_t count = 0;

    if (way == WAY_KIND) {
        for (unsigned kind = 0; kind < KINDS; kind++)
            if (kinds[kind].index && w->filter.states & 1U << kind)
                parts[count++] = kinds[kind];
        return count;
    }
    parts[count++] = ways[way];
    for (size_t i = 0; i < OTHERS; i++)
        if (others[i].way == way &&
            (s == SOURCE_HISTORY || !others[i].is_former))
            parts[count++] = others[i].also;
    return count;
}

/* How many rows would it be, up to COUNTED_MOST? INT64_MAX: there is no such index. */
static int count_part(struct annals *a, const struct annals_walk *w,
                      enum annals_source s, enum way way,
                      const struct way_row *part, int64_t *out_count)
{
    const struct queue_filter *f = &w->filter;
    struct buffer text = { 0 };
    sqlite3_stmt *st = NULL;
    int64_t there;
    int rc;

    buffer_printf(&text,
                  "SELECT count(*) FROM sqlite_schema WHERE type='index'"
                  " AND name='%s%s'",
                  tables[s], part->index);
    rc = database_number(&a->history, buffer_string(&text), &there);
    buffer_clear(&text);
    *out_count = INT64_MAX;
    if (rc == 0 && there) {
        buffer_printf(&text,
                      "SELECT count(*) FROM (SELECT 1 FROM %s INDEXED BY %s%s"
                      " WHERE %s AND at_ms>?1 AND at_ms<?2 LIMIT %d)",
                      tables[s], tables[s], part->index, part->where,
                      COUNTED_MOST);
        rc = prepare(&a->history, buffer_string(&text), &st);
    }
    if (rc == 0 && st) {
        bind_number(st, 1, f->newer_ms);
        bind_number(st, 2, f->older_ms ? f->older_ms : NEVER_MS);
        bind_value(st, w, way);
        rc = sqlite3_step(st);
        if (rc == SQLITE_ROW) {
            *out_count = column_number(st, 0);
            rc = 0;
        } else {
            rc = database_fail(&a->history, rc);
        }
    }
    (void)sqlite3_finalize(st);
    buffer_fini(&text);
    return rc;
}

static int count_way(struct annals *a, const struct annals_walk *w,
                     enum annals_source s, enum way way, int64_t *out_count)
{
    struct way_row parts[PARTS];
    size_t n = parts_of(w, s, way, parts);
    int64_t sum = 0, count;
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0 && sum < INT64_MAX; i++) {
        rc = count_part(a, w, s, way, &parts[i], &count);
        if (rc == 0)
            sum = count == INT64_MAX ? count : sum + count;
    }
    *out_count = sum;
    return rc;
}

static bool has_any(const struct annals *a, const struct annals_walk *w,
                    enum annals_source s)
{
    unsigned states = w->filter.states;

    if (s == SOURCE_EVENT)
        return a->has_events;
    if (s == SOURCE_HISTORY)
        return !states || states & ~(unsigned)WHAT_REFUSED;
    return !w->filter.id && !w->filter.attempts &&
           (!states || states & (WHAT_REFUSED | WHAT_DISCARDED));
}

static int plan_source(struct annals *a, struct annals_walk *w,
                       enum annals_source s)
{
    int64_t least = INT64_MAX, count;
    int rc = 0;

    w->ways[s] = has_any(a, w, s) ? WAY_TIME : NO_WAY;
    if (w->ways[s] == NO_WAY || s == SOURCE_EVENT)
        return 0;
    if (w->filter.id) {
        w->ways[s] = WAY_MESSAGE;
        return 0;
    }
    for (int i = WAY_TO; i < WAYS && rc == 0; i++) {
        if (!is_open(w, s, (enum way)i))
            continue;
        rc = count_way(a, w, s, (enum way)i, &count);
        if (rc == 0 && count < least) {
            least = count;
            w->ways[s] = i;
        }
    }
    return rc;
}

int annals_plan(struct annals *a, struct annals_walk *w)
{
    int rc = 0;

    for (int i = 0; i < ANNALS_SOURCES && rc == 0; i++)
        rc = plan_source(a, w, (enum annals_source)i);
    w->is_planned = rc == 0;
    return rc;
}

/* Columns that the filter does not look at are not read. */
static void put_columns(struct buffer *b, const struct annals_walk *w,
                        enum annals_source s)
{
    const struct queue_filter *f = &w->filter;
    bool is_refusal = s == SOURCE_REFUSAL;
    bool by_sender = w->from.is_given;
    bool by_reply = w->reason.is_given || (is_refusal && f->states);
    bool by_recipient = w->to.is_given || w->domain.is_given;
    bool is_left = s == SOURCE_HISTORY;
    const struct {
        bool is_wanted;
        const char *name;
    } columns[] = {
        { true, "at_ms" },
        { true, "id" },
        { !is_refusal && (f->states || by_sender), "kind" },
        { by_sender, "sender" },
        { by_recipient || by_sender, "recipient" },
        { w->client.is_given, "client" },
        { w->client.is_given, "client_name" },
        { w->login.is_given, "login" },
        { by_reply, "reply" },
        { !is_refusal && w->reason.is_given, "status" },
        { !is_refusal && f->attempts, "attempts" },
        { is_refusal && by_sender, "stage" },
        { !is_refusal && f->id, "message" },
        { is_left && by_recipient, "asked_to" },
        { is_left && by_sender, "asked_from" },
        { is_left && by_recipient, "orig_to" },
        { s == SOURCE_EVENT && (by_recipient || by_sender), "ruling" },
    };

    _Static_assert(sizeof columns / sizeof columns[0] == ANNALS_COLUMNS,
                   "one for each of enum annals_column");
    for (int i = 0; i < ANNALS_COLUMNS; i++)
        buffer_printf(b, "%s%s", i ? "," : "SELECT ",
                      columns[i].is_wanted ? columns[i].name : "NULL");
}

/* Between equal times the ranks decide: up to which id is this source's still behind? */
static int64_t id_bound(const struct queue_place *p, enum annals_source s)
{
    if (p->source == (unsigned)s)
        return p->id;
    return (unsigned)s > p->source ? INT64_MAX : INT64_MIN;
}

#define BEHIND " AND at_ms<=?1 AND (at_ms<?1 OR id<?2) AND at_ms>?4"

/* One index after the other, a row that an earlier one leads to left out of the later. */
static void put_ways(struct buffer *b, const struct annals_walk *w,
                     enum annals_source s, enum way way)
{
    struct way_row parts[PARTS];
    size_t n = parts_of(w, s, way, parts);

    for (size_t i = 0; i < n; i++) {
        if (i)
            buffer_put_string(b, " UNION ALL ");
        put_columns(b, w, s);
        buffer_printf(b, " FROM %s INDEXED BY %s%s WHERE %s", tables[s],
                      tables[s], parts[i].index, parts[i].where);
        for (size_t k = 0; k < i; k++)
            buffer_printf(b, " AND (%s) IS NOT 1", parts[k].where);
        buffer_put_string(b, BEHIND);
    }
}

int annals_prepare(struct annals *a, const struct annals_walk *w,
                   enum annals_source s, sqlite3_stmt **out_st)
{
    const struct queue_place *p = &w->place;
    const struct queue_filter *f = &w->filter;
    int64_t to_ms = f->older_ms ? f->older_ms - 1 : NEVER_MS;
    struct buffer text = { 0 };
    sqlite3_stmt *st = NULL;
    int way = w->ways[s], rc;

    *out_st = NULL;
    if (way == NO_WAY)
        return 0;
    if (s == SOURCE_EVENT) {
        put_columns(&text, w, s);
        buffer_put_string(&text, " FROM event WHERE id>?3" BEHIND);
    } else {
        put_ways(&text, w, s, (enum way)way);
    }
    buffer_put_string(&text, " ORDER BY at_ms DESC,id DESC");
    rc = prepare(annals_database(a, s), buffer_string(&text), &st);
    buffer_fini(&text);
    if (rc < 0)
        return rc;
    if (p->at_ms && p->at_ms <= to_ms) {
        bind_number(st, 1, p->at_ms);
        bind_number(st, 2, id_bound(p, s));
    } else {
        bind_number(st, 1, to_ms);
        bind_number(st, 2, INT64_MAX);
    }
    if (s == SOURCE_EVENT)
        bind_number(st, 3, a->copied);
    else
        bind_value(st, w, (enum way)way);
    bind_number(st, 4, f->newer_ms ? f->newer_ms : INT64_MIN);
    *out_st = st;
    return 0;
}
