/*
 * test_session_model - random commands against a small reference machine.
 *
 * The reference knows only what RFC 5321 and behaviour ask for: is there a
 * greeting, a sender, a recipient, how many errors. Commands go one by one or
 * in groups; for each the reply code must be the one that the reference names.
 * WAYPOST_SEQUENCES sets how many sequences of 200 are played.
 */
#include "fake_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { SEQUENCES = 20000, LENGTH = 200, CODES_MOST = 64 };

/* What the reference knows. */
struct model {
    bool greeted, extended, mail, chunks, closed;
    unsigned recipients, refused, errors, junk;
    int codes[CODES_MOST]; /* expected since the last look */
    size_t count;
};

enum what {
    HELLO,
    MAIL,
    RCPT,
    DATA,
    DATA_X,
    CHUNK,
    CHUNK_LAST,
    RSET,
    HARMLESS,
    PLAIN_ERROR,
    TRUST,
    GOODBYE,
};

/* code: in the state in which it may be used; 0: see the reference. */
struct act {
    const char *line;
    enum what what;
    int code;
    bool parameters; /* 555 in a HELO session */
    bool junk;
    unsigned weight;
};

/* clang-format off */
static const struct act acts[] = {
    { "EHLO client.test\r\n",                HELLO, 250, true, true, 12 },
    { "HELO client.test\r\n",                HELLO, 250, false, true, 2 },
    { "EHLO\r\n",                            HELLO, 501, true, true, 1 },
    { "MAIL FROM:<s@ext.test>\r\n",          MAIL, 250, false, false, 12 },
    { "mail from: <> size=10\r\n",           MAIL, 250, true, false, 4 },
    { "MAIL FROM:<a@b.test> SIZE=99999999999\r\n", MAIL, 552, true, false, 1 },
    { "MAIL FROM:<a@b.test> FOO=BAR\r\n",    MAIL, 555, false, false, 1 },
    { "MAIL FROM:<a@b..test>\r\n",           MAIL, 501, false, false, 1 },
    { "MAIL TO:<a@b.test>\r\n",              MAIL, 501, false, false, 1 },
    { "MAIL FROM:<\xc3\xbc@b.test>\r\n",     MAIL, 553, false, false, 1 },
    { "MAIL FROM:<\xc3\xbc@b.test> SMTPUTF8\r\n", MAIL, 250, true, false, 1 },
    { "RCPT TO:<u@ok.test>\r\n",             RCPT, 250, false, false, 14 },
    { "RCPT TO:<w@OK.TEST>\r\n",             RCPT, 250, false, false, 4 },
    { "RCPT TO:<v@ext.test>\r\n",            RCPT, 554, false, false, 2 },
    { "RCPT TO:<v@noroute.test>\r\n",        RCPT, 451, false, false, 1 },
    { "RCPT TO:<>\r\n",                      RCPT, 501, false, false, 1 },
    { "RCPT TO:<u@ok.test> NOTIFY=ALWAYS\r\n", RCPT, 501, true, false, 1 },
    { "RCPT TO:<x@ok.test> NOTIFY=NEVER\r\n", RCPT, 250, true, false, 2 },
    { "BDAT 6\r\nQUIT\r\n",                  CHUNK, 0, false, false, 2 },
    { "BDAT 8 LAST\r\nA: b\r\n\r\n",         CHUNK_LAST, 0, false, false, 4 },
    { "BDAT 0 last\r\n",                     CHUNK_LAST, 0, false, false, 1 },
    { "DATA\r\n",                            DATA, 0, false, false, 14 },
    { "DATA x\r\n",                          DATA_X, 501, false, false, 1 },
    { "RSET\r\n",                            RSET, 250, false, true, 4 },
    { "RSET x\r\n",                          PLAIN_ERROR, 501, false, true, 1 },
    { "NOOP\r\n",                            HARMLESS, 250, false, true, 3 },
    { "NOOP \"\r\n",                         HARMLESS, 250, false, true, 1 },
    { "VRFY root\r\n",                       HARMLESS, 252, false, true, 2 },
    { "VRFY\r\n",                            PLAIN_ERROR, 501, false, true, 1 },
    { "HELP me\r\n",                         HARMLESS, 214, false, true, 2 },
    { "EXPN list\r\n",                       PLAIN_ERROR, 502, false, false, 1 },
    { "ETRN #','x');--\r\n",                 PLAIN_ERROR, 502, false, false, 1 },
    { "STARTTLS\r\n",                        PLAIN_ERROR, 502, false, false, 1 },
    { "AUTH PLAIN AGEAYg==\r\n",             PLAIN_ERROR, 502, false, false, 1 },
    { "XCLIENT NAME=a\r\n",                  TRUST, 550, false, false, 1 },
    { "WIZ\r\n",                             PLAIN_ERROR, 500, false, false, 1 },
    { " EHLO a\r\n",                         PLAIN_ERROR, 500, false, false, 1 },
    { "\r\n",                                PLAIN_ERROR, 500, false, false, 1 },
    { "NOOP\x01\r\n",                        PLAIN_ERROR, 501, false, false, 1 },
    { "QUIT x\r\n",                          PLAIN_ERROR, 501, false, false, 1 },
    { "QUIT\r\n",                            GOODBYE, 221, false, false, 1 },
    { "GET / HTTP/1.1\r\n",                  GOODBYE, 221, false, false, 1 },
    { "Subject: x\r\n",                      GOODBYE, 221, false, false, 1 },
};

