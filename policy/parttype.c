/*
 * parttype - what a part of a message says it is, and what it calls itself.
 *
 *   value      = [type "/" subtype] *( ";" name "=" value )
 *   name       = "name" / "filename", with *0 *1 ... for pieces, a last * for %XX
 *
 * A name may be given plainly, in pieces, with a charset, or several of these at once with
 * different words in them; readers differ in which they show, so all of them are kept. So
 * are both readings of one without quotes that has a space in it. Owns nothing.
 */
#include "policy/parttype.h"

#include "policy/encodedword.h"
#include "policy/vocabulary/limits.h"
#include "policy/vocabulary/mimetoken.h"

/* One parameter as it was written, still encoded. */
struct parameter {
    struct span name;
    struct span value; /* without quotes and backslashes; in the arena */
    struct span token; /* up to the first white space, where it had no quotes */
};

struct parameters {
    struct parameter all[LIMIT_MIME_PARAMETERS];
    size_t count;
    bool is_cut;
};

static struct span trim(struct span s)
{
    while (s.len && mimetoken_is_space(s.at[0]))
        s = span_skip(s, 1);
    while (s.len && mimetoken_is_space(s.at[s.len - 1]))
        s.len--;
    return s;
}

static struct span take_quoted(struct span *s, struct arena *a)
{
    struct buffer b = { 0 };
    struct span kept;

    for (; s->len && s->at[0] != '"'; *s = span_skip(*s, 1)) {
        if (s->at[0] == '\r' || s->at[0] == '\n')
            continue;
        if (s->at[0] == '\\' && s->len > 1)
            *s = span_skip(*s, 1);
        buffer_put_byte(&b, s->at[0]);
    }
    *s = span_skip(*s, 1);
    kept = arena_copy(a, buffer_span(&b));
    buffer_fini(&b);
    return kept;
}

static void take_parameter(struct parameters *all, struct span *s,
                           struct arena *a)
{
    struct span name = mimetoken_take(s);
    struct parameter *p;

    if (!mimetoken_take_char(s, '='))
        return;
    if (all->count == LIMIT_MIME_PARAMETERS) {
        all->is_cut = true;
        return;
    }
    p = &all->all[all->count++];
    *p = (struct parameter){ .name = name };
    if (mimetoken_take_char(s, '"')) {
        p->value = take_quoted(s, a);
        return;
    }
    *s = mimetoken_skip(*s);
    p->value = trim(span_first(*s, span_find(*s, ';')));
    for (size_t n = 0; n < p->value.len && !p->token.len; n++)
        if (mimetoken_is_space(p->value.at[n]))
            p->token = span_first(p->value, n);
    *s = span_skip(*s, span_find(*s, ';'));
}

static void take_parameters(struct parameters *all, struct span s,
                            struct arena *a)
{
    all->count = 0;
    all->is_cut = false;
    while (s.len)
        if (mimetoken_take_char(&s, ';'))
            take_parameter(all, &s, a);
        else
            s = span_skip(s, 1);
}

/* --- names ------------------------------------------------------------------ */

/* As it would be opened: a dot or space at the end is none, a control character neither. */
static void keep_name(struct parttype *p, struct arena *a, struct span raw)
{
    struct buffer b = { 0 };
    struct span name;

    for (size_t i = 0; i < raw.len; i++)
        if ((unsigned char)raw.at[i] >= ' ' && raw.at[i] != 0x7f)
            buffer_put_byte(&b, ascii_lower(raw.at[i]));
    while (b.len && (b.at[b.len - 1] == ' ' || b.at[b.len - 1] == '.'))
        b.len--;
    name = span_trim(buffer_span(&b));
    for (size_t i = 0; i < p->name_count; i++)
        if (span_is(p->names[i], name))
            name.len = 0;
    if (name.len) {
        if (p->name_count == p->name_room) {
            size_t room = p->name_room ? p->name_room * 2 : 4;
            struct span *names = arena_take(a, room * sizeof *names);

            if (p->name_count)
                memcpy(names, p->names, p->name_count * sizeof *names);
            p->names = names;
            p->name_room = room;
        }
        p->names[p->name_count++] = arena_copy(a, name);
    }
    buffer_fini(&b);
}

static void keep_encoded(struct parttype *p, struct arena *a, struct span raw)
{
    struct buffer b = { 0 };

    if (raw.len == 0)
        return;
    encodedword_decode(&b, raw);
    keep_name(p, a, buffer_span(&b));
    buffer_fini(&b);
}

/* charset'language'text, or text alone; charset is set by the first piece. */
static void put_extended(struct buffer *b, struct span value, bool is_first,
                         struct span *charset)
{
    if (is_first) {
        struct span rest, said = span_split(value, '\'', &rest), behind;

        if (rest.at) {
            (void)span_split(rest, '\'', &behind);
            if (behind.at) {
                *charset = said;
                value = behind;
            }
        }
    }
    encodedword_percent(b, value, *charset);
}

