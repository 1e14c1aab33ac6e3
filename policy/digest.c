/*
 * digest - what rules may ask of a message, taken while it streams by.
 *
 *   HEADER -> BODY     [end_header]    an empty line
 *   BODY   -> HEADER   [meet_boundary] a delimiter of any open multipart
 *   HEADER -> HEADER   [end_header]    behind the fields of a message/rfc822 part
 *
 * One line at a time; of a line no more is kept than its field may have, and of one in a
 * body no more than a delimiter needs. A closing delimiter closes nothing: what stands
 * behind it is still looked through, since some readers do.
 *
 * What could not be looked at (too deep, too many, too long) is told by digest_has_more and
 * digest_is_cut; who asks must not take silence for an answer then.
 *
 * Owns all that it keeps. RFC 5322 2.2, RFC 2046 5.1.
 */
#include "policy/digest.h"

#include "policy/attachments.h"
#include "policy/condition.h"
#include "policy/delimiters.h"
#include "policy/fieldvalues.h"
#include "policy/parttype.h"
#include "policy/vocabulary/memory.h"

#include <stdlib.h>

enum {
    PREFIX = PARTTYPE_BOUNDARY + 60, /* of a line in a body */
};

enum place_in { IN_HEADER, IN_BODY, IN_NOTHING };

enum field_kind { FIELD_OTHER, FIELD_TYPE, FIELD_DISPOSITION, FIELD_ENCODING };

struct digest {
    struct arena scratch; /* of the part */
    struct fieldvalues values;
    bool wants_parts;

    enum place_in in;
    bool is_top;         /* this header is the message's own */
    bool is_digest_part; /* its type is message/rfc822 where it does not say */
    unsigned depth;
    struct delimiters open;

    struct buffer line;  /* the line at hand, its first bytes */
    bool is_long;        /* there was more, and not only white space */
    struct buffer field; /* value of the field at hand */
    bool has_field;
    enum field_kind kind;
    struct fieldvalues_of *wants; /* who wants it, or NULL */
    struct parttype part;

    bool is_cut, has_more;
    struct attachments attachments;
};

/* --- what is wanted ---------------------------------------------------------- */

bool digest_is_wanted(const struct settings *s)
{
    for (size_t i = 0; i < s->rule_count; i++)
        for (size_t c = 0; c < s->rules[i].condition_count; c++)
            if (s->rules[i].conditions[c].fact == FACT_HEADER ||
                s->rules[i].conditions[c].fact == FACT_ATTACHMENT)
                return true;
    return false;
}

static void want(struct digest *d, const struct condition *c)
{
    if (c->fact == FACT_ATTACHMENT)
        d->wants_parts = true;
    for (size_t i = 0; i < c->header_count; i++)
        fieldvalues_want(&d->values, c->headers[i].name);
}

struct digest *digest_new(const struct settings *s)
{
    struct digest *d = NEW(struct digest);

    for (size_t i = 0; i < s->rule_count; i++)
        for (size_t c = 0; c < s->rules[i].condition_count; c++)
            want(d, &s->rules[i].conditions[c]);
    d->in = IN_HEADER;
    d->is_top = true;
    d->field.cap = FIELDVALUES_BYTES;
    return d;
}

void digest_free(struct digest *d)
{
    if (!d)
        return;
    delimiters_close(&d->open, 0);
    buffer_fini(&d->line);
    buffer_fini(&d->field);
    arena_reset(&d->scratch);
    fieldvalues_fini(&d->values);
    attachments_fini(&d->attachments);
    free(d);
}

/* --- parts that are remembered ---------------------------------------------- */

static bool is_plain(struct span type)
{
    return type.len == 0 || span_is(type, SPAN("text/plain")) ||
           span_is(type, SPAN("text/html"));
}

static void keep_part(struct digest *d, struct span type, bool is_multipart)
{
    const struct parttype *p = &d->part;

    for (size_t i = 0; i < p->name_count; i++)
        attachments_add(&d->attachments, p->names[i], type);
    if (p->name_count == 0 &&
        (p->is_attachment || !(is_plain(type) || is_multipart)))
        attachments_add(&d->attachments, SPAN(""), type);
}

/* --- fields -------------------------------------------------------------------- */

static void end_field(struct digest *d)
{
    struct span value = span_first(buffer_span(&d->field), LIMIT_MIME_FIELD);

    if (!d->has_field)
        return;
    d->has_field = false;
    if (d->wants)
        fieldvalues_keep(&d->values, d->wants, buffer_span(&d->field),
                         d->field.overflow);
    if (d->kind != FIELD_OTHER && d->field.len > LIMIT_MIME_FIELD)
        d->has_more = true;
    switch (d->kind) {
    case FIELD_TYPE:
        parttype_read_type(&d->part, &d->scratch, value);
        break;
    case FIELD_DISPOSITION:
        parttype_read_disposition(&d->part, &d->scratch, value);
        break;
    case FIELD_ENCODING:
        parttype_read_encoding(&d->part, value);
        break;
    case FIELD_OTHER:
        break;
    }
}

static enum field_kind kind_of(const struct digest *d, struct span name)
{
    if (!d->wants_parts)
        return FIELD_OTHER;
    if (span_is_nocase(name, SPAN("Content-Type")))
        return FIELD_TYPE;
    if (span_is_nocase(name, SPAN("Content-Disposition")))
        return FIELD_DISPOSITION;
    return span_is_nocase(name, SPAN("Content-Transfer-Encoding"))
               ? FIELD_ENCODING
               : FIELD_OTHER;
}

