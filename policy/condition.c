/*
 * condition - one line of a rule: a key and its values.
 *
 * What is not known yet is told from what is not so by the stage: a client that has not
 * logged in may do so until MAIL, so before that only the login of one who has is known; a
 * size that was declared is no more than a promise until the message is here.
 *
 * Owns nothing.
 */
#include "policy/condition_private.h"

#include "policy/asking.h"
#include "policy/table.h"

enum { DAY = 24 * 60 };

void question_init(struct question *q, const struct settings *s,
                   const struct facts *facts, struct arena *arena)
{
    bool is_early =
        facts->stage == STAGE_CONNECT || facts->stage == STAGE_HELLO;

    q->settings = s;
    q->facts = facts;
    q->arena = arena;
    if (facts->sender)
        subject_of_address(&q->sender, facts->sender);
    if (facts->recipient)
        subject_of_address(&q->recipient, facts->recipient);
    subject_of_name(&q->helo, facts->helo);
    q->may_log_in = is_early && facts->login.len == 0;
    q->may_begin_tls = is_early && !facts->tls;
    for (size_t i = 0; is_early && i < s->listener_count; i++) {
        const struct listener_settings *l = &s->listeners[i];

        if (!span_is(l->title, facts->listener))
            continue;
        if (l->auth == LISTENER_AUTH_NONE)
            q->may_log_in = false;
        if (l->tls == LISTENER_TLS_NONE)
            q->may_begin_tls = false;
    }
    q->rule = NULL;
    q->tags = NULL;
    q->taggers = NULL;
    q->tag_count = q->tag_room = q->tagger_count = q->tagger_room = 0;
    q->inquiry = (struct inquiry){ 0 };
}

static enum condition_said said_of(enum answer answer)
{
    switch (answer) {
    case ANSWER_NO:
        return CONDITION_NO;
    case ANSWER_YES:
        return CONDITION_YES;
    case ANSWER_UNKNOWN:
        break;
    }
    return CONDITION_UNKNOWN;
}

/* --- lists, and the tables beside them ------------------------------------ */

enum condition_said condition_matches(const struct condition *c,
                                      struct subject *s)
{
    enum answer answer = patterns_match(&c->patterns, s);

    for (size_t i = 0; answer != ANSWER_YES && i < c->table_count; i++) {
        enum answer one = table_has_subject(c->tables[i], s, NULL);

        if (one != ANSWER_NO)
            answer = one;
    }
    return said_of(answer);
}

static enum condition_said ask_client(const struct condition *c,
                                      const struct host_address *client)
{
    enum answer answer =
        networks_have(&c->networks, client) ? ANSWER_YES : ANSWER_NO;

    for (size_t i = 0; answer != ANSWER_YES && i < c->table_count; i++)
        answer = table_has_network(c->tables[i], client, NULL);
    return said_of(answer);
}

enum answer condition_tables_have(const struct condition *c, struct span text)
{
    enum answer answer = ANSWER_NO;

    if (text.len == 0)
        return ANSWER_NO;
    for (size_t i = 0; answer != ANSWER_YES && i < c->table_count; i++) {
        enum answer one = table_has_text(c->tables[i], text, NULL);

        if (one != ANSWER_NO)
            answer = one;
    }
    return answer;
}

static enum condition_said ask_text(const struct condition *c, struct span text)
{
    return names_have(&c->names, text)
               ? CONDITION_YES
               : said_of(condition_tables_have(c, text));
}

/* --- the facts ------------------------------------------------------------ */

unsigned condition_tls_version(struct span s)
{
    static const char *const versions[] = { "TLSv1", "TLSv1.1", "TLSv1.2",
                                            "TLSv1.3" };

    for (unsigned i = 0; i < sizeof versions / sizeof versions[0]; i++)
        if (span_is_nocase(s, span_of(versions[i])))
            return 10 + i;
    return 0;
}

static enum condition_said ask_certificate(const struct condition *c,
                                           const struct question *q)
{
    const struct facts *f = q->facts;

    if (q->may_begin_tls)
        return CONDITION_LATER;
    /* apart: a name in a certificate may look like a fingerprint */
    if (names_have(&c->fingerprints, f->certificate) ||
        names_have(&c->names, f->certificate_name))
        return CONDITION_YES;
    if (!span_starts_nocase(f->certificate_name, SPAN("sha256:"))) {
        enum answer answer = condition_tables_have(c, f->certificate_name);

        if (answer != ANSWER_NO)
            return said_of(answer);
    }
    return said_of(condition_tables_have(c, f->certificate));
}

static enum condition_said ask_tls(const struct condition *c,
                                   const struct question *q)
{
    const struct facts *f = q->facts;

    if (!f->tls)
        return q->may_begin_tls ? CONDITION_LATER : CONDITION_NO;
    if (!c->tls_version && !c->tls_bits)
        return CONDITION_YES;
    return (c->tls_version &&
            condition_tls_version(f->tls_version) >= c->tls_version) ||
                   (c->tls_bits && f->tls_bits >= c->tls_bits)
               ? CONDITION_YES
               : CONDITION_NO;
}

/* Small is what only the message itself can show, but for who grants by it. */
static enum condition_said ask_size(const struct condition *c,
                                    const struct question *q)
{
    if (q->facts->size_bytes >= c->at_least)
        return CONDITION_YES;
    return q->facts->stage == STAGE_CONTENT || q->rule->action == ACTION_RELAY
               ? CONDITION_NO
               : CONDITION_LATER;
}

static bool is_within(const struct moment *m, unsigned weekday, unsigned minute)
{
    unsigned today = 1u << weekday, yesterday = 1u << (weekday + 6) % 7;

    if (m->from < m->to)
        return m->days & today && minute >= m->from && minute < m->to;
    return (m->days & today && minute >= m->from) ||
           (m->days & yesterday && minute < m->to);
}

