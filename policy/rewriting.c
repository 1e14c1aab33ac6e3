/*
 * rewriting - another address in place of this one.
 *
 *   put(address, member)
 *       no member left        -> one of the answers
 *       expression matches    -> put(its form, next)
 *       table has it          -> put(each value, the same member)
 *       srs makes one of it   -> put(that, next)
 *       none of these         -> put(address, next)
 *
 * The path that led from one key of a table to another is kept: what stands in
 * it is not looked up again, so a circle ends. Paths may meet again and again
 * all the same, so the steps are counted. Owns nothing.
 */
#include "policy/rewriting.h"

#include "policy/pattern.h"
#include "policy/table.h"

enum { STEPS_MOST = 5 * REWRITE_MOST };

struct member {
    enum { MEMBER_EXPRESSION, MEMBER_TABLE, MEMBER_SRS } kind;
    const struct expression *expression;
    struct span form;
    struct table *table;
};

struct rewriting {
    bool of_sender, is_srs;
    size_t count;
    struct member members[REWRITE_MEMBERS];
};

struct rewriting *rewriting_new(struct arena *a, bool of_sender)
{
    struct rewriting *w = arena_take(a, sizeof *w);

    w->of_sender = of_sender;
    return w;
}

bool rewriting_is_of_sender(const struct rewriting *w)
{
    return w->of_sender;
}

bool rewriting_is_srs(const struct rewriting *w)
{
    return w->is_srs;
}

struct table *rewriting_next_table(const struct rewriting *w, size_t *at)
{
    while (*at < w->count)
        if (w->members[(*at)++].kind == MEMBER_TABLE)
            return w->members[*at - 1].table;
    return NULL;
}

/* --- reading ---------------------------------------------------------------
 */

/* Where the groups stand in it: what is not "$" is put as it is. NULL groups:
 * each is "x". False: a $ that stands for nothing. */
static bool put_form(struct buffer *b, struct span form, unsigned group_count,
                     const struct span *groups)
{
    while (form.len) {
        size_t n = span_find(form, '$');
        char digit;

        buffer_put(b, span_first(form, n));
        form = span_skip(form, n);
        if (form.len == 0)
            break;
        digit = form.len > 1 ? form.at[1] : '\0';
        if (digit == '$')
            buffer_put_byte(b, '$');
        else if (digit < '1' || digit > '9' ||
                 (unsigned)(digit - '0') > group_count)
            return false;
        else
            buffer_put(b, groups ? groups[digit - '0'] : SPAN("x"));
        form = span_skip(form, 2);
    }
    return true;
}

/* With a group that holds all of an address it may be one all the same. */
static bool is_form(struct span form, unsigned group_count,
                    struct buffer *out_why)
{
    struct buffer b = { 0 };
    struct address ignored;
    bool ok = put_form(&b, form, group_count, NULL);

    if (!ok)
        buffer_printf(out_why,
                      "has a $ that stands for nothing: its expression has %u "
                      "group%s, $1 to $9 are what they matched, and $$ is a $",
                      group_count, group_count == 1 ? "" : "s");
    else if (span_find(form, '@') < form.len ||
             span_find(form, '$') == form.len)
        ok = address_parse(buffer_span(&b), &ignored) == ADDRESS_OK;
    if (!ok && out_why->len == 0)
        buffer_put_string(out_why, "makes no address of what matches");
    buffer_fini(&b);
    return ok;
}

/* '/expression/ form' */
static bool add_expression(struct rewriting *w, struct arena *a,
                           struct span text, struct buffer *out_why)
{
    size_t space = span_find_last(text, ' ');
    struct span form = span_skip(text, space + 1),
                expression = span_trim(span_first(text, space));
    struct member *m = &w->members[w->count];

