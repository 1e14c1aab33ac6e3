/*
 * content - the bytes between 354 and the final dot, or those of BDAT's chunks.
 *
 * Two gears. clean_run finds how far the input needs no thought: every CR is
 * followed by LF, every LF comes after CR, no line begins with a dot. Such a
 * run, usually all of the message, is copied at once. What stops it is
 * looked at byte by byte by the table below, for a byte or three.
 *
 *   START       at the beginning of a line, after CRLF
 *   LOOSE       the same, after a line end that was not CRLF
 *   TEXT        within a line
 *   CR          a CR is held back
 *   DOT         START, then a dot (held back)       -- CR LF --> the end
 *   LOOSE_DOT   LOOSE, then a dot (held back)       -- CR LF --> a line "."
 *   DOT_CR, LOOSE_DOT_CR   the same, then a CR
 */
#include "relay/inbound/content.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/utf8.h"

enum place {
    START,
    LOOSE,
    TEXT,
    CR,
    DOT,
    LOOSE_DOT,
    DOT_CR,
    LOOSE_DOT_CR,
    END,
    PLACES
};

enum class { IS_CR, IS_LF, IS_DOT, IS_OTHER, CLASSES };

/* What comes out: held back things first, the byte itself last. */
enum { LINE_END = 1, ONE_DOT = 2, BYTE = 4, BARE = 8 };

struct step {
    unsigned char next;
    unsigned char put; /* dot, then line end, then the byte */
};

/* clang-format off */
static const struct step steps[PLACES][CLASSES] = {
    /* In columns: CR, LF, ".", any other byte. */
    [START] = {
        { CR, 0 },
        { LOOSE, LINE_END | BARE },
        { DOT, 0 },
        { TEXT, BYTE },
    },
    [LOOSE] = {
        { CR, 0 },
        { LOOSE, LINE_END | BARE },
        { LOOSE_DOT, 0 },
        { TEXT, BYTE },
    },
    [TEXT] = {
        { CR, 0 },
        { LOOSE, LINE_END | BARE },
        { TEXT, BYTE },
        { TEXT, BYTE },
    },
    [CR] = {
        { CR, LINE_END | BARE },
        { START, LINE_END },
        { LOOSE_DOT, LINE_END | BARE },
        { TEXT, LINE_END | BYTE | BARE },
    },
    [DOT] = {
        { DOT_CR, 0 },
        { LOOSE, ONE_DOT | LINE_END | BARE },
        { TEXT, BYTE },
        { TEXT, BYTE },
    },
    [LOOSE_DOT] = {
        { LOOSE_DOT_CR, 0 },
        { LOOSE, ONE_DOT | LINE_END | BARE },
        { TEXT, BYTE },
        { TEXT, BYTE },
    },
    [DOT_CR] = {
        { CR, ONE_DOT | LINE_END | BARE },
        { END, 0 },
        { LOOSE_DOT, ONE_DOT | LINE_END | BARE },
        { TEXT, ONE_DOT | LINE_END | BYTE | BARE },
    },
    [LOOSE_DOT_CR] = {
        { CR, ONE_DOT | LINE_END | BARE },
        { START, ONE_DOT | LINE_END },
        { LOOSE_DOT, ONE_DOT | LINE_END | BARE },
        { TEXT, ONE_DOT | LINE_END | BYTE | BARE },
    },
};
/* clang-format on */

static enum class class_of(const struct content *c, char byte) {
    if (byte == '.' && c->options.form == CONTENT_DOTTED) return IS_DOT;
    return byte == '\r'   ? IS_CR
           : byte == '\n' ? IS_LF
                          : IS_OTHER;
}

void content_init(struct content *c, const struct content_options *o)
{
    *c = (struct content){ .options = *o, .place = START };
}

bool content_is_refused(const struct content *c)
{
    return c->fault != CONTENT_FINE || (c->is_bare && !c->options.normalize);
}

static void fault(struct content *c, enum content_fault f)
{
    if (c->fault == CONTENT_FINE)
        c->fault = f;
}

/* Holds the lines of a run against the limit; called only when one may be over.
 */
static void check_lines(struct content *c, struct span run)
{
    uint64_t most = c->options.line_most + 2;

    while (run.len) {
        size_t n = span_find(run, '\n');
        bool ends = n < run.len;

        n += ends;
        c->line += n;
        if (c->line > most)
            fault(c, CONTENT_LINE_TOO_LONG);
        if (ends)
            c->line = 0;
        run = span_skip(run, n);
    }
}