static const struct { const char *bytes; int code; bool closes; } contents[] = {
    { "Subject: x\r\n\r\nbody\r\n.\r\n", 250, false },
    { ".\r\n", 250, false },
    { "MAIL FROM:<smuggled@ext.test>\r\n..\r\n.\r\n", 250, false },
    { "x\n.\nQUIT\r\n.\r\n", 550, true },
    { "x\r.\r\r\n.\r\n", 550, true },
};
/* clang-format on */

enum { ACTS = sizeof acts / sizeof acts[0] };
enum { CONTENTS = sizeof contents / sizeof contents[0] };

static void expect(struct model *m, int code)
{
    ASSERT(m->count < CODES_MOST);
    m->codes[m->count++] = code;
}

static void count_error(struct model *m)
{
    if (++m->errors >= LIMIT_ERRORS) {
        expect(m, 421);
        m->closed = true;
    }
}

static void clear(struct model *m)
{
    m->mail = m->chunks = false;
    m->recipients = m->refused = 0;
}

static int code_of(const struct model *m, const struct act *a)
{
    switch (a->what) {
    case MAIL:
        if (!m->greeted || m->mail)
            return 503;
        return a->parameters && !m->extended ? 555 : a->code;
    case RCPT:
        if (!m->mail || m->chunks)
            return 503;
        return a->parameters && !m->extended ? 555 : a->code;
    case DATA:
        if (!m->mail || m->chunks)
            return 503;
        return m->recipients ? 354 : m->refused ? 554 : 503;
    case DATA_X:
        return m->mail && !m->chunks ? 501 : 503;
    case CHUNK:
    case CHUNK_LAST:
        if (!m->mail || !m->extended)
            return 503;
        return m->recipients ? 250 : m->refused ? 554 : 503;
    case TRUST:
        return m->mail ? 503 : a->code;
    case HELLO:
    case RSET:
    case HARMLESS:
    case PLAIN_ERROR:
    case GOODBYE:
        break;
    }
    return a->code;
}

static void change(struct model *m, const struct act *a, int code)
{
    if (a->what == RSET || (a->what == HELLO && code == 250) ||
        ((a->what == DATA || a->what == CHUNK || a->what == CHUNK_LAST) &&
         code == 554))
        clear(m);
    if (a->what == CHUNK && code == 250)
        m->chunks = true;
    if (a->what == CHUNK_LAST && code == 250) {
        clear(m);
        m->errors = m->junk = 0;
    }
    if (a->what == HELLO && code == 250) {
        m->greeted = true;
        m->extended = a->parameters;
    }
    if (a->what == MAIL && code == 250)
        m->mail = true;
    if (a->what == RCPT && m->mail && !m->chunks) {
        m->recipients += code == 250;
        m->refused += code != 250;
    }
    if (a->what == GOODBYE)
        m->closed = true;
}

/* Says whether content comes next. */
static bool act_on(struct model *m, const struct act *a, bool behind)
{
    int code = code_of(m, a);
    bool refused = code != 354;

    expect(m, code);
    change(m, a, code);
    if (code >= 400)
        count_error(m);
    if (!m->closed && a->junk && ++m->junk > LIMIT_JUNK)
        count_error(m);
    if ((a->what == DATA || a->what == DATA_X) && refused && behind &&
        !m->closed) {
        expect(m, 554);
        m->closed = true;
    }
    return !refused;
}

static void act_on_content(struct model *m, size_t which)
{
    expect(m, contents[which].code);
    m->closed = contents[which].closes;
    clear(m);
    m->errors = m->junk = 0;
}

/* What ends a session comes seldom, so that sequences get long. */
static bool seldom(unsigned *seed)
{
    return rand_r(seed) % 24 == 0;
}

