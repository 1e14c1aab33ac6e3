/*
 * scorecard - how often did which rule decide, and with which reply?
 */
#include "relay/net/scorecard.h"

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"

#include <stdlib.h>
#define uthash_fatal(text) ASSERT(!(text))
#include <uthash.h>
#include <uv.h>

struct row {
    uint64_t count;
    unsigned code;
    size_t rule_len;
    UT_hash_handle hh;
    char key[]; /* the code, three digits, then the rule */
};

struct scorecard {
    uv_mutex_t lock;
    struct row *rows;
};

enum { CODE_DIGITS = 3 };

struct scorecard *scorecard_new(void)
{
    struct scorecard *c = NEW(struct scorecard);

    ASSERT(uv_mutex_init(&c->lock) == 0);
    return c;
}

/* uthash is macros: the linter counts them as this function's own statements, and does not
 * see that the table lets go of what is freed. */
/* NOLINTBEGIN(readability-function-size,clang-analyzer-unix.Malloc) */
void scorecard_free(struct scorecard *c)
{
    struct row *r, *next;

    if (!c)
        return;
    r = c->rows;
    HASH_CLEAR(hh, c->rows); /* they stay linked */
    for (; r; r = next) {
        next = r->hh.next;
        free(r);
    }
    uv_mutex_destroy(&c->lock);
    free(c);
}

static struct row *find(const struct scorecard *c, const struct buffer *key)
{
    struct row *r;

    HASH_FIND(hh, c->rows, key->at, key->len, r);
    return r;
}

static struct row *enter(struct scorecard *c, const struct buffer *key,
                         unsigned code)
{
    struct row *r = memory_zero(1, sizeof *r + key->len);

    r->code = code;
    r->rule_len = key->len - CODE_DIGITS;
    memcpy(r->key, key->at, key->len);
    HASH_ADD_KEYPTR(hh, c->rows, r->key, key->len, r);
    return r;
}
/* NOLINTEND(readability-function-size,clang-analyzer-unix.Malloc) */

void scorecard_add(struct scorecard *c, struct span rule, unsigned code)
{
    struct buffer key = { 0 };
    struct row *r;

    if (!c)
        return;
    buffer_printf(&key, "%03u", code % 1000);
    buffer_put(&key, rule);
    uv_mutex_lock(&c->lock);
    r = find(c, &key);
    if (!r && HASH_COUNT(c->rows) >= SCORECARD_ROWS) {
        key.len = CODE_DIGITS;
        r = find(c, &key);
    }
    if (!r)
        r = enter(c, &key, code);
    r->count++;
    uv_mutex_unlock(&c->lock);
    buffer_fini(&key);
}

static int by_count(const void *a, const void *b)
{
    const struct row *x = *(struct row *const *)a;
    const struct row *y = *(struct row *const *)b;
    int order;

    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    order = memcmp(x->key, y->key, CODE_DIGITS);
    return order ? order
                 : (x->rule_len > y->rule_len) - (x->rule_len < y->rule_len);
}

void scorecard_busiest(struct scorecard *c, size_t most, scorecard_fn *each,
                       void *user)
{
    struct row **all;
    size_t count = 0;

    uv_mutex_lock(&c->lock);
    all = NEW_ARRAY(struct row *, HASH_COUNT(c->rows) + 1);
    for (struct row *r = c->rows; r; r = r->hh.next)
        all[count++] = r;
    qsort(all, count, sizeof(void *), by_count);
    for (size_t i = 0; i < count && i < most; i++)
        each(user, span_make(all[i]->key + CODE_DIGITS, all[i]->rule_len),
             all[i]->code, all[i]->count);
    uv_mutex_unlock(&c->lock);
    free(all);
}
