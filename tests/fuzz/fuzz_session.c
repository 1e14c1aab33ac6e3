/*
 * fuzz_session - a whole inbound session on bytes of anybody's making.
 *
 * The first byte chooses how large the pieces are in which the rest arrives,
 * the second how the queue answers. Whatever comes: replies are whole lines
 * with a code, content that is stored begins with our trace line and, but for
 * BINARYMIME, has only whole line ends, and a session that wants nothing but
 * input takes all of it. What rules make of a message begins with our trace line, too. Handshakes succeed; steps of a login end as the size of
 * the response says.
 */
#include "relay/inbound/variants.h"
#include "tests/unit/fake_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void check_replies(const struct fake_world *w)
{
    struct span rest = buffer_span(&w->output);

    while (rest.len) {
        struct span line = span_split(rest, '\n', &rest);

        ASSERT(rest.at && line.len >= 4 && line.at[line.len - 1] == '\r');
        ASSERT(is_digit(line.at[0]) && is_digit(line.at[1]) &&
               is_digit(line.at[2]));
        ASSERT(line.at[3] == ' ' || line.at[3] == '-');
        ASSERT(span_find(line, '\r') == line.len - 1);
        ASSERT(span_find(line, '\0') == line.len);
    }
}

static void check_stored(const struct fake_world *w)
{
    const struct buffer *c = &w->content;

    if (w->stored == 0)
        return;
    ASSERT(span_starts_nocase(buffer_span(c), SPAN("Received: from ")));
    ASSERT(w->envelope.size_bytes == c->len);
    ASSERT(w->envelope.header_bytes <= c->len);
    if (w->envelope.body == BODY_BINARYMIME)
        return;
    for (size_t i = 0; i < c->len; i++) {
        if (c->at[i] == '\n')
            ASSERT(i > 0 && c->at[i - 1] == '\r');
        if (c->at[i] == '\r')
            ASSERT(i + 1 < c->len && c->at[i + 1] == '\n');
    }
}

/* Each looks at the message. */
#define CONTENT_RULES                                                          \
    "rule \"exe\" { attachment = {\"*.exe\"} action = reject }\n"              \
    "rule \"mark\" { header = {\"X-Mark\"} action = add-header"                \
    " add-header = {\"X-For: %{recipient} %{helo}\"} }\n"                      \
    "rule \"strip\" { header = {\"X-Mark\"} action = remove-header"            \
    " remove-header = {\"X-Mark\", 'Subject: /x/'} }\n"                        \
    "rule \"copy\" { header = {\"X-Copy\"} action = copy"                      \
    " copy = {\"all@archive.test\"} }\n"                                       \
    "rule \"move\" { header = {\"X-Move\"} action = rewrite"                   \
    " rewrite-to = {'/^(.)(.*)@/ $2@moved.test'} }\n"                          \
    "rule \"from\" { header = {\"X-Move\"} to = {\"ok.test\"} action = "       \
    "rewrite"                                                                  \
    " rewrite-from = {'/^(.*)@/ $1@ours.test'} }\n"                            \
    "rule \"ask\" { header = {\"X-Ask\"} action = policy"                      \
    " server = \"127.0.0.1:10023\" }\n"                                        \
    "rule \"few\" { header = {\"X-Few\"} action = limit per = client"          \
    " rate = {\"5/h\"} }\n"

static const char configuration[] =
    "hostname = \"mx.ok.test\"\n"
    "tls { certificate = \"/c.pem\" key = \"/k.pem\" }\n"
    "users { file = \"/users\" }\n"
    "listener \"edge\" { address = \"127.0.0.1:2525\" tls = optional\n"
    "  auth = optional auth-without-tls = true turn = true xclient = "
    "{\"192.0.2.0/24\"}\n"
    "  xforward = {\"192.0.2.0/24\"} verp = {\"192.0.2.0/24\"} "
    "}\n" CONTENT_RULES
    "rule \"domains\" { to = {\"ok.test\"} action = relay }\n"
    "rule \"staff\" { login = {\"*\"} action = relay }\n"
    "route \"*\" { via = {\"mx\"} verify = callout }\n";

