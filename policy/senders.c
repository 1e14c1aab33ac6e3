/*
 * senders - who may send as whom?
 *
 * Two sets of texts, each one hash table: what is listed for anybody ("a@b",
 * "@b"), and what each login owns ("login\na@b", "login\n@b", "login\n*"). A
 * question is at most six look-ups, however long the table is.
 *
 * Everything is the arena's. The tables are sized once: there are no more
 * entries than lines and commas.
 */
#include "policy/senders.h"

#include "policy/pattern.h"
#include "policy/vocabulary/error.h"
#include "policy/vocabulary/limits.h"
#include "policy/vocabulary/utf8.h"

/* A set of texts; open addressing, at most half full. */
struct set {
    struct span *slots; /* at == NULL: free */
    size_t mask;
};

struct senders {
    struct set listed, owned;
};

/* --- sets ------------------------------------------------------------------
 */

static uint64_t hash_of(struct span s)
{
    uint64_t hash = 14695981039346656037u;

    for (size_t i = 0; i < s.len; i++)
        hash = (hash ^ (unsigned char)s.at[i]) * 1099511628211u;
    return hash ^ hash >> 32;
}

static void set_init(struct set *set, struct arena *a, size_t most)
{
    size_t size = 4;

    while (size < most * 2)
        size *= 2;
    set->slots = arena_take(a, size * sizeof *set->slots);
    set->mask = size - 1;
}

/* Where it is, or would be. */
static struct span *set_slot(const struct set *set, struct span text)
{
    size_t i = (size_t)hash_of(text) & set->mask;

    while (set->slots[i].at && !span_is(set->slots[i], text))
        i = (i + 1) & set->mask;
    return &set->slots[i];
}

static void set_add(struct set *set, struct arena *a, struct span text)
{
    struct span *slot = set_slot(set, text);

    if (!slot->at)
        *slot = arena_copy(a, text);
}

/* --- texts -----------------------------------------------------------------
 */

/* "login\nADDRESS", built in place: the login once, then one address after the
 * other. */
struct text {
    char at[LIMIT_LOGIN + 1 + LIMIT_LOCAL_PART + 1 + LIMIT_DOMAIN + 1];
    size_t login_len; /* with the line end */
};

static bool text_begin(struct text *t, struct span login)
{
    if (login.len > LIMIT_LOGIN)
        return false;
    for (size_t i = 0; i < login.len; i++)
        t->at[i] = ascii_lower(login.at[i]);
    t->at[login.len] = '\n';
    t->login_len = login.len + 1;
    return true;
}

static struct span text_with(struct text *t, const char *mark,
                             struct span address)
{
    size_t n = t->login_len + strlen(mark);

    ASSERT(n + address.len <= sizeof t->at);
    memcpy(t->at + t->login_len, mark, n - t->login_len);
    memcpy(t->at + n, address.at ? address.at : "", address.len);
    return span_make(t->at, n + address.len);
}

static struct span text_without_login(const struct text *t, struct span whole)
{
    return span_skip(whole, t->login_len);
}

/* --- reading ---------------------------------------------------------------
 */

struct reader {
    struct arena *arena;
    struct senders *senders;
    struct buffer *faults;
    const char *line_at; /* where the line begins, for columns */
    unsigned line;
    bool is_faulty;
};

static void add_fault(struct reader *r, struct span where, const char *what)
{
    size_t column = 1;

    for (const char *c = r->line_at; c < where.at; c++)
        column += ((unsigned char)*c & 0xc0) != 0x80;
    buffer_printf(r->faults, "%u:%zu: \"", r->line, column);
    buffer_put_escaped(r->faults, span_first(where, LIMIT_PATH));
    buffer_printf(r->faults, "\" %s\n", what);
    r->is_faulty = true;
}

static void add(struct reader *r, struct text *t, const char *mark,
                struct span address)
{
    struct span whole = text_with(t, mark, address);

    set_add(&r->senders->owned, r->arena, whole);
    set_add(&r->senders->listed, r->arena, text_without_login(t, whole));
}

/* Is it an address? Then it is the login's. */
static bool add_mailbox(struct reader *r, struct text *t, struct span word)
{
    struct address address;
    struct subject subject;

    if (address_parse(word, &address) != ADDRESS_OK)
        return false;
    subject_of_address(&subject, &address);
    subject_fold(&subject);
    if (subject.domain.len == 0)
        return false;
    add(r, t, "", subject.mailbox);
    return true;
}

