/*
 * convert - content for a next hop that takes seven bits only.
 *
 * Content is cut into pieces: a line, or some of a very long one. Where a line
 * begins it is looked at for a delimiter of any multipart that is open.
 *
 *            +---- delimiter ------------------------------------+
 *            v                                                   |
 *   HEADER --+--> PROSE      multipart: until its first delimiter|
 *    ^  |    +--> HEADER     message/rfc822                      |
 *    |  |    +--> WATCH      may not be changed: tell if it must |
 *    |  |    +--> HOLD ----> ENCODE    says 7bit: is it so? -----+
 *    |  |    +--> ENCODE     says 8bit, binary                   |
 *    |  |    +--> MEND       quoted-printable, base64            |
 *    +--+--------------------------------------------------------+
 *
 * The line end before a delimiter belongs to the delimiter, so one is owed
 * while a part is encoded. RFC 2046 5.1.1.
 */
#include "relay/outbound/convert.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/limits.h"
#include "policy/vocabulary/memory.h"
#include "policy/vocabulary/utf8.h"
#include "relay/outbound/folding.h"
#include "relay/outbound/mimeheader.h"
#include "relay/outbound/nesting.h"
#include "relay/outbound/transfer.h"

#include <stdlib.h>

enum {
    PIECE_MOST = 4096, /* longer than any delimiter with its padding */
    WINDOW_MOST = LIMIT_HEADER,
};

enum state { HEADER, PROSE, WATCH, HOLD, ENCODE, MEND };

struct convert {
    struct convert_options options;
    enum convert_said said;
    enum convert_said guard; /* not FINE: what to say when a byte must change */
    enum state state;
    struct nesting nesting;
    unsigned depth;
    bool line_begins; /* the next piece begins a line */
    bool is_message;  /* the header section is that of a message */
    bool in_digest;
    bool has_blank;     /* HOLD: an empty line stood behind the section */
    bool owes_line_end; /* ENCODE */
    struct mimeheader header;
    struct buffer line, section, window;
    struct transfer transfer;
    struct folding folding;
    struct buffer *out, encoded;
};

struct convert *convert_new(const struct convert_options *o)
{
    struct convert *c = NEW(struct convert);

    c->options = *o;
    c->line_begins = c->is_message = true;
    if (o->fold)
        folding_init(&c->folding, o->fold);
    return c;
}

void convert_free(struct convert *c)
{
    if (!c)
        return;
    nesting_close(&c->nesting, 0);
    buffer_fini(&c->line);
    buffer_fini(&c->section);
    buffer_fini(&c->window);
    buffer_fini(&c->encoded);
    folding_fini(&c->folding);
    free(c);
}

static void emit(struct convert *c, struct span s)
{
    if (c->options.fold)
        folding_put(&c->folding, c->out, s);
    else
        buffer_put(c->out, s);
}

/* What the encoder or the header writer made. */
static void emit_encoded(struct convert *c)
{
    emit(c, buffer_span(&c->encoded));
    buffer_clear(&c->encoded);
}

/* --------------------------------------------------- bytes that cannot go ---- */

/* The byte may not go to such a hop: over 127, or NUL, or a CR or LF alone. */
static bool is_stray(const struct convert *c, struct span s, size_t i)
{
    char b = s.at[i];

    if ((unsigned char)b & 0x80)
        return true;
    if (!c->options.is_binary)
        return false;
    return b == '\0' ||
           (b == '\r' && (i + 1 == s.len || s.at[i + 1] != '\n')) ||
           (b == '\n' && (i == 0 || s.at[i - 1] != '\r'));
}

/* Any but those over 127? Pieces are never cut between CR and LF. */
static bool has_bare(const struct convert *c, struct span s)
{
    if (c->options.is_binary)
        for (size_t i = 0; i < s.len; i++)
            if (!((unsigned char)s.at[i] & 0x80) && is_stray(c, s, i))
                return true;
    return false;
}

static bool has_stray(const struct convert *c, struct span s)
{
    return utf8_has_high(s) || has_bare(c, s);
}

static void mend_byte(struct convert *c, char b)
{
    if (c->state == PROSE)
        buffer_put_byte(&c->encoded, '?');
    else if (c->header.coding == CODING_QUOTED)
        buffer_printf(&c->encoded, "=%02X", (unsigned)(unsigned char)b);
}

/* Mended, it must not look like a delimiter that it was not. */
static bool could_delimit(struct span s, size_t i)
{
    return i == 0 && s.len >= 2 && memcmp(s.at, "--", 2) == 0;
}

static void emit_mended(struct convert *c, struct span s)
{
    if (!has_stray(c, s)) {
        emit(c, s);
        return;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (is_stray(c, s, i) || could_delimit(s, i))
            mend_byte(c, s.at[i]);
        else
            buffer_put_byte(&c->encoded, s.at[i]);
    }
    emit_encoded(c);
}

