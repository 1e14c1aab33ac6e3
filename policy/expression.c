/*
 * expression - a regular expression, compiled once and run under limits.
 *
 * Owns nothing: what PCRE2 compiles is the arena's.
 */
#include "policy/expression.h"

#include "policy/vocabulary/error.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum { MATCH_LIMIT = 100000, DEPTH_LIMIT = 1000, HEAP_LIMIT_KB = 1024 };

struct expression {
    pcre2_code *code;
    pcre2_match_context *limits;
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

    e->code =
        pcre2_compile((PCRE2_SPTR)text.at, text.len,
                      PCRE2_CASELESS | PCRE2_UTF | PCRE2_MATCH_INVALID_UTF |
                          PCRE2_NEVER_BACKSLASH_C,
                      &rc, &offset, how);
    if (!e->code) {
        (void)pcre2_get_error_message(rc, (PCRE2_UCHAR *)message,
                                      sizeof message);
        buffer_printf(out_why, "is not an expression: %s, at character %zu",
                      message, offset + 1);
        return NULL;
    }
    e->limits = pcre2_match_context_create(memory);
    (void)pcre2_set_match_limit(e->limits, MATCH_LIMIT);
    (void)pcre2_set_depth_limit(e->limits, DEPTH_LIMIT);
    (void)pcre2_set_heap_limit(e->limits, HEAP_LIMIT_KB);
    return e;
}

unsigned expression_group_count(const struct expression *e)
{
    uint32_t count = 0;

    (void)pcre2_pattern_info(e->code, PCRE2_INFO_CAPTURECOUNT, &count);
    return count;
}

/* What has no room in data is left out. */
static enum answer run(const struct expression *e, struct span text,
                       pcre2_match_data *data)
{
    int rc;

    ASSERT(data);
    rc = pcre2_match(e->code, (PCRE2_SPTR)(text.at ? text.at : ""), text.len, 0,
                     0, data, e->limits);
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

    for (uint32_t i = 0; answer == ANSWER_YES && i < EXPRESSION_GROUPS; i++) {
        bool is_set =
            i < count && at[2 * i] != PCRE2_UNSET && at[2 * i] <= at[2 * i + 1];

        out_groups[i] =
            is_set ? span_make(text.at + at[2 * i], at[2 * i + 1] - at[2 * i])
                   : span_make(NULL, 0);
    }
    pcre2_match_data_free(data);
    return answer;
}