    if (expression.len < 3 || expression.at[0] != '/' ||
        expression.at[expression.len - 1] != '/' || form.len == 0) {
        buffer_put_string(out_why,
                          "is not an expression and what it becomes, such as "
                          "'/^(.+)\\+.*@example\\.org$/ $1@example.org', "
                          "\"table:FILE\" or \"srs\"");
        return false;
    }
    m->kind = MEMBER_EXPRESSION;
    m->expression = expression_parse(
        a, span_make(expression.at + 1, expression.len - 2), out_why);
    if (!m->expression ||
        !is_form(form, expression_group_count(m->expression), out_why))
        return false;
    m->form = arena_copy(a, form);
    return true;
}

static bool has_room(const struct rewriting *w, struct buffer *out_why)
{
    if (w->count < REWRITE_MEMBERS)
        return true;
    buffer_printf(out_why, "is one too many: a rule has at most %d of them",
                  REWRITE_MEMBERS);
    return false;
}

bool rewriting_add(struct rewriting *w, struct arena *a, struct span text,
                   struct buffer *out_why)
{
    if (!has_room(w, out_why))
        return false;
    if (span_is(text, SPAN("srs"))) {
        w->members[w->count].kind = MEMBER_SRS;
        w->is_srs = true;
    } else if (!add_expression(w, a, text, out_why)) {
        return false;
    }
    w->count++;
    return true;
}

bool rewriting_add_table(struct rewriting *w, struct table *t,
                         struct buffer *out_why)
{
    if (!has_room(w, out_why))
        return false;
    w->members[w->count++] =
        (struct member){ .kind = MEMBER_TABLE, .table = t };
    return true;
}

/* --- rewriting -------------------------------------------------------------
 */

struct walk {
    const struct rewriting *rewriting;
    struct span ours;
    const struct srs_secrets *secrets;
    int64_t now_ms;
    struct arena *arena;
    struct span *all;
    size_t count, steps;
    /* keys that led here, of the table being asked from `base` on */
    struct span path[REWRITE_DEPTH];
    size_t depth, base;
};

/* REWRITTEN: went well; the others of enum rewritten are why it did not. */
static enum rewritten put(struct walk *k, struct span text, size_t member);

/* Of members that changed nothing, or were passed. */
static enum rewritten put_next(struct walk *k, struct span text, size_t member)
{
    size_t base = k->base;
    enum rewritten rc;

    k->base = k->depth;
    rc = put(k, text, member + 1);
    k->base = base;
    return rc;
}

static bool is_among(const struct span *all, size_t count, struct span text)
{
    for (size_t i = 0; i < count; i++)
        if (span_is_nocase(all[i], text))
            return true;
    return false;
}

static enum rewritten put_answer(struct walk *k, struct span text)
{
    if (is_among(k->all, k->count, text))
        return REWRITTEN;
    if (k->count == REWRITE_MOST)
        return REWRITTEN_UNKNOWN;
    if (k->count == 0)
        k->all = arena_take(k->arena, REWRITE_MOST * sizeof *k->all);
    k->all[k->count++] = text;
    return REWRITTEN;
}

/* What an expression sees: the local part as written, without quotes that make
 * no difference, and the folded domain. */
static struct span shown(struct walk *k, const struct address *a)
{
    struct buffer b = { 0 }, domain = { 0 };
    struct address plain;
    struct span text = a->text;

    if (a->local.len > 2 && a->local.at[0] == '"') {
        buffer_put(&b, span_make(a->local.at + 1, a->local.len - 2));
        buffer_put_byte(&b, '@');
        buffer_put(&b, a->domain);
        if (address_parse(buffer_span(&b), &plain) == ADDRESS_OK)
            text = arena_copy(k->arena, buffer_span(&b));
        buffer_clear(&b);
    }
    if (a->domain.len && domain_fold(a->domain, &domain) == 0) {
        buffer_put(&b, span_first(text, text.len - a->domain.len));
        buffer_put(&b, buffer_span(&domain));
        text = arena_copy(k->arena, buffer_span(&b));
    }
    buffer_fini(&b);
    buffer_fini(&domain);
    return text;
}

