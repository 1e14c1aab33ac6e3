/*
 * showing - facts, questions and effects in words for people.
 */
#include "policy/showing.h"

#include "policy/asking.h"
#include "policy/digest.h"

enum { SHOWN_MOST = 100, VALUES_MOST = 3 };

static void put_short(struct buffer *b, struct span s)
{
    buffer_put(b, span_first(s, SHOWN_MOST));
    if (s.len > SHOWN_MOST)
        buffer_put_string(b, "...");
}

static void put_or(struct buffer *b, const char *name, struct span value,
                   const char *none)
{
    if (value.len) {
        buffer_printf(b, "%s is ", name);
        put_short(b, value);
    } else {
        buffer_put_string(b, none);
    }
}

/* --- facts ------------------------------------------------------------------ */

static void put_client_name(struct buffer *b, const struct explanation *x,
                            const struct condition *c)
{
    struct buffer key = { 0 };
    struct span name = { 0 };

    (void)c;
    host_address_print(&key, &x->facts.client);
    if (evidence_find(x->evidence, EVIDENCE_NAME, buffer_span(&key), &name) ==
        EVIDENCE_ANSWERED)
        put_or(b, "the client's name", name, "the client has no name");
    else
        buffer_put_string(b, "the client's name is not known");
    buffer_fini(&key);
}

static void put_lists(struct buffer *b, const struct explanation *x,
                      const struct condition *c)
{
    struct buffer name = { 0 };
    const char *between = "";

    for (size_t i = 0; i < c->zone_count; i++) {
        struct span said = { 0 };
        enum evidence_state state;

        buffer_clear(&name);
        asking_list_name(&name, &x->facts.client, c->zones[i].zone);
        state = evidence_find(x->evidence, EVIDENCE_ADDRESSES,
                              buffer_span(&name), &said);
        if (state == EVIDENCE_ANSWERED && said.len == 0 && c->zone_count > 1)
            continue;
        buffer_put_string(b, between);
        if (c->zone_count > 1)
            buffer_printf(b, "%.*s: ", SPAN_FMT(c->zones[i].zone));
        between = ", ";
        if (state == EVIDENCE_ANSWERED && said.len)
            put_short(b, said);
        else
            buffer_put_string(b, state == EVIDENCE_ANSWERED ? "not listed"
                                                            : "no answer");
    }
    if (!*between)
        buffer_put_string(b, "not listed");
    buffer_fini(&name);
}

static void put_today(struct buffer *b, const struct explanation *x,
                      const struct condition *c)
{
    struct buffer key = { 0 };
    struct span count = { 0 };

    (void)c;
    asking_today_key(&key, &x->facts);
    if (evidence_find(x->evidence, EVIDENCE_COUNT, buffer_span(&key), &count) ==
        EVIDENCE_ANSWERED)
        buffer_printf(b, "%.*s recipients so far today", SPAN_FMT(count));
    else
        buffer_put_string(b, "today's count is not known");
    buffer_fini(&key);
}

static void put_time(struct buffer *b, const struct explanation *x,
                     const struct condition *c)
{
    static const char *const days[] = { "Sunday",    "Monday",   "Tuesday",
                                        "Wednesday", "Thursday", "Friday",
                                        "Saturday" };
    const struct facts *f = &x->facts;

    (void)c;
    buffer_printf(b, "it is %s %02u:%02u", days[f->weekday % 7],
                  f->minute / 60 % 24, f->minute % 60);
}

static void put_headers(struct buffer *b, const struct explanation *x,
                        const struct condition *c)
{
    const char *between = "";

    for (size_t i = 0; i < c->header_count; i++) {
        struct span value;

        for (size_t n = 0; n < VALUES_MOST; n++) {
            value = digest_field(x->digest, c->headers[i].name, n);
            if (!value.at)
                break;
            buffer_printf(b, "%s%.*s: ", between, SPAN_FMT(c->headers[i].name));
            put_short(b, value);
            between = ", ";
        }
    }
    if (!*between)
        buffer_put_string(b, "no such field");
}

static void put_attachments(struct buffer *b, const struct explanation *x,
                            const struct condition *c)
{
    const struct attachment *a;
    size_t n = 0;

    (void)c;
    for (; (a = digest_attachment(x->digest, n)); n++) {
        if (n == VALUES_MOST)
            break;
        buffer_put_string(b, n ? ", " : "attached: ");
        put_short(b, a->name.len ? a->name : a->type);
    }
    buffer_put_string(b, !n ? "no attachment" : a ? ", ..." : "");
}