/* What is no field is passed over: some readers go on behind it. */
static void begin_field(struct digest *d, struct span line)
{
    size_t n = span_find(line, ':');
    struct span name = span_trim(span_first(line, n));

    if (n == line.len)
        return;
    d->kind = kind_of(d, name);
    d->wants = d->is_top ? fieldvalues_find(&d->values, name) : NULL;
    d->has_field = d->wants || d->kind != FIELD_OTHER;
    if (!d->has_field)
        return;
    buffer_clear(&d->field);
    buffer_put(&d->field, span_skip(line, n + 1));
}

/* --- parts --------------------------------------------------------------------- */

static void begin_part(struct digest *d, bool is_digest)
{
    arena_reset(&d->scratch);
    d->part = (struct parttype){ 0 };
    d->is_digest_part = is_digest;
    d->in = IN_HEADER;
    d->has_field = false;
}

static void open_level(struct digest *d, struct span type)
{
    struct span boundary = span_make(d->part.boundary, d->part.boundary_len);

    if (boundary.len == 0)
        return;
    if (d->depth >= LIMIT_MIME_DEPTH ||
        !delimiters_open(&d->open, boundary,
                         span_is(type, SPAN("multipart/digest")), d->depth + 1))
        d->has_more = true;
}

static bool is_message(struct span type)
{
    return span_is(type, SPAN("message/rfc822")) ||
           span_is(type, SPAN("message/global")) ||
           span_is(type, SPAN("message/news"));
}

static void end_header(struct digest *d)
{
    struct span type;
    bool is_multipart;

    end_field(d);
    type = d->part.type;
    if (!d->part.has_type && d->is_digest_part)
        type = SPAN("message/rfc822");
    is_multipart = span_starts_nocase(type, SPAN("multipart/"));
    d->has_more = d->has_more || d->part.is_cut;
    d->is_top = false;
    d->in = IN_BODY;
    if (!d->wants_parts) {
        d->in = IN_NOTHING;
        return;
    }
    keep_part(d, type, is_multipart);
    if (is_multipart)
        open_level(d, type);
    if (is_message(type) && !d->part.is_encoded) {
        if (d->depth < LIMIT_MIME_DEPTH) {
            d->depth++;
            begin_part(d, false);
            return;
        }
        d->has_more = true;
    }
    if (d->open.count == 0)
        d->in = IN_NOTHING;
}

static bool meet_boundary(struct digest *d, struct span line)
{
    bool opens = false;
    size_t i =
        d->is_long ? d->open.count : delimiters_find(&d->open, line, &opens);

    if (i == d->open.count)
        return false;
    if (d->in == IN_HEADER)
        end_header(d);
    delimiters_close(&d->open, i + 1);
    d->depth = d->open.all[i].depth;
    if (opens)
        begin_part(d, d->open.all[i].is_digest);
    else
        d->in = IN_BODY;
    return true;
}

/* --- lines --------------------------------------------------------------------- */

static void take_line(struct digest *d, struct span line)
{
    if (meet_boundary(d, line))
        return;
    if (d->in != IN_HEADER)
        return;
    if (line.len == 0) {
        end_header(d);
        return;
    }
    if (line.at[0] == ' ' || line.at[0] == '\t') {
        if (d->has_field)
            buffer_put(&d->field, line);
        return;
    }
    end_field(d);
    begin_field(d, line);
}

/* How much of a line is worth keeping. */
static size_t worth(const struct digest *d)
{
    return d->in == IN_HEADER ? FIELDVALUES_BYTES : PREFIX;
}

static void keep_of_line(struct digest *d, struct span piece)
{
    size_t most = worth(d), room = d->line.len < most ? most - d->line.len : 0;
    struct span rest = span_trim(span_skip(piece, room));

    buffer_put(&d->line, span_first(piece, room));
    if (rest.len && !span_is(rest, SPAN("\r"))) {
        d->is_long = true;
        d->is_cut = d->is_cut || (d->in == IN_HEADER && d->is_top);
    }
}

static void end_line(struct digest *d, struct span line)
{
    if (line.len && line.at[line.len - 1] == '\r')
        line.len--;
    take_line(d, line);
    buffer_clear(&d->line);
    d->is_long = false;
}

void digest_feed(struct digest *d, struct span content)
{
    while (content.len && d->in != IN_NOTHING) {
        const char *end = memchr(content.at, '\n', content.len);
        size_t n = end ? (size_t)(end - content.at) : content.len;
        struct span piece = span_first(content, n);

        if (end && d->line.len == 0 && n <= worth(d) && !d->is_long) {
            end_line(d, piece);
        } else {
            keep_of_line(d, piece);
            if (end)
                end_line(d, buffer_span(&d->line));
        }
        content = span_skip(content, n + 1);
    }
}

void digest_end(struct digest *d)
{
    if (d->in != IN_NOTHING && d->line.len)
        end_line(d, buffer_span(&d->line));
    if (d->in == IN_HEADER)
        end_header(d);
    d->in = IN_NOTHING;
}

/* --- asked --------------------------------------------------------------------- */

struct span digest_field(const struct digest *d, struct span name, size_t n)
{
    const struct fieldvalues_of *f = fieldvalues_find(&d->values, name);

    return f && n < f->count ? f->all[n] : span_make(NULL, 0);
}

bool digest_is_cut(const struct digest *d)
{
    return d->is_cut || d->values.is_cut;
}

const struct attachment *digest_attachment(const struct digest *d, size_t n)
{
    return n < d->attachments.count ? &d->attachments.all[n] : NULL;
}

bool digest_has_more(const struct digest *d)
{
    return d->has_more || d->attachments.has_more;
}