static enum rewritten put_expression(struct walk *k, const struct member *m,
                                     const struct address *a, size_t member)
{
    struct span groups[EXPRESSION_GROUPS];
    struct buffer b = { 0 };
    struct span text;

    switch (expression_find(m->expression, shown(k, a), groups)) {
    case ANSWER_UNKNOWN:
        return REWRITTEN_UNKNOWN;
    case ANSWER_NO:
        return put_next(k, a->text, member);
    case ANSWER_YES:
        break;
    }
    ASSERT(put_form(&b, m->form, EXPRESSION_GROUPS, groups));
    text = arena_copy(k->arena, buffer_span(&b));
    buffer_fini(&b);
    return put_next(k, text, member);
}

/* @other.example keeps the local part. */
static struct span target(struct walk *k, const struct address *a,
                          struct span value)
{
    struct buffer b = { 0 };
    struct span text;

    if (value.len == 0 || value.at[0] != '@')
        return value;
    buffer_put(&b, a->local);
    buffer_put(&b, value);
    text = arena_copy(k->arena, buffer_span(&b));
    buffer_fini(&b);
    return text;
}

static enum rewritten put_table(struct walk *k, const struct member *m,
                                const struct address *a, size_t member)
{
    struct subject subject;
    struct span values = SPAN("");
    enum answer answer;
    enum rewritten rc = REWRITTEN;

    if (is_among(k->path + k->base, k->depth - k->base, a->text))
        return put_next(k, a->text, member);
    subject_of_address(&subject, a);
    answer = table_has_subject(m->table, &subject, &values);
    if (answer == ANSWER_NO)
        return put_next(k, a->text, member);
    if (answer == ANSWER_UNKNOWN || k->depth == REWRITE_DEPTH)
        return REWRITTEN_UNKNOWN;
    k->path[k->depth++] = a->text;
    do
        rc = put(k, target(k, a, span_trim(span_split(values, ',', &values))),
                 member);
    while (rc == REWRITTEN && values.at);
    k->depth--;
    return rc;
}

static enum rewritten put_srs(struct walk *k, const struct address *a,
                              size_t member)
{
    bool of_sender = k->rewriting->of_sender;
    struct buffer b = { 0 };
    struct span text = a->text;
    enum srs_answer answer;

    if (!k->secrets)
        return REWRITTEN_UNKNOWN;
    answer = (of_sender ? srs_forward : srs_back)(k->secrets, k->ours, a,
                                                  k->now_ms, &b);
    if (answer == SRS_CHANGED)
        text = arena_copy(k->arena, buffer_span(&b));
    buffer_fini(&b);
    return answer == SRS_REFUSED ? REWRITTEN_REFUSED
                                 : put_next(k, text, member);
}

static enum rewritten put(struct walk *k, struct span text, size_t member)
{
    const struct member *m = &k->rewriting->members[member];
    struct address a;

    if (++k->steps > STEPS_MOST || address_parse(text, &a) != ADDRESS_OK)
        return REWRITTEN_UNKNOWN;
    if (member == k->rewriting->count)
        return put_answer(k, text);
    if (m->kind == MEMBER_EXPRESSION)
        return put_expression(k, m, &a, member);
    if (m->kind == MEMBER_TABLE)
        return put_table(k, m, &a, member);
    return put_srs(k, &a, member);
}

enum rewritten rewriting_apply(const struct rewriting *w,
                               const struct settings *s,
                               const struct srs_secrets *secrets,
                               const struct address *a, int64_t now_ms,
                               struct arena *arena, struct span **out_all,
                               size_t *out_count)
{
    struct walk k = { .rewriting = w,
                      .ours = s->srs.domain,
                      .secrets = secrets,
                      .now_ms = now_ms,
                      .arena = arena };
    enum rewritten rc;

    /* the null sender, and "postmaster" alone, are nobody else's */
    if (a->domain.len == 0)
        return REWRITTEN_NOT;
    rc = put(&k, a->text, 0);
    if (rc != REWRITTEN)
        return rc;
    if (k.count == 1 && span_is(k.all[0], a->text))
        return REWRITTEN_NOT;
    if (k.count > 1 && w->of_sender)
        return REWRITTEN_UNKNOWN;
    *out_all = k.all;
    *out_count = k.count;
    return REWRITTEN;
}
