/*
 * tablebuild - a table, made of the bytes of its file.
 *
 *   lines -> entries, in the file's order -> networks into the tree, expressions into
 *   groups, the rest into the hash, where the first of equal ones stays
 *
 * Keys are folded where they stand; one that becomes another text is copied into the
 * table's arena.
 */
#include "policy/table_private.h"
#include "policy/tableline.h"
#include "policy/vocabulary/error.h"
#include "policy/vocabulary/memory.h"

/* PCRE2 compiles so many into one, and its bitmap of first characters stays narrow. */
enum { GROUP_MOST = 64, QUOTE_MOST = 80 };

/* Lines for people, and how many there would have been. */
struct told {
    struct buffer *out;
    size_t count;
};

struct builder {
    struct table *t;
    struct told faults, warnings, strays, unroutable;
    const char *line_at;
    uint32_t line;
    size_t room;       /* of entries */
    struct span value; /* of the line being read */
    struct buffer folded, why;
};

static unsigned column_of(const struct builder *b, const char *at)
{
    unsigned column = 1;

    for (const char *c = b->line_at; c < at; c++)
        column += ((unsigned char)*c & 0xc0) != 0x80;
    return column;
}

static void say(struct builder *b, struct told *told, const char *at,
                struct span quoted, const char *what)
{
    if (told->count++ >= TABLE_FAULTS)
        return;
    buffer_printf(told->out, "%u:%u: \"", b->line, column_of(b, at));
    buffer_put_escaped(told->out, span_first(quoted, QUOTE_MOST));
    buffer_printf(told->out, "%s\" %s\n", quoted.len > QUOTE_MOST ? "..." : "",
                  what);
}

static void say_how_many_more(const struct told *told, uint32_t line)
{
    if (told->count > TABLE_FAULTS)
        buffer_printf(told->out, "%u:1: and %zu lines more like these\n", line,
                      told->count - TABLE_FAULTS);
}

/* --- keys ----------------------------------------------------------------- */

static void add(struct builder *b, unsigned kind, struct span text)
{
    struct table *t = b->t;

    if (t->entry_count == b->room) {
        b->room = b->room ? b->room * 2 : 64;
        t->entries = memory_grow(t->entries, b->room * sizeof *t->entries);
    }
    t->entries[t->entry_count++] = (struct table_entry){
        .text = text.at,
        .value = b->value.at,
        .hash = kind == TABLE_HOST ? 0 : pattern_hash(text),
        .line = b->line,
        .text_len = (uint16_t)text.len,
        .value_len = (uint16_t)b->value.len,
        .kind = (uint8_t)kind,
    };
    t->kinds[kind]++;
}

/* These bytes, which are the table's, to be changed. */
static char *own(const struct builder *b, struct span s)
{
    return b->t->bytes + (s.at - b->t->bytes);
}

/* ASCII only, where it stands. */
static void lower(const struct builder *b, struct span s)
{
    char *at = own(b, s);

    for (size_t i = 0; i < s.len; i++)
        at[i] = ascii_lower(at[i]);
}

/* The key is asked about in this form; as a text (a login) it stays as it is. */
static void add_folded(struct builder *b, unsigned kind, struct span key,
                       struct span folded)
{
    lower(b, key);
    if (span_is(key, folded)) {
        add(b, kind, key);
        return;
    }
    add(b, kind, arena_copy(&b->t->arena, folded));
    add(b, TABLE_TEXT, key);
}

static void add_stray(struct builder *b, struct span key, const char *why)
{
    say(b, &b->strays, key.at, key, why);
    say(b, &b->unroutable, key.at, key, why);
    lower(b, key);
    add(b, TABLE_TEXT, key);
}

static void read_expression(struct builder *b, struct span key)
{
    struct span inner = span_make(key.at + 1, key.len - 2);
    struct arena trial = { 0 };

    /* it is compiled for good with its neighbours */
    buffer_clear(&b->why);
    if (expression_parse(&trial, inner, &b->why)) {
        say(b, &b->unroutable, key.at, key,
            "is not what a route can be found by: a domain, *.domain, an "
            "address, or *");
        add(b, PATTERN_EXPRESSION, inner);
    } else {
        say(b, &b->faults, key.at, key, buffer_string(&b->why));
    }
    arena_reset(&trial);
}

static void read_address(struct builder *b, struct span key)
{
    struct address address;
    struct subject s;

    if (address_parse(key, &address) == ADDRESS_OK) {
        subject_of_address(&s, &address);
        subject_fold(&s);
        if (s.domain.len) {
            add_folded(b, PATTERN_ADDRESS, key, s.mailbox);
            return;
        }
    }
    add_stray(b, key, "is not an address");
}

