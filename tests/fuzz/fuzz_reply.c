/*
 * fuzz_reply - an outbound client talking to a peer that says anything.
 *
 * The first byte chooses how large the pieces are in which the rest arrives, the
 * second what is sent and how it ends, a third (where the second says so) what the
 * client is to do. Whatever comes: what we say is whole lines, a recipient has one
 * outcome with clean words, delivered is only what a 2xx was said to after the dot or
 * LAST had left, no login and, where TLS is a must, no mail goes out in clear text,
 * and memory stays under what limits.h allows.
 */
#include "policy/vocabulary/error.h"
#include "policy/vocabulary/utf8.h"
#include "relay/outbound/client.h"
#include "relay/outbound/login.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    USE_LONG_CONTENT = 1,
    USE_BARE_LF = 2,
    USE_UTF8 = 4,
    USE_8BIT = 8,
    END_TIMEOUT = 16,
    END_LOST = 32,
    KEEP_DOT = 64, /* the last output is never taken */
    HAS_WISHES = 128,
};

enum {
    WISH_TLS = 1,
    WISH_MUST = 2,
    WISH_SMTPS = 4,
    WISH_LMTP = 8,
    WISH_CHUNKING = 16,
    WISH_LOGIN = 32,
    WISH_MORE = 64, /* XFORWARD, DSN and all that */
    WISH_BINARY = 128,
};

static const struct client_recipient recipients[] = {
    { SPAN_INIT("a@b") }, { SPAN_INIT("c@d"), 2 }, { SPAN_INIT("e@f"), 1 }
};

static const struct tls_facts facts = { .exporter = SPAN_INIT("0123456789abcdef") };

struct host {
    struct client *client;
    struct envelope envelope;
    unsigned mood, wishes;
    bool is_secured;
    int64_t now_ms;
    bool is_dot_sent;
    size_t count;
    unsigned started; /* transactions */
};

static void check_words(struct span words)
{
    ASSERT(words.len > 0 && words.len <= LIMIT_REPLY_STORED);
    while (words.len) {
        size_t n = utf8_is_showable(words);

        /* a character may be cut at the very end */
        ASSERT(n > 0 || words.len < 4);
        words = span_skip(words, n ? n : words.len);
    }
}

static void check_outcomes(const struct host *h)
{
    const struct client_outcome *o = client_outcomes(h->client);

    for (size_t i = 0; i < h->count; i++) {
        unsigned char wanted = o[i].diagnosis == DIAGNOSIS_DELIVERED ? 2
                               : o[i].diagnosis == DIAGNOSIS_FAILED  ? 5
                                                                     : 4;

        check_words(o[i].reply);
        ASSERT(o[i].status.class == wanted ||
               (o[i].diagnosis == DIAGNOSIS_OTHER_HOST &&
                (o[i].status.subject == 6 || o[i].status.subject == 3)));
        ASSERT(o[i].diagnosis != DIAGNOSIS_DELIVERED || h->is_dot_sent);
        ASSERT(o[i].diagnosis != DIAGNOSIS_IN_DOUBT || h->is_dot_sent);
    }
}

static void take_output(struct host *h)
{
    struct buffer *out = client_output(h->client);
    struct span rest = buffer_span(out);

    if (!h->is_secured) {
        ASSERT(!span_starts_nocase(rest, SPAN("AUTH")));
        ASSERT(!(h->wishes & WISH_MUST) ||
               !span_starts_nocase(rest, SPAN("MAIL")));
    }
    for (size_t i = 0; i < rest.len && !(h->wishes & WISH_BINARY); i++)
        if (rest.at[i] == '\n')
            ASSERT(i > 0 && rest.at[i - 1] == '\r');
    ASSERT(out->len == 0 || out->at[out->len - 1] == '\n');
    ASSERT(out->len < (size_t)2 * LIMIT_REPLY_BYTES);
    if (!(h->mood & KEEP_DOT) || !client_is_past_dot(h->client))
        buffer_clear(out);
}

static void send_content(struct host *h)
{
    struct span bytes = SPAN("Subject: x\r\n\r\n.dot\r\n..\r\n");

    if (h->mood & USE_BARE_LF)
        bytes = SPAN("a\r\n.\n");
    for (int i = 0; (h->mood & USE_LONG_CONTENT) && i < 1000; i++) {
        client_content(h->client, bytes, false, h->now_ms);
        if (client_wants(h->client) != CLIENT_SENDS)
            return;
    }
    client_content(h->client, bytes, true, h->now_ms);
    h->is_dot_sent = client_is_past_dot(h->client);
}

static void compute(struct host *h)
{
    struct login *l = client_take_login(h->client);

    login_compute(l);
    client_computed(h->client, l, h->now_ms);
}

