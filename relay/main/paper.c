/*
 * paper - JSON laid out as text for people.
 */
#include "relay/main/paper.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

void paper_print_json(const json_t *object)
{
    (void)json_dumpf(object, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    (void)putchar('\n');
}

bool paper_print_line(struct span line)
{
    (void)fwrite(line.at, 1, line.len, stdout);
    (void)putchar('\n');
    return !ferror(stdout);
}

void paper_begin_list(void)
{
    static char pieces[64 * 1024];

    (void)setvbuf(stdout, pieces, _IOFBF, sizeof pieces);
}

void paper_print(struct buffer *b)
{
    (void)fwrite(b->at, 1, b->len, stdout);
    buffer_clear(b);
}

size_t paper_width(void)
{
    struct winsize w;

    if (!isatty(STDOUT_FILENO))
        return 0;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) < 0 || w.ws_col < 40)
        return 80;
    return w.ws_col;
}

bool paper_takes_colour(void)
{
    const char *no = getenv("NO_COLOR");

    return isatty(STDOUT_FILENO) && !(no && *no);
}

const char *paper_text(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));

    return text ? text : "";
}

struct span paper_span(const json_t *o, const char *key)
{
    return span_of(paper_text(o, key));
}

bool paper_is(const json_t *o, const char *key, const char *value)
{
    return strcmp(paper_text(o, key), value) == 0;
}

bool paper_is_so(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

int64_t paper_number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

void paper_put(struct paper *p, const char *text)
{
    buffer_put_escaped(p->b, span_of(text));
}

void paper_quote(struct paper *p, const char *text)
{
    buffer_put_byte(p->b, '"');
    paper_put(p, text);
    buffer_put_byte(p->b, '"');
}

void paper_begin(struct paper *p, enum paper_colour c)
{
    /* none is bold and light at once: that cannot be read on a white terminal */
    static const char *const codes[] = { [PAPER_PLAIN] = "",
                                         [PAPER_GOOD] = "\033[32m",
                                         [PAPER_BAD] = "\033[1;31m",
                                         [PAPER_DOUBTFUL] = "\033[33m",
                                         [PAPER_FAINT] = "\033[2m" };

    if (p->is_coloured)
        buffer_put_string(p->b, codes[c]);
}

void paper_end(struct paper *p, enum paper_colour c)
{
    if (p->is_coloured && c != PAPER_PLAIN)
        buffer_put_string(p->b, "\033[0m");
}
