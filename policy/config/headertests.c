/*
 * headertests - what rules ask of a message: header fields and attachments.
 *
 * Owns nothing.
 */
#include "policy/config/headertests.h"

#include "policy/config/tables.h"
#include "policy/vocabulary/utf8.h"

enum { FIELD_MOST = 76, FILE_NAME_MOST = 255, TYPE_MOST = 127 };

static bool is_expression(struct span s)
{
    return s.len > 2 && s.at[0] == '/' && s.at[s.len - 1] == '/';
}

/* Only expressions; a fault when it is a bad one. */
static bool read_expression(struct reading *r, const struct syntax_text *t,
                            struct span text, struct pattern *out)
{
    struct buffer why = { 0 };
    bool ok = pattern_parse(r->arena, text, PATTERN_OF_NAME, out, &why);

    if (!ok)
        faults_add(&r->faults, t->place, "%s %s",
                   faults_quote(&r->faults, text), buffer_string(&why));
    buffer_fini(&why);
    return ok;
}

/* --- header fields ---------------------------------------------------------
 */

bool headertests_is_field(struct span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] <= ' ' || name.at[i] > '~' || name.at[i] == ':')
            return false;
    return name.len && name.len <= FIELD_MOST;
}

/* What a value is held against: /pattern/ or table:FILE. */
static bool read_value(struct reading *r, const struct syntax_text *t,
                       struct span value, struct header_test *out)
{
    struct syntax_text table = { .text = value, .place = t->place };
    struct pattern *pattern;

    out->has_value = true;
    if (tables_is_named(value)) {
        out->table = tables_take_for(r, &table, TABLE_OF_TEXTS);
        return out->table != NULL;
    }
    pattern = arena_take(r->arena, sizeof *pattern);
    if (!read_expression(r, t, value, pattern))
        return false;
    patterns_init(&out->values, pattern, 1);
    return true;
}

bool headertests_read_one(struct reading *r, const struct syntax_text *t,
                          struct header_test *out)
{
    struct span value, name = span_split(t->text, ':', &value);
    bool has_value = value.at != NULL;

    value = span_trim(value);
    if (!headertests_is_field(name) ||
        (has_value && !is_expression(value) && !tables_is_named(value))) {
        faults_add(&r->faults, t->place,
                   "%s is not a header field such as \"List-Id\", or one with "
                   "an expression or a table for its value such as 'Subject: "
                   "/pattern/'",
                   faults_quote(&r->faults, t->text));
        return false;
    }
    *out = (struct header_test){ .name = arena_copy(r->arena, name) };
    return !has_value || read_value(r, t, value, out);
}

void headertests_read_headers(struct reading *r, const struct syntax_entry *e,
                              struct condition *c)
{
    c->headers = arena_take(r->arena, e->value_count * sizeof *c->headers);
    for (size_t i = 0; i < e->value_count; i++)
        if (headertests_read_one(r, &e->values[i],
                                 &c->headers[c->header_count]))
            c->header_count++;
}

/* --- attachments -----------------------------------------------------------
 */

/* type "/" subtype of tokens, either of them a glob. RFC 2045 5.1 */
static bool is_type(struct span s)
{
    struct span subtype, type = span_split(s, '/', &subtype);

    if (type.len == 0 || subtype.len == 0 || s.len > TYPE_MOST)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] <= ' ' || s.at[i] > '~' ||
            is_one_of(s.at[i], "()<>@,;:\\\"[]?="))
            return false;
    return span_find(subtype, '/') == subtype.len;
}

static bool is_file_name(struct span s)
{
    return s.len && s.len <= FILE_NAME_MOST && utf8_is_valid(s) &&
           span_find(s, '/') == s.len;
}

/* ".exe", or "exe". */
static void doubt_suffix(struct reading *r, const struct syntax_text *t)
{
    struct span last =
        span_skip(t->text, t->text.len > 0 && t->text.at[0] == '.');

    if (span_find(last, '.') == last.len && span_find(last, '*') == last.len &&
        span_find(last, '?') == last.len)
        faults_warn(
            &r->faults, t->place,
            "an attachment is %s by its whole name only; \"*.%.*s\" was "
            "meant?",
            faults_quote(&r->faults, t->text), SPAN_FMT(last));
}

void headertests_read_attachments(struct reading *r,
                                  const struct syntax_entry *e,
                                  struct condition *c)
{
    size_t size = e->value_count * sizeof(struct span), count = 0;
    struct span *names = arena_take(r->arena, size);
    struct span *types = arena_take(r->arena, size);
    struct pattern *all = arena_take(r->arena, e->value_count * sizeof *all);
    size_t name_count = 0, type_count = 0;

    for (size_t i = 0; i < e->value_count; i++) {
        const struct syntax_text *t = &e->values[i];

        if (is_expression(t->text)) {
            count += read_expression(r, t, t->text, &all[count]);
        } else if (is_file_name(t->text)) {
            doubt_suffix(r, t);
            names[name_count++] = t->text;
        } else if (is_type(t->text)) {
            types[type_count++] = t->text;
        } else {
            faults_add(&r->faults, t->place,
                       "%s is not a file name such as \"*.exe\", a type such "
                       "as \"application/zip\" or \"image/*\", or "
                       "'/expression/' of the name",
                       faults_quote(&r->faults, t->text));
        }
    }
    patterns_init(&c->patterns, all, count);
    names_init(&c->names, r->arena, names, name_count);
    names_init(&c->types, r->arena, types, type_count);
}