static void put_tags(struct buffer *b, const struct explanation *x,
                     const struct condition *c)
{
    const struct verdict *const of[] = { &x->granted, &x->at_content };
    const char *between = "";

    (void)c;
    for (size_t v = 0; v < 2; v++)
        for (size_t i = 0; i < of[v]->effect_count; i++)
            if (of[v]->effects[i].kind == EFFECT_TAG) {
                buffer_printf(b, "%s%.*s", *between ? between : "tags: ",
                              SPAN_FMT(of[v]->effects[i].text));
                between = ", ";
            }
    if (!*between)
        buffer_put_string(b, "no tag is set");
}

static void put_client(struct buffer *b, const struct explanation *x,
                       const struct condition *c)
{
    (void)c;
    buffer_put_string(b, "client is ");
    host_address_print(b, &x->facts.client);
}

static void put_tls(struct buffer *b, const struct explanation *x,
                    const struct condition *c)
{
    const struct facts *f = &x->facts;

    (void)c;
    if (!f->tls)
        buffer_put_string(b, "no TLS");
    else
        buffer_printf(b, "%.*s with %u bits", SPAN_FMT(f->tls_version),
                      f->tls_bits);
}

static void put_size(struct buffer *b, const struct explanation *x,
                     const struct condition *c)
{
    uint64_t size_bytes = x->facts.size_bytes;

    (void)c;
    if (size_bytes)
        buffer_printf(b, "size is %llu bytes", (unsigned long long)size_bytes);
    else
        buffer_put_string(b, "no size is declared");
}

static void put_sender(struct buffer *b, const struct explanation *x,
                       const struct condition *c)
{
    (void)c;
    put_or(b, "sender", x->facts.sender->text, "sender is <>");
}

static void put_recipient(struct buffer *b, const struct explanation *x,
                          const struct condition *c)
{
    (void)c;
    put_or(b, "recipient", x->facts.recipient->text, "no recipient");
}

static void put_helo(struct buffer *b, const struct explanation *x,
                     const struct condition *c)
{
    (void)c;
    put_or(b, "helo", x->facts.helo, "no helo was given");
}

static void put_login(struct buffer *b, const struct explanation *x,
                      const struct condition *c)
{
    (void)c;
    put_or(b, "login", x->facts.login, "not logged in");
}

static void put_certificate(struct buffer *b, const struct explanation *x,
                            const struct condition *c)
{
    const struct facts *f = &x->facts;

    (void)c;
    put_or(b, "certificate",
           f->certificate_name.len ? f->certificate_name : f->certificate,
           "no client certificate");
}

static void put_listener(struct buffer *b, const struct explanation *x,
                         const struct condition *c)
{
    (void)c;
    put_or(b, "listener", x->facts.listener, "no listener");
}

/* clang-format off */
static const struct {
    void (*put)(struct buffer *b, const struct explanation *x,
                const struct condition *c);
    bool needs_message;
} facts[] = {
    [FACT_CLIENT]      = { put_client,      false },
    [FACT_FROM]        = { put_sender,      false },
    [FACT_TO]          = { put_recipient,   false },
    [FACT_HELO]        = { put_helo,        false },
    [FACT_LOGIN]       = { put_login,       false },
    [FACT_CERTIFICATE] = { put_certificate, false },
    [FACT_TLS]         = { put_tls,         false },
    [FACT_LISTENER]    = { put_listener,    false },
    [FACT_CLIENT_NAME] = { put_client_name, false },
    [FACT_SIZE]        = { put_size,        false },
    [FACT_TIME]        = { put_time,        false },
    [FACT_TODAY]       = { put_today,       false },
    [FACT_HEADER]      = { put_headers,     true },
    [FACT_ATTACHMENT]  = { put_attachments, true },
    [FACT_DNSBL]       = { put_lists,       false },
    [FACT_TAG]         = { put_tags,        false },
};
/* clang-format on */

void showing_fact(struct buffer *b, const struct explanation *x,
                  const struct condition *c)
{
    if (facts[c->fact].needs_message && !x->digest)
        buffer_put_string(b, "needs the message");
    else
        facts[c->fact].put(b, x, c);
}

/* --- questions and answers -------------------------------------------------- */

const char *showing_kind(enum evidence_kind kind)
{
    static const char *const kinds[EVIDENCE_KINDS] = {
        [EVIDENCE_NAME] = "reverse-dns", [EVIDENCE_ADDRESSES] = "dns",
        [EVIDENCE_NOTE] = "memory",      [EVIDENCE_BUDGET] = "budget",
        [EVIDENCE_COUNT] = "count",      [EVIDENCE_SERVER] = "policy-server",
        [EVIDENCE_MAILBOX] = "next-hop", [EVIDENCE_CHARGE] = "charge",
    };

    return kinds[kind];
}

