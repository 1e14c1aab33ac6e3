/*
 * addresslist - the addresses of a header field, one by one.
 *
 *   list    = [ element ] *( ( "," / ";" ) [ element ] )
 *   element = [ group-name ":" ] ( word / spec / phrase "<" spec ">" )
 *   spec    = word "@" ( word / literal )
 *
 * A word is a run of atoms, dots and quoted strings with nothing between them.
 */
#include "relay/inbound/addresslist.h"

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_SPECIAL, TOKEN_FAULT };

struct token {
    enum token_kind kind;
    struct span text;
    bool is_glued; /* nothing between it and the one before */
};

/* What is known of the element at hand. */
struct element {
    unsigned words; /* that no "@" holds together */
    bool has_at, in_angle, had_angle, is_empty;
    bool was_at; /* the latest token is an "@" */
    size_t end;  /* of the latest word */
};

void addresslist_init(struct addresslist *l, struct span value)
{
    *l = (struct addresslist){ .value = value };
}

void addresslist_fini(struct addresslist *l)
{
    buffer_fini(&l->spec);
    buffer_fini(&l->phrase);
}

static bool is_white(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_atom_byte(char c)
{
    return (c > 32 || c < 0) && c != 127 && !is_one_of(c, "()<>[]:;@\\,\"");
}

/* Length of what begins with `open` and ends with `close`, or 0. Comments nest;
 * quoted strings and literals do not. */
static size_t enclosed(struct span s, char open, char close)
{
    size_t depth = 1;

    for (size_t i = 1; i < s.len; i++) {
        if (s.at[i] == '\\')
            i++;
        else if (s.at[i] == close && --depth == 0)
            return i + 1;
        else if (s.at[i] == open && open != close)
            depth++;
    }
    return 0;
}

/* Moves past white space and comments; false: a comment does not end. */
static bool skip_between(struct addresslist *l)
{
    for (;;) {
        struct span rest = span_skip(l->value, l->at);
        size_t n = 1;

        if (rest.len == 0 || (!is_white(rest.at[0]) && rest.at[0] != '('))
            return true;
        if (rest.at[0] == '(' && (n = enclosed(rest, '(', ')')) == 0)
            return false;
        l->at += n;
    }
}

static struct token take_token(struct addresslist *l)
{
    size_t before = l->at, n = 0;
    struct token t = { TOKEN_FAULT };
    struct span rest;

    if (!skip_between(l))
        return t;
    rest = span_skip(l->value, l->at);
    t.is_glued = before == l->at && before > 0;
    t.kind = TOKEN_WORD;
    if (rest.len == 0) {
        t.kind = TOKEN_END;
        return t;
    }
    if (rest.at[0] == '"') {
        n = enclosed(rest, '"', '"');
    } else if (rest.at[0] == '[') {
        n = enclosed(rest, '[', ']');
    } else if (is_one_of(rest.at[0], "<>:;@,")) {
        t.kind = TOKEN_SPECIAL;
        n = 1;
    } else {
        while (n < rest.len && is_atom_byte(rest.at[n]))
            n++;
    }
    if (n == 0)
        t.kind = TOKEN_FAULT;
    t.text = span_first(rest, n);
    l->at += n;
    return t;
}

static void begin(struct addresslist *l, struct element *e)
{
    buffer_clear(&l->spec);
    buffer_clear(&l->phrase);
    *e = (struct element){ .is_empty = true };
}

static bool add_word(struct addresslist *l, struct element *e,
                     const struct token *t, bool is_glued)
{
    if (e->had_angle)
        return false; /* what stands behind ">" is no address of ours */
    e->words += !is_glued && !e->was_at;
    e->end = l->at;
    buffer_put(&l->spec, t->text);
    return true;
}

/* "<", ">", "@", and what a source route holds. */
static bool add_special(struct addresslist *l, struct element *e, char c)
{
    if (c == '<' && !e->in_angle && !e->had_angle) {
        struct buffer phrase = l->spec;
        bool is_address = e->has_at;

        l->spec = l->phrase;
        l->phrase = (struct buffer){ 0 };
        begin(l, e);
        if (is_address)
            l->phrase = phrase;
        else
            buffer_fini(&phrase);
        e->in_angle = true;
    } else if (c == '>' && e->in_angle) {
        e->in_angle = false;
        e->had_angle = true;
    } else if (c == '@' && !e->had_angle) {
        e->has_at = true;
        buffer_put_byte(&l->spec, c);
    } else if ((c == ',' || c == ':') && e->in_angle && e->has_at) {
        buffer_put_byte(&l->spec, c); /* of a source route */
    } else {
        return false;
    }
    return true;
}

static bool is_encoded_word(struct span s)
{
    return span_starts_nocase(s, SPAN("=?")) && span_ends_nocase(s, SPAN("?="));
}

static void yield(struct addresslist *l, const struct element *e,
                  struct listed *out)
{
    struct span spec = buffer_span(&l->spec);

    l->is_odd |=
        l->phrase.len && !span_is_nocase(buffer_span(&l->phrase), spec);
    *out = (struct listed){ .end = e->end };
    if (e->words != 1)
        return;
    out->spec = spec;
    out->is_bare = !e->has_at && !is_encoded_word(spec) && spec.at[0] != '[';
}

/* "," and ";" end an element, ":" a group's name, but within brackets. */
static bool is_separator(const struct element *e, const struct token *t)
{
    return t->kind == TOKEN_SPECIAL && !e->in_angle &&
           is_one_of(t->text.at[0], ",;:");
}

bool addresslist_next(struct addresslist *l, struct listed *out_listed)
{
    struct element e;
    bool was_word = false;

    begin(l, &e);
    while (!l->is_broken) {
        struct token t = take_token(l);
        bool is_end = t.kind == TOKEN_END;

        if (is_end ? !e.in_angle : is_separator(&e, &t)) {
            if (!e.is_empty && (is_end || t.text.at[0] != ':')) {
                yield(l, &e, out_listed);
                return true;
            }
            if (is_end)
                return false;
            l->is_odd |= e.has_at || e.had_angle;
            begin(l, &e);
            was_word = false;
            continue;
        }
        if (t.kind == TOKEN_WORD)
            l->is_broken = !add_word(l, &e, &t, was_word && t.is_glued);
        else
            l->is_broken =
                t.kind != TOKEN_SPECIAL || !add_special(l, &e, t.text.at[0]);
        was_word = t.kind == TOKEN_WORD;
        e.was_at = t.kind == TOKEN_SPECIAL && t.text.at[0] == '@';
        e.is_empty = false;
    }
    return false;
}