/* base*N or base*N* */
static const struct parameter *find_piece(const struct parameters *all,
                                          struct span base, size_t n,
                                          bool *out_is_extended)
{
    for (size_t i = 0; i < all->count; i++) {
        struct span name = all->all[i].name, number;
        uint64_t said;

        if (!span_starts_nocase(name, base))
            continue;
        name = span_skip(name, base.len);
        if (name.len < 2 || name.at[0] != '*')
            continue;
        number = span_skip(name, 1);
        *out_is_extended = number.at[number.len - 1] == '*';
        if (*out_is_extended)
            number.len--;
        if (span_number(number, &said) && said == n)
            return &all->all[i];
    }
    return NULL;
}

static void keep_pieces(struct parttype *p, struct arena *a,
                        const struct parameters *all, struct span base)
{
    struct buffer b = { 0 };
    struct span charset = SPAN("");
    const struct parameter *piece;
    bool is_extended;

    for (size_t n = 0; (piece = find_piece(all, base, n, &is_extended)); n++) {
        if (is_extended)
            put_extended(&b, piece->value, n == 0, &charset);
        else
            buffer_put(&b, piece->value);
    }
    keep_encoded(p, a, buffer_span(&b));
    buffer_fini(&b);
}

static void keep_names(struct parttype *p, struct arena *a,
                       const struct parameters *all, struct span base)
{
    for (size_t i = 0; i < all->count; i++) {
        const struct parameter *one = &all->all[i];

        if (span_is_nocase(one->name, base)) {
            keep_encoded(p, a, one->value);
            keep_encoded(p, a, one->token);
        } else if (one->name.len == base.len + 1 &&
                   span_starts_nocase(one->name, base) &&
                   one->name.at[base.len] == '*') {
            struct buffer b = { 0 };
            struct span charset = SPAN("");

            put_extended(&b, one->value, true, &charset);
            keep_name(p, a, buffer_span(&b));
            buffer_fini(&b);
        }
    }
    keep_pieces(p, a, all, base);
}

/* --- fields ----------------------------------------------------------------- */

static void keep_boundary(struct parttype *p, const struct parameters *all)
{
    for (size_t i = 0; i < all->count && !p->boundary_len; i++) {
        struct span value = all->all[i].value;

        if (!span_is_nocase(all->all[i].name, SPAN("boundary")))
            continue;
        if (all->all[i].token.len)
            value = all->all[i].token;
        while (value.len && mimetoken_is_space(value.at[value.len - 1]))
            value.len--;
        if (value.len == 0 || value.len > sizeof p->boundary) {
            p->is_cut = p->is_cut || value.len;
            continue;
        }
        memcpy(p->boundary, value.at, value.len);
        p->boundary_len = value.len;
    }
}

static struct span lower_type(struct arena *a, struct span type,
                              struct span subtype)
{
    char *at = arena_take(a, type.len + 1 + subtype.len);
    size_t n = 0;

    for (size_t i = 0; i < type.len; i++)
        at[n++] = ascii_lower(type.at[i]);
    at[n++] = '/';
    for (size_t i = 0; i < subtype.len; i++)
        at[n++] = ascii_lower(subtype.at[i]);
    return span_make(at, n);
}

void parttype_read_type(struct parttype *p, struct arena *a, struct span value)
{
    struct span s = value, type = mimetoken_take(&s), subtype;
    struct parameters all;

    take_parameters(&all, s, a);
    p->is_cut = p->is_cut || all.is_cut;
    keep_names(p, a, &all, SPAN("name"));
    keep_names(p, a, &all, SPAN("filename"));
    if (p->has_type)
        return;
    p->has_type = true;
    if (type.len == 0 || !mimetoken_take_char(&s, '/'))
        return;
    subtype = mimetoken_take(&s);
    if (subtype.len == 0)
        return;
    p->type = lower_type(a, type, subtype);
    keep_boundary(p, &all);
}

void parttype_read_disposition(struct parttype *p, struct arena *a,
                               struct span value)
{
    struct span s = value, word = mimetoken_take(&s);
    struct parameters all;

    if (word.len && !span_is_nocase(word, SPAN("inline")))
        p->is_attachment = true;
    take_parameters(&all, s, a);
    p->is_cut = p->is_cut || all.is_cut;
    keep_names(p, a, &all, SPAN("filename"));
    keep_names(p, a, &all, SPAN("name"));
}

void parttype_read_encoding(struct parttype *p, struct span value)
{
    struct span word = mimetoken_take(&value);

    p->is_encoded = span_is_nocase(word, SPAN("base64")) ||
                    span_is_nocase(word, SPAN("quoted-printable"));
}
