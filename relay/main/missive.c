/*
 * missive - a message that a program of this machine submits: reading it.
 *
 * Nothing of what a user gives reaches a command line but what was read as an address: no
 * control characters, no space outside quotes.
 */
#include "relay/main/missive.h"

#include "policy/vocabulary/memory.h"
#include "policy/vocabulary/utf8.h"
#include "relay/inbound/addresslist.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { READ_AT_ONCE = 64 * 1024, RECIPIENTS_MOST = 100000, PATH_MOST = 1000 };

void missive_init(struct missive *m)
{
    *m = (struct missive){ .sender = SPAN("<>") };
}

void missive_fini(struct missive *m)
{
    free(m->recipients);
    buffer_fini(&m->content);
    arena_reset(&m->arena);
    missive_init(m);
}

bool missive_has_8bit(const struct missive *m)
{
    return utf8_has_high(buffer_span(&m->content));
}

/* --------------------------------------------------------------- input ---- */

/* What came of the input so far. */
struct intake_line {
    struct buffer *out;
    size_t line_start; /* of the line at hand, in out */
    bool dot_ends, is_over;
    bool after_cr; /* a CR came, and it is not known yet what it ends */
};

static void end_line(struct intake_line *l)
{
    size_t len = l->out->len - l->line_start;

    if (l->dot_ends && len == 1 && l->out->at[l->line_start] == '.') {
        l->out->len = l->line_start;
        l->is_over = true;
        return;
    }
    buffer_put(l->out, SPAN("\r\n"));
    l->line_start = l->out->len;
}

/* CRs before an LF are part of that line end; others are line ends. */
static void take_byte(struct intake_line *l, char c)
{
    if (l->after_cr && c != '\n' && c != '\r') {
        l->after_cr = false;
        end_line(l);
        if (l->is_over)
            return;
    }
    if (c == '\r') {
        l->after_cr = true;
    } else if (c == '\n') {
        l->after_cr = false;
        end_line(l);
    } else {
        buffer_put_byte(l->out, c);
    }
}

static void end_input(struct intake_line *l)
{
    if (!l->is_over && (l->after_cr || l->out->len > l->line_start))
        end_line(l);
}

/* Whoever made it may have left out the last line end, and then no dot would end it. */
static void take_content(struct missive *m, struct span bytes)
{
    struct intake_line l = { .out = &m->content };

    for (size_t i = 0; i < bytes.len; i++)
        take_byte(&l, bytes.at[i]);
    end_input(&l);
}

int missive_read(struct missive *m, int fd, bool dot_ends, uint64_t most)
{
    struct intake_line l = { .out = &m->content, .dot_ends = dot_ends };
    char *bytes = memory_take(READ_AT_ONCE);
    ssize_t n;
    int rc = 0;

    m->content.cap = (size_t)most + (size_t)READ_AT_ONCE * 2;
    while (rc == 0 && !l.is_over && (n = read(fd, bytes, READ_AT_ONCE)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = -errno;
        for (ssize_t i = 0; i < n && !l.is_over; i++)
            take_byte(&l, bytes[i]);
        if (m->content.len > most || m->content.overflow)
            rc = ERROR_TOO_BIG;
    }
    if (rc == 0)
        end_input(&l);
    free(bytes);
    return rc;
}

/* ----------------------------------------------------------- addresses ---- */

/* Nothing that would end a path, or a line, before its time. */
static bool is_path_text(struct span s)
{
    bool is_quoted = false;

    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];

        if (c < ' ' || c == 0x7f || (!is_quoted && strchr(" <>", c)))
            return false;
        if (c == '"')
            is_quoted = !is_quoted;
        else if (c == '\\' && i + 1 < s.len)
            i++;
    }
    return s.len > 0 && s.len < PATH_MOST && !is_quoted;
}

static struct span as_path(struct missive *m, struct span address)
{
    struct buffer b = { 0 };
    struct span path;

    buffer_put_byte(&b, '<');
    buffer_put(&b, address);
    buffer_put_byte(&b, '>');
    path = arena_copy(&m->arena, buffer_span(&b));
    buffer_fini(&b);
    return path;
}

/* The same twice is one; of few, since the relay looks at this, too. */
static bool has_recipient(const struct missive *m, struct span path)
{
    size_t i = m->count > 1000 ? m->count : 0;

    while (i < m->count && !span_is(m->recipients[i].path, path))
        i++;
    return i < m->count;
}