/* Digits behind the last dot: no domain ends so, a slip of an address does. */
static bool is_like_host(struct span key)
{
    size_t dot = span_find_last(key, '.'), n = dot + 1;

    if (dot == key.len || n == key.len)
        return false;
    while (n < key.len && key.at[n] >= '0' && key.at[n] <= '9')
        n++;
    return n == key.len;
}

static void read_domain(struct builder *b, struct span key)
{
    bool is_below = span_starts_nocase(key, SPAN("*."));
    struct span domain = span_skip(key, is_below ? 2 : key.at[0] == '@');

    buffer_clear(&b->folded);
    if (span_find(key, '/') < key.len || span_find(key, ':') < key.len ||
        is_like_host(key))
        add_stray(b, key,
                  "is not a network such as 10.0.0.0/8, 192.0.2.1 or "
                  "2001:db8::/32 (no bits set below its length)");
    else if (domain_fold(domain, &b->folded) < 0)
        add_stray(b, key,
                  key.at[0] == '.' ? "is not a domain; *.domain is what is "
                                     "below one"
                                   : "is not a domain, *.domain, address, "
                                     "network, *, <> or /expression/");
    else if (!is_below)
        add_folded(b, PATTERN_DOMAIN, key, buffer_span(&b->folded));
    else if (lower(b, domain), span_is(domain, buffer_span(&b->folded)))
        add(b, PATTERN_BELOW, domain);
    else
        add(b, PATTERN_BELOW,
            arena_copy(&b->t->arena, buffer_span(&b->folded)));
}

static void read_key(struct builder *b, struct span key)
{
    struct network ignored;

    if (key.len > 2 && key.at[0] == '/' && key.at[key.len - 1] == '/') {
        read_expression(b, key);
    } else if (span_is(key, SPAN("*"))) {
        add(b, PATTERN_ANY, key);
    } else if (span_is(key, SPAN("<>"))) {
        say(b, &b->unroutable, key.at, key,
            "is not what a route can be found by: a domain, *.domain, an "
            "address, or *");
        add(b, PATTERN_NULL, key);
    } else if (span_find(key, '@') > 0 && span_find(key, '@') < key.len) {
        read_address(b, key);
    } else if (network_parse(key, &ignored)) {
        add(b, TABLE_HOST, key);
    } else {
        read_domain(b, key);
    }
}

static void read_line(struct builder *b, char *at, size_t len)
{
    struct tableline line = tableline_read(at, len);

    if (line.fault) {
        say(b, &b->faults, at + line.fault_at, span_make(at, len), line.fault);
        return;
    }
    if (!line.key.at)
        return;
    b->value = line.value;
    b->t->size++;
    read_key(b, line.key);
}

static void read_lines(struct builder *b, struct span text)
{
    if (span_starts_nocase(text, SPAN("\xef\xbb\xbf")))
        text = span_skip(text, 3);
    while (text.len) {
        struct span line = span_split(text, '\n', &text);

        b->line++;
        b->line_at = line.at;
        read_line(b, own(b, line), line.len);
    }
}

/* --- indexes --------------------------------------------------------------- */

/* Where this entry's key began is not known any more: the first column. */
static void say_twice(struct builder *b, const struct table_entry *first,
                      const struct table_entry *again)
{
    b->line = again->line;
    b->line_at = again->text;
    buffer_clear(&b->why);
    buffer_printf(&b->why,
                  "stands a second time, first on line %u, which holds",
                  first->line);
    say(b, &b->warnings, again->text, table_entry_text(again),
        buffer_string(&b->why));
    b->t->size--;
}

static void on_twin(void *user, uint32_t kept, uint32_t dropped)
{
    struct builder *b = user;

    say_twice(b, &b->t->entries[kept], &b->t->entries[dropped]);
}

static void build_hosts(struct builder *b)
{
    struct table *t = b->t;
    size_t count = t->kinds[TABLE_HOST], n = 0;
    struct hosttree_node *nodes;
    struct network network;

    if (count == 0)
        return;
    nodes = arena_take(&t->arena, count * sizeof *nodes);
    for (uint32_t i = 0; i < t->entry_count; i++)
        if (t->entries[i].kind == TABLE_HOST &&
            network_parse(table_entry_text(&t->entries[i]), &network))
            nodes[n++] = hosttree_node(&network, i);
    hosttree_init(&t->hosts, nodes, n, on_twin, b);
}

