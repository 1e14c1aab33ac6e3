/*
 * expression - a regular expression, compiled once and run under limits.
 *
 *   cheap     as most are: few steps at each place of the text, by PCRE2's own limit
 *   counted   what was not: once more, each step counted over all of the text
 *
 * PCRE2 counts anew at each place where a match may begin, so its limit alone would let
 * a text of n bytes cost n times as much. Counting makes it slower and is compiled apart,
 * for this one text. What is counted is taken from the meter, if there is one.
 *
 * Owns nothing: what PCRE2 compiles is the arena's.
 */
#include "policy/expression.h"

#include "policy/vocabulary/error.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum {
    DEPTH_LIMIT = 1000,
    HEAP_LIMIT_KB = 1024,
    CHEAP_LIMIT = 100000, /* at one place */
    CHEAP_EACH = 20,      /* at each place, and */
    CHEAP_ALL = 8000,     /* so many more for all of them */
    CHEAP_LENGTH =
        32, /* as much again for each so many bytes of the expression */
    COUNTED_LIMIT = 100000,
    METER_LIMIT = 500000,
};

struct expression {
    pcre2_code *code;
    struct span text;
};

static _Thread_local struct expression_meter *meter;

void expression_meter_begin(struct expression_meter *m)
{
    m->left = METER_LIMIT;
    m->is_inner = meter != NULL;
    if (!meter)
        meter = m;
}

void expression_meter_end(struct expression_meter *m)
{
    if (!m->is_inner)
        meter = NULL;
}

enum {
    OPTIONS = PCRE2_CASELESS | PCRE2_UTF | PCRE2_MATCH_INVALID_UTF |
              PCRE2_NEVER_BACKSLASH_C,
};

/* PCRE2's memory is the arena's too, so nothing must be freed by hand. */
static void *arena_malloc(size_t size, void *arena)
{
    return arena_take(arena, size);
}

static void arena_free(void *p, void *arena)
{
    (void)p;
    (void)arena;
}

struct expression *expression_parse(struct arena *a, struct span text,
                                    struct buffer *out_why)
{
    pcre2_general_context *memory =
        pcre2_general_context_create(arena_malloc, arena_free, a);
    pcre2_compile_context *how = pcre2_compile_context_create(memory);
    struct expression *e = arena_take(a, sizeof *e);
    PCRE2_SIZE offset;
    char message[128];
    int rc;

    e->code = pcre2_compile((PCRE2_SPTR)text.at, text.len, OPTIONS, &rc,
                            &offset, how);
    if (!e->code) {
        (void)pcre2_get_error_message(rc, (PCRE2_UCHAR *)message,
                                      sizeof message);
        buffer_printf(out_why, "is not an expression: %s, at character %zu",
                      message, offset + 1);
        return NULL;
    }
    e->text = arena_copy(a, text);
    return e;
}

unsigned expression_group_count(const struct expression *e)
{
    uint32_t count = 0;

    (void)pcre2_pattern_info(e->code, PCRE2_INFO_CAPTURECOUNT, &count);
    return count;
}

static pcre2_match_context *new_limits(uint32_t match_limit)
{
    pcre2_match_context *limits = pcre2_match_context_create(NULL);

    ASSERT(limits);
    (void)pcre2_set_match_limit(limits, match_limit);
    (void)pcre2_set_depth_limit(limits, DEPTH_LIMIT);
    (void)pcre2_set_heap_limit(limits, HEAP_LIMIT_KB);
    return limits;
}

static int match(const pcre2_code *code, struct span text,
                 pcre2_match_data *data, pcre2_match_context *limits)
{
    return pcre2_match(code, (PCRE2_SPTR)(text.at ? text.at : ""), text.len, 0,
                       0, data, limits);
}

static int run_cheap(const struct expression *e, struct span text,
                     pcre2_match_data *data)
{
    size_t most = (CHEAP_EACH + CHEAP_ALL / (text.len + 1)) *
                  (1 + e->text.len / CHEAP_LENGTH);
    pcre2_match_context *limits =
        new_limits(most < CHEAP_LIMIT ? (uint32_t)most : CHEAP_LIMIT);
    int rc = match(e->code, text, data, limits);

    pcre2_match_context_free(limits);
    return rc;
}

static int count_step(pcre2_callout_block *at, void *left)
{
    uint64_t *steps = left;

    (void)at;
    return (*steps)-- ? 0 : PCRE2_ERROR_MATCHLIMIT;
}

static int run_counted(const struct expression *e, struct span text,
                       pcre2_match_data *data)
{
    uint64_t have = COUNTED_LIMIT, left;
    pcre2_match_context *limits;
    PCRE2_SIZE offset;
    pcre2_code *code;
    int rc;

    if (meter && meter->left < have)
        have = meter->left;
    if (have <= e->text.len)
        return PCRE2_ERROR_MATCHLIMIT;
    code = pcre2_compile((PCRE2_SPTR)e->text.at, e->text.len,
                         OPTIONS | PCRE2_AUTO_CALLOUT, &rc, &offset, NULL);
    if (!code)
        return rc;
    left = have;
    limits = new_limits(UINT32_MAX);
    (void)pcre2_set_callout(limits, count_step, &left);
    rc = match(code, text, data, limits);
    if (meter)
        meter->left -= have - (left < have ? left : 0);
    pcre2_match_context_free(limits);
    pcre2_code_free(code);
    return rc;
}

/* What has no room in data is left out. */
static enum answer run(const struct expression *e, struct span text,
                       pcre2_match_data *data)
{
    int rc;

    ASSERT(data);
    rc = run_cheap(e, text, data);
    if (rc == PCRE2_ERROR_MATCHLIMIT)
        rc = run_counted(e, text, data);
    if (rc >= 0)
        return ANSWER_YES;
    return rc == PCRE2_ERROR_NOMATCH ? ANSWER_NO : ANSWER_UNKNOWN;
}

enum answer expression_matches(const struct expression *e, struct span text)
{
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    enum answer answer = run(e, text, data);

    pcre2_match_data_free(data);
    return answer;
}

enum answer expression_find(const struct expression *e, struct span text,
                            struct span out_groups[EXPRESSION_GROUPS])
{
    pcre2_match_data *data =
        pcre2_match_data_create_from_pattern(e->code, NULL);
    enum answer answer = run(e, text, data);
    uint32_t count = pcre2_get_ovector_count(data);
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(data);

    for (size_t i = 0; answer == ANSWER_YES && i < EXPRESSION_GROUPS; i++) {
        bool is_set =
            i < count && at[2 * i] != PCRE2_UNSET && at[2 * i] <= at[2 * i + 1];

        out_groups[i] =
            is_set ? span_make(text.at + at[2 * i], at[2 * i + 1] - at[2 * i])
                   : span_make(NULL, 0);
    }
    pcre2_match_data_free(data);
    return answer;
}
