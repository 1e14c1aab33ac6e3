/*
 * headeredit - a header section with what rules add to it and take from it.
 *
 * What is no field (a policy server may say anything) is not added. A field is
 * held against a pattern as conditions see it: unfolded, encoded words decoded;
 * one about which the pattern cannot tell stays.
 */
#include "relay/inbound/headeredit.h"

#include "policy/condition.h"
#include "policy/encodedword.h"
#include "policy/expression.h"
#include "relay/inbound/fields.h"

enum {
    LINE_LIKED = 78,
    LINE_MOST = 998, /* RFC 5322 2.1.1 */
    VALUE_MOST = LIMIT_HEADER,
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* --- what is added ----------------------------------------------------------- */

static bool is_field(struct span text)
{
    size_t colon = span_find(text, ':');

    if (colon == 0 || colon >= text.len)
        return false;
    for (size_t i = 0; i < colon; i++)
        if (text.at[i] <= ' ' || text.at[i] > '~')
            return false;
    return true;
}

/* The length of the white space at the beginning, and of the word behind it. */
static size_t next_word(struct span text, size_t *out_space)
{
    size_t n = 0;

    while (n < text.len && is_space(text.at[n]))
        n++;
    *out_space = n;
    while (n < text.len && !is_space(text.at[n]))
        n++;
    return n;
}

/* A word longer than any line may be is cut; there is no other way. */
static size_t put_word(struct buffer *out, struct span word, size_t column)
{
    while (column + word.len > LINE_MOST) {
        size_t n = LINE_MOST - column;

        while (n > 1 && ((unsigned char)word.at[n] & 0xc0) == 0x80)
            n--; /* not within a character */
        buffer_put(out, span_first(word, n));
        buffer_put(out, SPAN("\r\n "));
        word = span_skip(word, n);
        column = 1;
    }
    buffer_put(out, word);
    return column + word.len;
}

/* The name and the first word stay together. */
static void put_folded(struct buffer *out, struct span text)
{
    size_t column = 0, words = 0, space, n;

    while ((n = next_word(text, &space)) > space) {
        if (words++ >= 2 && space && column + n > LINE_LIKED) {
            buffer_put(out, SPAN("\r\n"));
            column = 0;
        }
        column = put_word(out, span_first(text, n), column);
        text = span_skip(text, n);
    }
    buffer_put(out, SPAN("\r\n"));
}

/* No line end may come in by a text. */
static void add(struct buffer *out, struct span text)
{
    struct buffer clean = { 0 };

    for (size_t i = 0; i < text.len; i++)
        buffer_put_byte(&clean, is_one_of(text.at[i], "\r\n") || !text.at[i]
                                    ? ' '
                                    : text.at[i]);
    if (is_field(buffer_span(&clean)))
        put_folded(out, buffer_span(&clean));
    buffer_fini(&clean);
}

/* --- what is taken away ------------------------------------------------------- */

static const struct header_test *test_of(const struct effect *e)
{
    for (size_t i = 0; i < e->rule->text_count; i++)
        if (span_is(e->rule->texts[i], e->text))
            return &e->rule->removals[i];
    return NULL;
}

/* As the digest keeps values. */
static void put_value(struct buffer *out, struct span value)
{
    struct buffer flat = { .cap = VALUE_MOST };

    for (size_t i = 0; i < value.len; i++)
        if (!is_one_of(value.at[i], "\r\n"))
            buffer_put_byte(&flat, value.at[i]);
    encodedword_decode(out, span_trim(buffer_span(&flat)));
    buffer_fini(&flat);
}

static bool is_taken_by(const struct field *f, const struct effect *e)
{
    const struct header_test *t =
        e->kind == EFFECT_REMOVE_HEADER ? test_of(e) : NULL;
    struct buffer value = { .cap = VALUE_MOST };
    bool yes;

    if (!t || !span_is_nocase(t->name, f->name))
        return false;
    if (t->has_value)
        put_value(&value, f->value);
    yes = header_test_matches(t, buffer_span(&value)) == ANSWER_YES;
    buffer_fini(&value);
    return yes;
}

static bool is_taken(const struct field *f, const struct effect *const *edits,
                     size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_taken_by(f, edits[i]))
            return true;
    return false;
}

/* --- all of it ---------------------------------------------------------------- */

void headeredit_write(struct span trace, struct span section, bool has_body,
                      const struct effect *const *edits, size_t count,
                      struct buffer *out)
{
    struct expression_meter meter;
    struct field f;
    bool adds = false;

    buffer_put(out, trace);
    for (size_t i = 0; i < count; i++) {
        if (edits[i]->kind != EFFECT_ADD_HEADER)
            continue;
        add(out, edits[i]->text);
        adds = true;
    }
    expression_meter_begin(&meter);
    while (fields_next(&section, &f))
        if (!is_taken(&f, edits, count))
            buffer_put(out, f.whole);
    expression_meter_end(&meter);
    buffer_put(out, section);
    if (adds && has_body && section.len == 0)
        buffer_put(out, SPAN("\r\n"));
}