static enum condition_said ask_time(const struct condition *c,
                                    const struct facts *f)
{
    for (size_t i = 0; i < c->moment_count; i++)
        if (is_within(&c->moments[i], f->weekday % 7, f->minute % DAY))
            return CONDITION_YES;
    return CONDITION_NO;
}

/* A tag that is not set is not known while a rule may yet set it. */
static enum condition_said ask_tag(const struct condition *c,
                                   const struct question *q)
{
    enum condition_said said = CONDITION_NO;

    for (size_t i = 0; i < q->tag_count; i++) {
        enum condition_said one = ask_text(c, q->tags[i]);

        if (one == CONDITION_YES)
            return one;
        if (one == CONDITION_UNKNOWN)
            said = one;
    }
    for (size_t i = 0; i < q->tagger_count; i++)
        for (size_t n = 0; n < q->taggers[i]->text_count; n++)
            if (ask_text(c, q->taggers[i]->texts[n]) != CONDITION_NO)
                return CONDITION_LATER;
    return said;
}

/* --- the recipient ---------------------------------------------------------- */

bool question_is_bare(const struct question *q)
{
    const struct address *a = q->facts->recipient;

    return a && a->text.len && a->domain.len == 0;
}

/* "postmaster" alone, as postmaster at this name. */
static enum condition_said ask_at(const struct condition *c, struct question *q,
                                  struct span domain)
{
    struct buffer text = { 0 };
    enum condition_said said = CONDITION_NO;
    struct address a;
    struct subject subject;

    buffer_put(&text, q->facts->recipient->local);
    buffer_put_byte(&text, '@');
    buffer_put(&text, domain);
    if (domain.len && address_parse(buffer_span(&text), &a) == ADDRESS_OK) {
        subject_of_address(&subject, &a);
        said = condition_matches(c, &subject);
    }
    buffer_fini(&text);
    return said;
}

/* Who writes to "postmaster" alone means ours, under each of our names (RFC 5321 4.5.1). */
static enum condition_said ask_recipient(const struct condition *c,
                                         struct question *q)
{
    const struct span names[] = { q->settings->hostname, q->settings->origin };
    enum condition_said said = condition_matches(c, &q->recipient);

    for (size_t i = 0; question_is_bare(q) && said != CONDITION_YES &&
                       i < sizeof names / sizeof *names;
         i++) {
        enum condition_said one = ask_at(c, q, names[i]);

        if (one != CONDITION_NO)
            said = one;
    }
    return said;
}

/* --- one condition -------------------------------------------------------- */

static enum condition_said ask(const struct condition *c, struct question *q)
{
    const struct facts *f = q->facts;

    switch (c->fact) {
    case FACT_CLIENT:
        return ask_client(c, &f->client);
    case FACT_LISTENER:
        return ask_text(c, f->listener);
    case FACT_TIME:
        return ask_time(c, f);
    case FACT_HELO:
        return f->stage == STAGE_CONNECT ? CONDITION_LATER
                                         : condition_matches(c, &q->helo);
    case FACT_LOGIN:
        return q->may_log_in ? CONDITION_LATER : ask_text(c, f->login);
    case FACT_CERTIFICATE:
        return ask_certificate(c, q);
    case FACT_TLS:
        return ask_tls(c, q);
    case FACT_FROM:
        return f->sender ? condition_matches(c, &q->sender) : CONDITION_LATER;
    case FACT_TO:
        return f->recipient ? ask_recipient(c, q) : CONDITION_LATER;
    case FACT_SIZE:
        return f->sender ? ask_size(c, q) : CONDITION_LATER;
    case FACT_TAG:
        return ask_tag(c, q);
    case FACT_CLIENT_NAME:
        return asking_client_name(c, q);
    case FACT_DNSBL:
        return asking_dnsbl(c, q);
    case FACT_TODAY:
        return q->may_log_in ? CONDITION_LATER : asking_today(c, q);
    case FACT_HEADER:
    case FACT_ATTACHMENT:
        break;
    }
    if (f->stage != STAGE_CONTENT)
        return CONDITION_LATER;
    if (!f->message)
        return CONDITION_UNKNOWN;
    return said_of(c->fact == FACT_HEADER
                       ? condition_headers(c, f->message)
                       : condition_attachments(c, f->message));
}

enum condition_said condition_holds(const struct condition *c,
                                    struct question *q)
{
    enum condition_said said = ask(c, q);

    if (!c->is_negated)
        return said;
    if (said == CONDITION_YES)
        return CONDITION_NO;
    return said == CONDITION_NO ? CONDITION_YES : said;
}

bool condition_asks_others(const struct condition *c)
{
    return c->fact == FACT_CLIENT_NAME || c->fact == FACT_DNSBL ||
           c->fact == FACT_TODAY;
}

bool condition_is_any_client(const struct condition *c)
{
    bool is_any = networks_are_everything(&c->networks);

    for (size_t i = 0; i < c->table_count && !is_any; i++)
        is_any = table_holds_everybody(c->tables[i]);
    return c->fact == FACT_CLIENT && !c->is_negated && is_any;
}

bool condition_names_somebody(const struct condition *c)
{
    return !c->is_negated &&
           (c->fact == FACT_LOGIN || c->fact == FACT_CERTIFICATE ||
            (c->fact == FACT_CLIENT && !condition_is_any_client(c)));
}

bool condition_names_domains(const struct condition *c)
{
    if (c->fact != FACT_TO || c->is_negated ||
        c->patterns.first[PATTERN_EXPRESSION] != c->patterns.count)
        return false;
    for (size_t i = 0; i < c->table_count; i++)
        if (!table_names_domains(c->tables[i]))
            return false;
    return true;
}