void showing_question(struct buffer *b, const struct explained_answer *a)
{
    struct span rest = a->key, part;

    switch (a->kind) {
    case EVIDENCE_SERVER: /* the request itself is long */
        buffer_put(b, span_split(a->key, '\n', &rest));
        return;
    case EVIDENCE_MAILBOX: /* a title may have a tab, an address has none */
        buffer_put(b, span_skip(a->key, span_find_last(a->key, '\t') + 1));
        return;
    case EVIDENCE_BUDGET: /* "limit", the rule, of whom, which rate */
        rest = span_first(rest, span_find_last(rest, '\t'));
        buffer_put(b, span_skip(rest, span_find_last(rest, '\t') + 1));
        return;
    case EVIDENCE_COUNT:
        (void)span_split(a->key, '\t', &rest);
        buffer_put(b, rest);
        return;
    case EVIDENCE_NAME:
    case EVIDENCE_ADDRESSES:
    case EVIDENCE_NOTE:
    case EVIDENCE_CHARGE:
    case EVIDENCE_KINDS:
        break;
    }
    for (const char *between = ""; rest.at; between = " ") {
        part = span_split(rest, '\t', &rest);
        buffer_printf(b, "%s%.*s", between, SPAN_FMT(part));
    }
}

void showing_answer(struct buffer *b, const struct explanation *x,
                    const struct explained_answer *a)
{
    struct span said = { 0 };
    static const char *const nothing[EVIDENCE_KINDS] = {
        [EVIDENCE_NAME] = "no name",
        [EVIDENCE_ADDRESSES] = "not listed",
        [EVIDENCE_NOTE] = "not seen before",
    };

    if (evidence_find(x->evidence, a->kind, a->key, &said) != EVIDENCE_ANSWERED)
        buffer_put_string(b, "could not be found out");
    else if (a->kind == EVIDENCE_BUDGET)
        buffer_printf(b, "%.*s left", SPAN_FMT(said));
    else if (a->kind == EVIDENCE_COUNT)
        buffer_printf(b, "%.*s today", SPAN_FMT(said));
    else if (said.len)
        put_short(b, said);
    else if (nothing[a->kind])
        buffer_put_string(b, nothing[a->kind]);
}

/* --- words ------------------------------------------------------------------ */

/* clang-format off */
static const struct {
    const char *word;
    bool is_silent; /* only counted, or remembered */
} effects[] = {
    [EFFECT_HOLD]          = { "hold",          false },
    [EFFECT_TAG]           = { "tag",           false },
    [EFFECT_ADD_HEADER]    = { "add-header",    false },
    [EFFECT_REMOVE_HEADER] = { "remove-header", false },
    [EFFECT_REWRITE_FROM]  = { "rewrite-from",  false },
    [EFFECT_REWRITE_TO]    = { "rewrite-to",    false },
    [EFFECT_COPY]          = { "copy",          false },
    [EFFECT_ROUTE]         = { "route",         false },
    [EFFECT_CHARGE]        = { "charge",        true },
    [EFFECT_COUNT]         = { "count",         true },
    [EFFECT_NOTE]          = { "remember",      true },
    [EFFECT_LOG]           = { "log",           false },
    [EFFECT_SHADOW]        = { "would",         false },
};
/* clang-format on */

const char *showing_effect(enum effect_kind kind)
{
    return effects[kind].word;
}

bool showing_is_silent(enum effect_kind kind)
{
    return effects[kind].is_silent;
}

const char *showing_stage(enum stage stage)
{
    static const char *const stages[] = {
        [STAGE_CONNECT] = "connect", [STAGE_HELLO] = "hello",
        [STAGE_SENDER] = "sender",   [STAGE_RECIPIENT] = "recipient",
        [STAGE_CONTENT] = "message",
    };

    return stages[stage];
}

const char *showing_fate(enum rule_fate fate)
{
    static const char *const fates[] = {
        [RULE_MATCHED] = "matched",         [RULE_NOT_MATCHED] = "not-matched",
        [RULE_UNKNOWN] = "unknown",         [RULE_SET_ASIDE] = "set-aside",
        [RULE_NOT_REACHED] = "not-reached", [RULE_SPARES] = "spares",
    };

    return fates[fate];
}