/* -------------------------------------------------------------- encoding ---- */

static void encode(struct convert *c, struct span s)
{
    if (c->owes_line_end)
        transfer_put(&c->transfer, &c->encoded, SPAN("\r\n"));
    c->owes_line_end = s.len >= 2 && memcmp(s.at + s.len - 2, "\r\n", 2) == 0;
    s.len -= c->owes_line_end ? 2 : 0;
    transfer_put(&c->transfer, &c->encoded, s);
    emit_encoded(c);
}

static void emit_header(struct convert *c, const char *coding)
{
    mimeheader_write(&c->encoded, buffer_span(&c->section), &c->header, coding,
                     c->is_message);
    emit_encoded(c);
    emit(c, SPAN("\r\n"));
    buffer_clear(&c->section);
}

/* From now on, with what the window holds. */
static void begin_encoding(struct convert *c)
{
    struct span window = buffer_span(&c->window);
    bool is_text = c->header.kind == MIME_TEXT || c->header.kind == MIME_REPORT;
    enum transfer_kind kind =
        is_text && !has_bare(c, window) ? TRANSFER_QUOTED : TRANSFER_BASE64;

    emit_header(c, transfer_name(kind));
    transfer_init(&c->transfer, kind);
    c->owes_line_end = false;
    c->state = ENCODE;
    if (window.len)
        encode(c, window);
    buffer_clear(&c->window);
}

static void end_encoding(struct convert *c, bool at_delimiter)
{
    bool is_open;

    if (c->owes_line_end && !at_delimiter)
        transfer_put(&c->transfer, &c->encoded, SPAN("\r\n"));
    is_open = transfer_end(&c->transfer, &c->encoded);
    if (at_delimiter ? is_open || c->owes_line_end
                     : is_open && c->transfer.kind == TRANSFER_BASE64)
        buffer_put_string(&c->encoded, "\r\n");
    else if (is_open) /* text without a line end stays so */
        buffer_put_string(&c->encoded, "=\r\n");
    emit_encoded(c);
}

/* As it is: the section, and the empty line behind it if there is one. */
static void pass_header(struct convert *c, bool has_blank, enum state next)
{
    emit(c, buffer_span(&c->section));
    if (has_blank)
        emit(c, SPAN("\r\n"));
    buffer_clear(&c->section);
    c->state = next;
}

/* A part ends that was held until now. */
static void end_window(struct convert *c)
{
    if (c->header.coding == CODING_BINARY) {
        begin_encoding(c);
        return;
    }
    pass_header(c, c->has_blank, HOLD);
    emit(c, buffer_span(&c->window));
    buffer_clear(&c->window);
}

static void end_part(struct convert *c, bool at_delimiter)
{
    if (c->state == HEADER) { /* there is no body that could matter */
        emit(c, buffer_span(&c->section));
        buffer_clear(&c->section);
    }
    if (c->state == HOLD)
        end_window(c);
    if (c->state == ENCODE)
        end_encoding(c, at_delimiter);
}

/* ---------------------------------------------------------------- headers ---- */

static void begin_composite(struct convert *c)
{
    const struct mimeheader *h = &c->header;
    bool says_8bit = h->coding == CODING_8BIT || h->coding == CODING_BINARY;

    c->depth++;
    if (says_8bit && c->guard == CONVERT_FINE)
        emit_header(c, "7bit");
    else
        pass_header(c, true, HEADER);
    if (h->kind == MIME_MESSAGE) {
        c->state = HEADER;
        c->is_message = true;
        c->in_digest = false;
        return;
    }
    nesting_open(&c->nesting, span_make(h->boundary, h->boundary_len),
                 &(struct nesting_level){ .is_digest = h->is_digest,
                                          .depth = c->depth,
                                          .guard = c->guard });
    c->state = PROSE;
}

static bool is_composite(const struct mimeheader *h)
{
    /* An encoded message is a leaf. RFC 6532 3.5 */
    return h->kind == MIME_MULTIPART ||
           (h->kind == MIME_MESSAGE && h->coding != CODING_QUOTED &&
            h->coding != CODING_BASE64);
}

static void begin_leaf(struct convert *c, bool has_blank)
{
    enum mimeheader_coding coding = c->header.coding;

    if (c->guard != CONVERT_FINE) {
        pass_header(c, has_blank, WATCH);
    } else if (coding == CODING_QUOTED || coding == CODING_BASE64) {
        pass_header(c, true, MEND); /* mended, a line could look like a field */
    } else if (coding == CODING_8BIT ||
               (coding == CODING_BINARY && c->header.kind == MIME_OTHER)) {
        begin_encoding(c);
    } else {
        c->has_blank = has_blank;
        c->state = HOLD;
    }
}