/* Does what the client asks for until it only wants to read, or is through. */
static void serve(struct host *h)
{
    for (;;) {
        take_output(h);
        switch (client_wants(h->client)) {
        case CLIENT_FREE:
            if (h->started == 3) {
                client_quit(h->client, h->now_ms);
                break;
            }
            if (h->wishes & WISH_LOGIN && h->mood & USE_LONG_CONTENT &&
                h->started == 1) {
                static const struct span domains[] = { SPAN_INIT("a.test"),
                                                       SPAN_INIT("b.test") };

                client_turn(h->client, domains, h->now_ms % 3, h->now_ms);
                break;
            }
            h->count = client_recipients_most(h->client);
            h->count = h->count < 3 ? h->count : 3;
            h->is_dot_sent = false;
            h->started++;
            client_start(h->client,
                         &(struct client_transaction){ .envelope = &h->envelope,
                                                       .recipients = recipients,
                                                       .count = h->count,
                                                       .may_convert =
                                                           h->now_ms & 1 },
                         h->now_ms);
            if (client_wants(h->client) == CLIENT_DONE) {
                check_outcomes(h);
                return; /* nothing this peer can be asked */
            }
            break;
        case CLIENT_SENDS:
            send_content(h);
            break;
        case CLIENT_DONE:
            check_outcomes(h);
            client_next(h->client, h->now_ms);
            break;
        case CLIENT_STARTS_TLS:
            if (h->now_ms % 5 == 0) {
                client_tls_failed(h->client, SPAN("x"), h->now_ms & 1, h->now_ms);
                break;
            }
            h->is_secured = true;
            client_secured(h->client, &facts, h->now_ms);
            break;
        case CLIENT_COMPUTES:
            compute(h);
            break;
        case CLIENT_TURNED:
            ASSERT(client_turn_code(h->client) == 250);
            ASSERT(client_feed(h->client, SPAN("250 x\r\n"), h->now_ms) == 0);
            return;
        case CLIENT_READS:
        case CLIENT_CLOSES:
            return;
        }
    }
}

static struct client *make_client(const struct host *h)
{
    struct client_options o = {
        .hostname = SPAN("us"),
        .timeouts = &client_timeouts_default,
        .tls = h->wishes & WISH_MUST  ? CLIENT_TLS_MUST
               : h->wishes & WISH_TLS ? CLIENT_TLS_IF_OFFERED
                                      : CLIENT_TLS_NEVER,
        .begins_secured = h->wishes & WISH_SMTPS,
        .is_lmtp = h->wishes & WISH_LMTP,
        .chunking = h->wishes & WISH_CHUNKING,
        .xforward = h->wishes & WISH_MORE,
        .host = SPAN("mx.test"),
    };

    if (h->wishes & WISH_LOGIN) {
        o.login = SPAN("user");
        o.secret = SPAN("pencil-case");
        o.secret_is_token = h->wishes & WISH_MORE;
    }
    return client_new(&o, h->now_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct host h = { .now_ms = 1 };
    size_t head = 2;
    struct span in;
    size_t piece;

    if (size < 3)
        return 0;
    h.mood = data[1];
    if (h.mood & HAS_WISHES)
        h.wishes = data[head++];
    h.envelope = (struct envelope){ .sender = SPAN("s@x"),
                                    .size_bytes = 1000,
                                    .smtputf8 = h.mood & USE_UTF8,
                                    .has_8bit = h.mood & USE_8BIT };
    if (h.wishes & WISH_BINARY)
        h.envelope.body = BODY_BINARYMIME;
    if (h.wishes & WISH_MORE) {
        h.envelope.ret = SPAN("FULL");
        h.envelope.envid = SPAN("x+y");
        h.envelope.priority = 3;
        h.envelope.deliver_by_ms = 90000;
        h.envelope.client = SPAN("192.0.2.1");
    }
    h.client = make_client(&h);
    serve(&h);
    in = span_make((const char *)data + head, size - head);
    piece = data[0] ? data[0] : size;
    while (in.len && client_wants(h.client) == CLIENT_READS) {
        client_feed(h.client, span_first(in, piece), h.now_ms++);
        in = span_skip(in, piece);
        serve(&h);
    }
    if (h.mood & END_TIMEOUT)
        client_timeout(h.client, client_deadline_ms(h.client));
    if (h.mood & END_LOST)
        client_lost(h.client, SPAN("Connection reset by peer"), h.now_ms);
    serve(&h);
    if (client_trouble(h.client)->status.class)
        check_words(client_trouble(h.client)->reply);
    client_free(h.client);
    return 0;
}