static void build_hash(struct builder *b)
{
    struct table *t = b->t;
    size_t count = t->entry_count - t->kinds[TABLE_HOST];

    for (t->slot_bits = 4; ((size_t)1 << t->slot_bits) < count * 2;)
        t->slot_bits++;
    t->slots = memory_zero((size_t)1 << t->slot_bits, sizeof *t->slots);
    for (uint32_t i = 0; i < t->entry_count; i++) {
        struct table_entry *e = &t->entries[i];
        uint32_t *slot;

        if (e->kind == TABLE_HOST)
            continue;
        slot = table_slot(t, e->kind, e->hash, table_entry_text(e));
        if (*slot == 0)
            *slot = i + 1;
        /* a line's second form is no line */
        else if (e->kind != TABLE_TEXT || i == 0 || e[-1].line != e->line)
            say_twice(b, &t->entries[*slot - 1], e);
    }
}

/* May it stand beside others between bars? Not what counts groups, names them or steers
 * the whole. */
static bool is_plain(struct span x)
{
    for (size_t i = 0; i + 1 < x.len; i++) {
        char next = x.at[i + 1];

        if (x.at[i] == '\\') {
            if ((next >= '0' && next <= '9') || is_one_of(next, "gkKQEG"))
                return false;
            i++;
        } else if (x.at[i] == '(' &&
                   (next == '*' ||
                    (next == '?' &&
                     (i + 2 == x.len || !is_one_of(x.at[i + 2], ":=!"))))) {
            return false;
        }
    }
    return true;
}

/* Compiles what is gathered of a group; `all` is its members between bars. */
static void close_group(struct builder *b, struct table_group *g,
                        struct buffer *all)
{
    buffer_clear(&b->why);
    /* one alone is its own group; what is too large for PCRE2 is tried one by one */
    if (g && g->first->next && all->len)
        g->all = expression_parse(&b->t->arena, buffer_span(all), &b->why);
    buffer_clear(all);
}

static void build_groups(struct builder *b)
{
    struct table *t = b->t;
    struct table_group *g = NULL, **end = &t->groups;
    struct table_expression **last = NULL;
    struct buffer all = { 0 };
    bool is_joint = false; /* the group may take another one */
    size_t members = 0;

    for (uint32_t i = 0; t->kinds[PATTERN_EXPRESSION] && i < t->entry_count;
         i++) {
        struct span text = table_entry_text(&t->entries[i]);
        struct table_expression *x;

        if (t->entries[i].kind != PATTERN_EXPRESSION)
            continue;
        if (!is_joint || !is_plain(text) || members == GROUP_MOST) {
            close_group(b, g, &all);
            g = *end = arena_take(&t->arena, sizeof *g);
            end = &g->next;
            last = &g->first;
            is_joint = is_plain(text);
            members = 0;
        }
        x = *last = arena_take(&t->arena, sizeof *x);
        last = &x->next;
        x->entry = i;
        x->one = expression_parse(&t->arena, text, &b->why);
        ASSERT(x->one); /* it was compiled before */
        buffer_printf(&all, "%s(?:", members++ ? "|" : "");
        buffer_put(&all, text);
        buffer_put_byte(&all, ')');
    }
    close_group(b, g, &all);
    buffer_fini(&all);
}

/* What was gathered while reading has grown by halves and doubles. */
static void shrink(struct table *t)
{
    if (t->entry_count)
        t->entries =
            memory_grow(t->entries, t->entry_count * sizeof *t->entries);
}

struct table *table_new(struct span name, struct buffer *take_lines,
                        struct buffer *out_faults, struct buffer *out_warnings)
{
    struct table *t = NEW(struct table);
    struct builder b = { .t = t,
                         .faults = { out_faults },
                         .warnings = { out_warnings },
                         .strays = { &t->strays },
                         .unroutable = { &t->unroutable } };

    atomic_init(&t->holders, 1);
    t->name = arena_copy(&t->arena, name);
    t->bytes = take_lines->at;
    read_lines(&b, buffer_span(take_lines));
    *take_lines = (struct buffer){ 0 };
    shrink(t);
    say_how_many_more(&b.faults, b.line);
    say_how_many_more(&b.strays, b.line);
    say_how_many_more(&b.unroutable, b.line);
    build_hosts(&b);
    build_hash(&b);
    build_groups(&b);
    if (t->size == 0 && b.faults.count == 0)
        buffer_put_string(out_warnings, "1:1: the table is empty\n");
    say_how_many_more(&b.warnings, b.line);
    buffer_fini(&b.folded);
    buffer_fini(&b.why);
    return t;
}