static size_t random_act(unsigned *seed)
{
    unsigned sum = 0, at;

    for (size_t i = 0; i < ACTS; i++)
        sum += acts[i].weight;
    at = (unsigned)rand_r(seed) % sum;
    for (size_t i = 0;; i++) {
        if (at < acts[i].weight)
            return acts[i].what == GOODBYE && !seldom(seed) ? 0 : i;
        at -= acts[i].weight;
    }
}

static void fail_with(unsigned sequence, const struct fake_world *w,
                      const struct buffer *sent, int wanted, int got)
{
    struct buffer shown = { 0 };

    buffer_put_escaped(&shown, buffer_span(sent));
    buffer_put_string(&shown, "\n");
    buffer_put_escaped(&shown, buffer_span(&w->output));
    fail_msg("sequence %u: wanted %d, got %d after %s", sequence, wanted, got,
             buffer_string(&shown));
}

/* Each reply's last line carries the code. */
static void compare(unsigned sequence, struct fake_world *w, struct model *m,
                    const struct buffer *sent)
{
    struct span rest = buffer_span(&w->output);
    size_t n = 0;

    while (rest.len) {
        struct span line = span_split(rest, '\n', &rest);
        int code = (line.at[0] - '0') * 100 + (line.at[1] - '0') * 10 +
                   line.at[2] - '0';

        if (line.at[3] == '-')
            continue;
        if (n == m->count || m->codes[n] != code)
            fail_with(sequence, w, sent, n < m->count ? m->codes[n] : 0, code);
        n++;
    }
    if (n != m->count)
        fail_with(sequence, w, sent, m->codes[n], 0);
    if ((session_wants(w->session) == SESSION_CLOSES) != m->closed)
        fail_with(sequence, w, sent, m->closed, !m->closed);
    buffer_clear(&w->output);
    m->count = 0;
}

static size_t first_of(enum what what)
{
    for (size_t i = 0;; i++)
        if (acts[i].what == what)
            return i;
}

/* Half of the time what a sensible client would do, so that mail gets through
 * before the errors end the session. */
static size_t next_act(const struct model *m, unsigned *seed)
{
    if (rand_r(seed) % 2)
        return random_act(seed);
    return first_of(!m->greeted      ? HELLO
                    : !m->mail       ? MAIL
                    : !m->recipients ? RCPT
                                     : DATA);
}

/* One group of commands, sent in one go. Says how many there were. */
static size_t play_group(unsigned sequence, unsigned *seed,
                         struct fake_world *w, struct model *m,
                         struct buffer *sent)
{
    size_t n = rand_r(seed) % 2 ? 1 : 1 + (size_t)rand_r(seed) % 8;

    buffer_clear(sent);
    for (size_t i = 0; i < n; i++) {
        const struct act *a = &acts[next_act(m, seed)];

        buffer_put_string(sent, a->line);
        if ((a->what == DATA || a->what == DATA_X) && !seldom(seed))
            n = i + 1;
        /* Once it is closed what follows is sent all the same. */
        if (m->closed || !act_on(m, a, i + 1 < n))
            continue;
        size_t which = (size_t)rand_r(seed) % (seldom(seed) ? CONTENTS : 3);

        buffer_put_string(sent, contents[which].bytes);
        act_on_content(m, which);
    }
    fake_feed(w, buffer_span(sent));
    compare(sequence, w, m, sent);
    return n;
}

static void replies_are_those_of_the_reference(void **state)
{
    const char *wanted = getenv("WAYPOST_SEQUENCES");
    unsigned sequences =
        wanted ? (unsigned)strtoul(wanted, NULL, 10) : SEQUENCES;
    struct settings *settings = fake_settings(fake_configuration);
    struct host_address client;
    struct fake_world w = { .settings = settings };
    struct buffer sent = { 0 };
    uint64_t closed = 0, acts_done = 0;

    (void)state;
    assert_true(host_address_parse(SPAN("192.0.2.1"), &client));
    w.world = fake_world_of(&w);
    for (unsigned i = 0; i < sequences; i++) {
        struct model m = { 0 };
        unsigned seed = i;

        w.session = session_new(settings, &settings->listeners[0], &(struct session_client){ .address = client, .name = SPAN("unknown") }, &w.world, fake_start_ms);
        expect(&m, 220);
        fake_take_output(&w);
        for (size_t n = 0; n < LENGTH && !m.closed; acts_done++)
            n += play_group(i, &seed, &w, &m, &sent);
        closed += m.closed;
        session_free(w.session);
        buffer_clear(&w.told);
        buffer_clear(&w.output);
    }
    /* Else the sequences were too short to mean anything. */
    assert_true(w.stored > sequences);
    assert_true(closed > 0 && acts_done > 40 * (uint64_t)sequences);
    w.session = NULL;
    buffer_fini(&sent);
    fake_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_those_of_the_reference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