static void end_header(struct convert *c, bool has_blank)
{
    struct mimeheader *h = &c->header;

    mimeheader_read(h, buffer_span(&c->section), c->in_digest);
    if (!c->options.even_signed &&
        (h->is_sealed || (h->has_dkim && c->is_message && c->depth == 0)))
        c->guard = CONVERT_SIGNED;
    if (is_composite(h)) {
        bool can_enter = has_blank && c->depth < NESTING_MOST &&
                         (h->kind == MIME_MESSAGE || h->boundary_len > 0);

        if (can_enter) {
            begin_composite(c);
            return;
        }
        if (c->guard == CONVERT_FINE)
            c->guard = CONVERT_TOO_DEEP;
    }
    begin_leaf(c, has_blank);
}

/* ----------------------------------------------------------------- pieces ---- */

static bool is_line(struct span s)
{
    return s.len >= 2 && memcmp(s.at + s.len - 2, "\r\n", 2) == 0;
}

static void take_body(struct convert *c, struct span p)
{
    switch (c->state) {
    case WATCH:
        if (has_stray(c, p))
            c->said = c->guard;
        else
            emit(c, p);
        return;
    case PROSE:
        if (c->guard != CONVERT_FINE && has_stray(c, p))
            c->said = c->guard;
        else
            emit_mended(c, p);
        return;
    case MEND:
        emit_mended(c, p);
        return;
    case ENCODE:
        encode(c, p);
        return;
    case HOLD:
        buffer_put(&c->window, p);
        if (has_stray(c, p) || c->window.len >= WINDOW_MOST)
            begin_encoding(c);
        return;
    case HEADER:
        break;
    }
    ASSERT(!"a header section is no body");
}

static void take_header(struct convert *c, struct span p, bool begins)
{
    if (begins && span_is(p, SPAN("\r\n"))) {
        end_header(c, true);
    } else if (begins && !mimeheader_is_line(p)) {
        end_header(c, false);
        take_body(c, p);
    } else if (has_stray(c, p)) {
        c->said = CONVERT_HEADER;
    } else if (c->section.len + p.len > LIMIT_HEADER) {
        c->said = CONVERT_TOO_DEEP;
    } else {
        buffer_put(&c->section, p);
    }
}

static void take_delimiter(struct convert *c, struct span p, size_t number,
                           bool closes)
{
    const struct nesting_level *level = &c->nesting.levels[number];

    end_part(c, true);
    emit(c, p);
    c->guard = level->guard;
    c->depth = level->depth;
    c->in_digest = level->is_digest;
    c->is_message = false;
    c->state = closes ? PROSE : HEADER;
    nesting_close(&c->nesting, closes ? number : number + 1);
}

/* ends: there is all of the line. */
static void take_piece(struct convert *c, struct span p, bool ends)
{
    bool begins = c->line_begins, closes = false;
    int level = begins && ends ? nesting_find(&c->nesting, p, &closes) : -1;

    c->line_begins = ends;
    if (level >= 0)
        take_delimiter(c, p, (size_t)level, closes);
    else if (c->state == HEADER)
        take_header(c, p, begins);
    else
        take_body(c, p);
}

static void take_line(struct convert *c)
{
    bool ends = is_line(buffer_span(&c->line));
    size_t n = c->line.len;

    if (!ends && c->line.at[n - 1] == '\r')
        n--;
    take_piece(c, span_first(buffer_span(&c->line), n), ends);
    buffer_drop(&c->line, n);
}

static void finish(struct convert *c)
{
    if (c->line.len) {
        /* Its end is here, whatever it looks like. */
        take_piece(c, buffer_span(&c->line), true);
        buffer_clear(&c->line);
    }
    if (c->said == CONVERT_FINE)
        end_part(c, false);
}

enum convert_said convert_feed(struct convert *c, struct span in, bool last,
                               struct buffer *out)
{
    c->out = out;
    if (!c->options.to_7bit) {
        emit(c, in);
        in = SPAN("");
    }
    while (in.len && c->said == CONVERT_FINE) {
        size_t n = span_find(in, '\n') + 1, room = PIECE_MOST - c->line.len;

        n = n < room ? n : room;
        n = n < in.len ? n : in.len;
        buffer_put(&c->line, span_first(in, n));
        in = span_skip(in, n);
        if (is_line(buffer_span(&c->line)) || c->line.len == PIECE_MOST)
            take_line(c);
    }
    if (last && c->said == CONVERT_FINE) {
        finish(c);
        if (c->options.fold && c->said == CONVERT_FINE)
            folding_end(&c->folding, out);
    }
    return c->said;
}