static void check_header(struct content *c, struct span run)
{
    header_scan_feed(&c->header, run);
    if (c->header.bytes + c->header.line_bytes > c->options.header_most)
        fault(c, CONTENT_HEADER_TOO_LARGE);
    if (c->header.hops > c->options.hops_most)
        fault(c, CONTENT_LOOPS);
}

static void put(struct content *c, struct span run, struct buffer *out)
{
    const char *last;

    c->size += run.len;
    if (c->size > c->options.size_most)
        fault(c, CONTENT_TOO_LARGE);
    if (c->options.form == CONTENT_BINARY) {
        /* has no lines */
    } else if (c->line + run.len > c->options.line_most) {
        check_lines(c, run);
    } else {
        last = memrchr(run.at, '\n', run.len);
        c->line =
            last ? (size_t)(run.at + run.len - last) - 1 : c->line + run.len;
    }
    if (content_is_refused(c))
        return;
    if (!header_scan_is_over(&c->header))
        check_header(c, run);
    if (!content_is_refused(c))
        buffer_put(out, run);
}

/* Is p[0] something to think about, coming after p[-1]? */
static inline unsigned char is_odd(const char *p)
{
    return (unsigned char)(((p[0] == '\n') ^ (p[-1] == '\r')) |
                           ((p[0] == '.') & (p[-1] == '\n')));
}

/*
 * How many bytes, after the first, need no thought, where the first is plain
 * text. Whole blocks at a time: the inner loop has no branch, so that the
 * compiler makes vector instructions of it.
 */
static size_t clean_run(struct span in, unsigned char *out_high)
{
    enum { BLOCK = 64 };
    unsigned char high = (unsigned char)in.at[0];
    size_t i = 1;

    for (; in.len - i >= BLOCK; i += BLOCK) {
        const char *p = in.at + i;
        unsigned char odd = 0, all = 0;

        for (unsigned k = 0; k < BLOCK; k++) {
            odd |= is_odd(p + k);
            all |= (unsigned char)p[k];
        }
        if (odd)
            break;
        high |= all;
    }
    for (; i < in.len && !is_odd(in.at + i); i++)
        high |= (unsigned char)in.at[i];
    /* A CR waits for its LF. */
    if (in.at[i - 1] == '\r')
        i--;
    *out_high = high;
    return i;
}

/* A byte that may begin a clean run where we stand. */
static bool begins_run(const struct content *c, char first)
{
    if (first == '\r' || first == '\n')
        return false;
    return c->place == TEXT ||
           ((c->place == START || c->place == LOOSE) && first != '.');
}

static void step(struct content *c, char byte, struct buffer *out)
{
    const struct step *s = &steps[c->place][class_of(c, byte)];
    char bytes[4];
    size_t n = 0;

    if (s->put & BARE)
        c->is_bare = true;
    if (s->put & ONE_DOT)
        bytes[n++] = '.';
    if (s->put & LINE_END) {
        bytes[n++] = '\r';
        bytes[n++] = '\n';
    }
    if (s->put & BYTE)
        bytes[n++] = byte;
    c->place = s->next;
    if (n)
        put(c, span_make(bytes, n), out);
    if (byte & 0x80)
        c->has_8bit = true;
}

static size_t feed_binary(struct content *c, struct span in, struct buffer *out)
{
    if (!c->has_8bit)
        c->has_8bit = utf8_has_high(in);
    if (in.len)
        put(c, in, out);
    return in.len;
}

void content_finish(struct content *c, struct buffer *out)
{
    ASSERT(c->options.form != CONTENT_DOTTED && c->place != END);
    if (c->place == CR)
        c->is_bare = true;
    if (c->place == CR || c->place == TEXT)
        put(c, SPAN("\r\n"), out);
    c->place = END;
    header_scan_end(&c->header);
}

size_t content_feed(struct content *c, struct span in, struct buffer *out,
                    bool *out_end)
{
    struct span rest = in;

    ASSERT(c->place != END);
    if (!content_is_refused(c))
        (void)buffer_room(out, in.len);
    *out_end = false;
    if (c->options.form == CONTENT_BINARY)
        return feed_binary(c, in, out);
    while (rest.len && c->place != END) {
        size_t n = 1;

        if (begins_run(c, rest.at[0])) {
            unsigned char high = 0;

            n = clean_run(rest, &high);
            put(c, span_first(rest, n), out);
            c->place = rest.at[n - 1] == '\n' ? START : TEXT;
            if (high & 0x80)
                c->has_8bit = true;
        } else {
            step(c, rest.at[0], out);
        }
        rest = span_skip(rest, n);
    }
    *out_end = c->place == END;
    if (*out_end)
        header_scan_end(&c->header);
    return in.len - rest.len;
}
