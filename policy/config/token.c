/*
 * token - a configuration's text, cut into words, strings and marks.
 *
 * After a fault the rest of the string or word is still one token, so that one
 * slip is one fault. Owns nothing; RFC 3629.
 */
#include "policy/config/token.h"

#include "policy/vocabulary/utf8.h"

void token_source_init(struct token_source *t, struct span text,
                       const char *file, struct faults *faults)
{
    const struct span mark = SPAN("\xef\xbb\xbf");

    if (span_is(span_first(text, mark.len), mark))
        text = span_skip(text, mark.len);
    *t = (struct token_source){ .rest = text,
                                .place = { file, 1, 1 },
                                .faults = faults };
}

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Moves past n bytes of one line, or past one line end. */
static void advance(struct token_source *t, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (t->rest.at[i] == '\n') {
            t->place.line++;
            t->place.column = 1;
        } else if (!is_continuation(t->rest.at[i])) {
            t->place.column++;
        }
    }
    t->rest = span_skip(t->rest, n);
}

static bool is_line_end(struct span s, size_t at)
{
    return s.at[at] == '\n' ||
           (s.at[at] == '\r' && at + 1 < s.len && s.at[at + 1] == '\n');
}

static size_t line_length(struct span s)
{
    size_t n = 0;

    while (n < s.len && !is_line_end(s, n))
        n++;
    return n;
}

static void skip_blank(struct token_source *t)
{
    while (t->rest.len) {
        char c = t->rest.at[0];

        if (c == '#')
            advance(t, line_length(t->rest));
        else if (c == ' ' || c == '\t' || c == '\n' || is_line_end(t->rest, 0))
            advance(t, 1);
        else
            return;
    }
}

/* No value may carry what could end a line somewhere else. */
static void check_bytes(struct token_source *t, const struct token *token)
{
    for (size_t i = 0; i < token->text.len; i++) {
        unsigned char c = (unsigned char)token->text.at[i];

        if (c < 0x20 || c == 0x7f) {
            faults_add(t->faults, token->place,
                       "control character 0x%02X in %s", c,
                       faults_quote(t->faults, token->text));
            return;
        }
    }
    if (!utf8_is_valid(token->text))
        faults_add(t->faults, token->place, "%s is not UTF-8",
                   faults_quote(t->faults, token->text));
}

static struct token take_string(struct token_source *t)
{
    struct token token = { TOKEN_STRING, .place = t->place };
    char quote = t->rest.at[0];
    struct span line = span_first(t->rest, line_length(t->rest));
    size_t n = span_find(span_skip(line, 1), quote);

    token.text = span_first(span_skip(line, 1), n);
    if (n + 1 == line.len)
        faults_add(t->faults, t->place, "this quote is not closed on its line");
    else if (quote == '"' && span_find(token.text, '\\') < token.text.len)
        faults_add(t->faults, t->place,
                   "a backslash inside \"...\": write '...', where it is "
                   "taken as it is");
    advance(t, n + 2 < line.len ? n + 2 : line.len);
    check_bytes(t, &token);
    return token;
}

static bool ends_word(char c)
{
    return c == ' ' || c == '\t' || c == '\n' ||
           (c != '\0' && strchr("{}=,\"'", c));
}

static struct token take_word(struct token_source *t)
{
    struct token token = { TOKEN_WORD, .place = t->place };
    size_t n = 0;

    while (n < t->rest.len && !ends_word(t->rest.at[n]) &&
           !is_line_end(t->rest, n))
        n++;
    token.text = span_first(t->rest, n);
    if (span_find(token.text, '#') < n)
        faults_add(t->faults, t->place,
                   "# inside a bare word: quote %s, or put a space before #",
                   faults_quote(t->faults, token.text));
    advance(t, n);
    check_bytes(t, &token);
    return token;
}

struct token token_next(struct token_source *t)
{
    static const char marks[] = "{}=,";
    static const enum token_kind kinds[] = { TOKEN_OPEN, TOKEN_CLOSE, TOKEN_IS,
                                             TOKEN_COMMA };
    struct token token;
    const char *mark;

    skip_blank(t);
    token = (struct token){ TOKEN_END, span_first(t->rest, 0), t->place };
    if (t->rest.len == 0)
        return token;
    if (t->rest.at[0] == '"' || t->rest.at[0] == '\'')
        return take_string(t);
    mark = t->rest.at[0] ? strchr(marks, t->rest.at[0]) : NULL;
    if (!mark)
        return take_word(t);
    token.kind = kinds[mark - marks];
    token.text = span_first(t->rest, 1);
    advance(t, 1);
    return token;
}