static bool add_recipient(struct missive *m, struct span address,
                          struct span parameters)
{
    struct span path;

    if (!is_path_text(address) || m->count == RECIPIENTS_MOST)
        return false;
    path = as_path(m, address);
    if (has_recipient(m, path))
        return true;
    if (m->count == m->room) {
        m->room = m->room ? m->room * 2 : 8;
        m->recipients =
            memory_grow(m->recipients, m->room * sizeof *m->recipients);
    }
    m->recipients[m->count++] = (struct missive_recipient){
        .path = path,
        .parameters = arena_copy(&m->arena, parameters),
    };
    return true;
}

bool missive_add(struct missive *m, struct span list, struct span parameters)
{
    struct addresslist l;
    struct listed one;
    bool ok = true;

    addresslist_init(&l, list);
    while (ok && addresslist_next(&l, &one))
        ok = add_recipient(m, one.spec, parameters);
    ok = ok && !l.is_broken;
    addresslist_fini(&l);
    return ok;
}

bool missive_set_sender(struct missive *m, struct span address)
{
    struct addresslist l;
    struct listed one;
    bool ok = true;

    address = span_trim(address);
    if (address.len == 0 || span_is(address, SPAN("<>"))) {
        m->sender = SPAN("<>");
        return true;
    }
    addresslist_init(&l, address);
    ok = addresslist_next(&l, &one) && is_path_text(one.spec);
    if (ok)
        m->sender = as_path(m, one.spec);
    ok = ok && !addresslist_next(&l, &one) && !l.is_broken;
    addresslist_fini(&l);
    return ok;
}

/* -------------------------------------------------------------- a file ---- */

static const struct span mark = SPAN_INIT("waypost-drop 1");

void missive_put_file(const struct missive *m, struct buffer *out)
{
    buffer_put(out, mark);
    buffer_put_string(out, "\nMAIL FROM:");
    buffer_put(out, m->sender);
    buffer_put(out, m->parameters);
    for (size_t i = 0; i < m->count; i++) {
        if (m->recipients[i].fate == MISSIVE_SENT)
            continue;
        buffer_put_string(out, "\nRCPT TO:");
        buffer_put(out, m->recipients[i].path);
        buffer_put(out, m->recipients[i].parameters);
    }
    buffer_put_string(out, "\n\n");
    buffer_put(out, buffer_span(&m->content));
}

/* "<path> parameters" behind a verb; nothing in it can end the command. */
static bool read_command(struct span line, struct span verb,
                         struct span *out_path, struct span *out_parameters)
{
    struct span rest = span_skip(line, verb.len);
    bool is_quoted = false;
    size_t n = 0;

    if (!span_starts_nocase(line, verb) || rest.len < 2 || rest.at[0] != '<')
        return false;
    for (size_t i = 0; i < rest.len; i++)
        if ((unsigned char)rest.at[i] < ' ' || rest.at[i] == 0x7f)
            return false;
    for (; n < rest.len && (is_quoted || rest.at[n] != '>'); n++) {
        if (rest.at[n] == '"')
            is_quoted = !is_quoted;
        else if (rest.at[n] == '\\')
            n++;
    }
    if (n >= rest.len)
        return false;
    *out_path = span_first(rest, n + 1);
    *out_parameters = span_skip(rest, n + 1);
    return out_parameters->len == 0 || out_parameters->at[0] == ' ';
}

static bool read_recipient(struct missive *m, struct span line)
{
    struct span path, parameters;

    if (!read_command(line, SPAN("RCPT TO:"), &path, &parameters))
        return false;
    return add_recipient(m, span_first(span_skip(path, 1), path.len - 2),
                         parameters);
}

bool missive_read_file(struct missive *m, struct span bytes)
{
    struct span rest = bytes, line, path, parameters;
    bool ok = span_is(span_split(rest, '\n', &rest), mark);

    line = span_split(rest, '\n', &rest);
    ok = ok && read_command(line, SPAN("MAIL FROM:"), &path, &parameters);
    if (ok) {
        m->sender = arena_copy(&m->arena, path);
        m->parameters = arena_copy(&m->arena, parameters);
    }
    while (ok && (line = span_split(rest, '\n', &rest)).len)
        ok = read_recipient(m, line);
    if (ok)
        take_content(m, rest);
    return ok && m->count > 0;
}