/* Any of a kind's answers, as the key has it. */
static void answer_questions(struct fake_world *w)
{
    static const char *const texts[EVIDENCE_KINDS][3] = {
        [EVIDENCE_NAME] = { "client.test", "", NULL },
        [EVIDENCE_BUDGET] = { "1", "0", NULL },
        [EVIDENCE_CHARGE] = { "taken", "over", NULL },
        [EVIDENCE_SERVER] = { "DUNNO", "PREPEND X-Said: y", "REJECT no" },
        [EVIDENCE_MAILBOX] = { "yes", "no 550 x", NULL },
    };
    size_t count;
    const struct evidence_question *q = session_questions(w->session, &count);

    for (size_t i = 0; i < count; i++) {
        const char *text = texts[q[i].kind][q[i].key.len % 3];

        if (text)
            evidence_put(session_evidence(w->session), q[i].kind, q[i].key,
                         EVIDENCE_ANSWERED, span_of(text));
    }
    session_answered(w->session, w->now_ms);
    fake_go_on(w);
}

/* Each message begins with a trace line, and has nothing but whole lines in its header. */
static void check_variants(struct fake_world *w)
{
    const struct draft *d = session_draft(w->session);
    struct buffer head = { 0 };

    for (size_t i = 0; d->variants && i < d->variants->count; i++) {
        const struct variant *v = &d->variants->all[i];

        ASSERT(v->count > 0 && v->id);
        if (d->head.len == 0) {
            ASSERT(d->variants->count == 1 && v->edit_count == 0);
            continue;
        }
        buffer_clear(&head);
        variants_write_head(d, v, &head);
        ASSERT(span_starts_nocase(buffer_span(&head), SPAN("Received: from ")));
        ASSERT(head.at[head.len - 1] == '\n');
        if (d->envelope.body != BODY_BINARYMIME)
            for (size_t n = 0; n < head.len; n++)
                ASSERT((head.at[n] == '\n') ==
                       (n > 0 && head.at[n - 1] == '\r'));
    }
    buffer_fini(&head);
}

/* What the engine waits for, until it wants input or is closed. */
static void answer(struct fake_world *w)
{
    const struct session_login *l;

    for (;;) {
        switch (session_wants(w->session)) {
        case SESSION_STARTS_TLS:
            fake_secure(w, &fake_tls);
            break;
        case SESSION_AUTHENTICATES:
            l = session_login(w->session);
            fake_login(w, (enum sasl_said)(l->response.len % 5), "more",
                       l->response.len % 5 == SASL_OK ? "user" : "");
            break;
        case SESSION_WAITS:
            fake_wait(w, 5000);
            break;
        case SESSION_STORES:
            check_variants(w);
            fake_answer(w, 0);
            break;
        case SESSION_ASKS:
            answer_questions(w);
            break;
        case SESSION_READS:
        case SESSION_TURNS:
        case SESSION_CLOSES:
            return;
        }
    }
}

static void play(struct fake_world *w, struct span in, size_t piece)
{
    while (in.len) {
        fake_feed(w, span_first(in, piece));
        check_stored(w);
        in = span_skip(in, piece);
        answer(w);
        ASSERT(w->waiting.len == 0 ||
               session_wants(w->session) == SESSION_CLOSES ||
               session_wants(w->session) == SESSION_TURNS);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct settings *plain, *full;
    struct session_client client = { .name = SPAN("unknown"),
                                     .mechanisms = MECHANISM_ALL,
                                     .has_tls = true };
    struct settings *settings;
    struct fake_world w = { .now_ms = fake_start_ms };

    if (size < 2)
        return 0;
    if (!plain) {
        plain = fake_settings(fake_configuration);
        full = fake_settings(configuration);
    }
    settings = data[1] & 128 ? full : plain;
    (void)host_address_parse(SPAN("192.0.2.1"), &client.address);
    w.settings = settings_hold(settings);
    w.mood = data[1] & (FAKE_FULL | FAKE_BROKEN | FAKE_LATER);
    w.world = fake_world_of(&w);
    settings->listeners[0].normalize = data[1] & 8;
    settings->listeners[0].submission = data[1] & 64;
    w.session = session_new(settings, &settings->listeners[0], &client,
                            &w.world, w.now_ms);
    play(&w, span_make((const char *)data + 2, size - 2),
         data[0] ? data[0] : size);
    check_replies(&w);
    if (data[1] & 16)
        session_end_of_input(w.session, w.now_ms);
    if (data[1] & 32)
        session_shut_down(w.session, SESSION_GOING_DOWN, w.now_ms);
    fake_close(&w);
    return 0;
}