static void read_address(struct reader *r, struct text *t, struct span word)
{
    struct buffer folded = { 0 };

    if (span_is(word, SPAN("*")))
        set_add(&r->senders->owned, r->arena, text_with(t, "*", SPAN("")));
    else if (word.at[0] == '@' && domain_fold(span_skip(word, 1), &folded) == 0)
        add(r, t, "@", buffer_span(&folded));
    else if (!add_mailbox(r, t, word))
        add_fault(r, word,
                  span_find(word, '@') == word.len
                      ? "is not an address: a@b, @domain or *"
                      : "is not a well-formed address: a@b, @domain or *");
    buffer_fini(&folded);
}

/* The next word; spaces and commas stand between. */
static struct span next_word(struct span *line)
{
    size_t n = 0;
    struct span word;

    while (line->len && strchr(" \t,", line->at[0]) && line->at[0])
        *line = span_skip(*line, 1);
    while (n < line->len && !(strchr(" \t,", line->at[n]) && line->at[n]))
        n++;
    word = span_first(*line, n);
    *line = span_skip(*line, n);
    return word;
}

static void read_line(struct reader *r, struct span line)
{
    struct span login = next_word(&line), word;
    struct text text;
    size_t count = 0;

    if (login.len == 0 || login.at[0] == '#')
        return;
    if (!utf8_is_valid(login) || !text_begin(&text, login)) {
        add_fault(r, login, "is not a login");
        return;
    }
    (void)add_mailbox(r, &text, login);
    for (;; count++) {
        word = next_word(&line);
        if (word.len == 0 || word.at[0] == '#')
            break;
        read_address(r, &text, word);
    }
    if (count == 0)
        add_fault(r, login, "has no address after it");
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == ',' || c == '\n' || c == '\r';
}

/* No line has more entries than words. */
static size_t count_words(struct span s)
{
    size_t count = 0;

    for (size_t i = 0; i < s.len; i++)
        count += !is_blank(s.at[i]) && (i == 0 || is_blank(s.at[i - 1]));
    return count;
}

struct senders *senders_read(struct arena *a, struct span text,
                             struct buffer *out_faults)
{
    struct senders *s = arena_take(a, sizeof *s);
    struct reader r = { .arena = a, .senders = s, .faults = out_faults };
    size_t words = count_words(text);

    set_init(&s->listed, a, words);
    set_init(&s->owned, a, words);
    while (text.len) {
        struct span line = span_split(text, '\n', &text);

        if (line.len && line.at[line.len - 1] == '\r')
            line.len--;
        r.line++;
        r.line_at = line.at;
        read_line(&r, line);
    }
    return r.is_faulty ? NULL : s;
}

/* --- asking ----------------------------------------------------------------
 */

static bool has(const struct set *set, struct span text)
{
    return set_slot(set, text)->at;
}

/* Is the login that address itself? */
static bool is_own_name(struct span login, const struct subject *asked)
{
    struct address address;
    struct subject subject;

    if (address_parse(login, &address) != ADDRESS_OK)
        return false;
    subject_of_address(&subject, &address);
    subject_fold(&subject);
    return subject.domain.len && span_is(subject.mailbox, asked->mailbox);
}

bool senders_allow(const struct senders *s, struct span login,
                   const struct address *address)
{
    struct subject subject;
    struct span mailbox, domain;
    struct text t;

    if (!s || address->text.len == 0)
        return true;
    subject_of_address(&subject, address);
    subject_fold(&subject);
    if (!text_begin(&t, login))
        return false;
    mailbox = text_with(&t, "", subject.mailbox);
    if (login.len == 0) {
        if (has(&s->listed, text_without_login(&t, mailbox)))
            return false;
        domain = text_with(&t, "@", subject.domain);
        return !has(&s->listed, text_without_login(&t, domain));
    }
    return has(&s->owned, mailbox) ||
           has(&s->owned, text_with(&t, "@", subject.domain)) ||
           has(&s->owned, text_with(&t, "*", SPAN(""))) ||
           is_own_name(login, &subject);
}
