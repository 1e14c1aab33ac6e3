/*
 * test_dialog - plays tests/dialog/NAME.smtp on the inbound session.
 *
 * A script is lines of
 *
 *   config TEXT        a line of configuration (before anything is said)
 *   own-config         ... which begins empty, not with fake_world's
 *   limit NAME N       a limit, also below what a configuration may say
 *   client ADDRESS     who it is, 192.0.2.1 if not said
 *   as-sent            how input is cut matters: do not also play it cut up
 *   C: LINE            the client sends LINE and CRLF
 *   C+: LINE           the same, held back and sent together with the next
 *   C-raw: BYTES       as they are, with \r \n \t \0 \\ \xHH
 *   C-times: N LINE    the line N times, in one go
 *   S: PATTERN         the server says a line; * matches anything
 *   S-times: N PATTERN N such lines
 *   S-hello            250- lines up to the 250 that ends them
 *   S-offers PATTERN   a line that was said and not heard yet is so
 *   S-offers-not PATTERN
 *   secured [certificate] a handshake is done, with a client certificate or not
 *   asked MECHANISM none|=BYTES   the step of a login that is to be taken ...
 *   login more TEXT    ... and the answer to it; also: ok LOGIN [TEXT], wrong,
 *                      unavailable TEXT, bad
 *   nothing            the server has nothing to say
 *   wait N unit        the clock goes on (ms, s, min)
 *   end-of-input, going-down, answer ok|full|broken
 *   mood NAME...       full, broken, later, or none: how the queue answers
 *   reload TEXT        new settings: a whole configuration on one line
 *   open, closed, turned  what the server makes of the connection
 *   stored N           messages so far; then of the latest:
 *   from A, to A B..., content BYTES (without our Received: line; escapes),
 *   received PATTERN (of that line), id PATTERN (its Message-ID)
 *   told PATTERN       there was such an event
 *   told-not PATTERN
 *
 * Each is played as written, then with all input byte by byte. At its end
 * nothing unheard may be left.
 */
#include "fake_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <dirent.h>
#include <fnmatch.h>
#include <limits.h>

struct play {
    const char *path;
    unsigned line;
    bool bytewise, as_sent, has_begun;
    struct buffer configuration;
    char client[64];
    struct buffer held_back;
    struct fake_world w;
};

static void stop(const struct play *p, const char *what, const char *got)
{
    fail_msg("%s:%u%s: %s, got: %s", p->path, p->line,
             p->bytewise ? " (byte by byte)" : "", what, got);
}

static void begin(struct play *p)
{
    if (p->has_begun)
        return;
    p->has_begun = true;
    fake_open(&p->w, buffer_string(&p->configuration), p->client);
    fake_take_output(&p->w);
}

static void put_unescaped(struct buffer *b, struct span s)
{
    while (s.len) {
        struct span hex;
        char c = s.at[0];
        size_t n = 1;

        if (c == '\\' && s.len > 1) {
            n = 2;
            switch (s.at[1]) {
            case 'r':
                c = '\r';
                break;
            case 'n':
                c = '\n';
                break;
            case 't':
                c = '\t';
                break;
            case '0':
                c = '\0';
                break;
            case 'x':
                ASSERT(s.len > 3);
                hex = span_make(s.at + 2, 2);
                c = (char)strtol((char[]){ hex.at[0], hex.at[1], 0 }, NULL, 16);
                n = 4;
                break;
            default:
                c = s.at[1];
            }
        }
        buffer_put_byte(b, c);
        s = span_skip(s, n);
    }
}

static bool matches(const struct buffer *text, const char *pattern)
{
    struct buffer copy = { 0 };
    struct buffer literal = { 0 };
    bool yes;

    buffer_put(&copy, buffer_span(text));
    /* Only * is special. */
    for (; *pattern; pattern++) {
        if (strchr("?[]\\", *pattern))
            buffer_put_byte(&literal, '\\');
        buffer_put_byte(&literal, *pattern);
    }
    yes = fnmatch(buffer_string(&literal), buffer_string(&copy), 0) == 0;
    buffer_fini(&copy);
    buffer_fini(&literal);
    return yes;
}

static void send_now(struct play *p, struct span bytes)
{
    if (!p->bytewise) {
        fake_feed(&p->w, bytes);
        return;
    }
    for (size_t i = 0; i < bytes.len; i++)
        fake_feed(&p->w, span_make(bytes.at + i, 1));
}

static void send_held_back(struct play *p)
{
    struct buffer all = p->held_back;

    p->held_back = (struct buffer){ 0 };
    send_now(p, buffer_span(&all));
    buffer_fini(&all);
}

/* ------------------------------------------------------------- the words ---
 */

typedef void word_fn(struct play *p, const char *rest);

static void word_client_line(struct play *p, const char *rest)
{
    buffer_put_string(&p->held_back, rest);
    buffer_put_string(&p->held_back, "\r\n");
    send_held_back(p);
}

static void word_client_more(struct play *p, const char *rest)
{
    buffer_put_string(&p->held_back, rest);
    buffer_put_string(&p->held_back, "\r\n");
}

static void word_client_raw(struct play *p, const char *rest)
{
    put_unescaped(&p->held_back, span_of(rest));
    send_held_back(p);
}

static void word_client_times(struct play *p, const char *rest)
{
    char *line;
    long n = strtol(rest, &line, 10);

    while (n-- > 0)
        word_client_more(p, line + 1);
    send_held_back(p);
}

static void word_server_line(struct play *p, const char *rest)
{
    struct buffer line = { 0 };

    if (!fake_heard(&p->w, &line))
        stop(p, rest, "nothing");
    if (!matches(&line, rest))
        stop(p, rest, buffer_string(&line));
    buffer_fini(&line);
}

static void word_server_times(struct play *p, const char *rest)
{
    char *pattern;
    long n = strtol(rest, &pattern, 10);

    while (n-- > 0)
        word_server_line(p, pattern + 1);
}

/* However much is offered. */
static void word_server_hello(struct play *p, const char *rest)
{
    struct buffer line = { 0 };

    (void)rest;
    do
        if (!fake_heard(&p->w, &line) ||
            !span_starts_nocase(buffer_span(&line), SPAN("250")))
            stop(p, "250", buffer_string(&line));
    while (line.at[3] == '-');
    buffer_fini(&line);
}

static bool is_offered(const struct play *p, const char *pattern)
{
    struct span rest = buffer_span(&p->w.output);

    while (rest.len) {
        struct span line = span_split(rest, '\r', &rest);
        struct buffer copy = { 0 };
        bool yes;

        if (line.len && line.at[0] == '\n')
            line = span_skip(line, 1);
        buffer_put(&copy, line);
        yes = matches(&copy, pattern);
        buffer_fini(&copy);
        if (yes)
            return true;
    }
    return false;
}

static void word_server_offers(struct play *p, const char *rest)
{
    if (!is_offered(p, rest))
        stop(p, rest, buffer_string(&p->w.output));
}

static void word_server_offers_not(struct play *p, const char *rest)
{
    if (is_offered(p, rest))
        stop(p, rest, buffer_string(&p->w.output));
}

static void word_secured(struct play *p, const char *rest)
{
    if (session_wants(p->w.session) != SESSION_STARTS_TLS)
        stop(p, "a handshake", "no wish for it");
    fake_secure(&p->w, strcmp(rest, "certificate") == 0 ? &fake_tls_certificate
                                                        : &fake_tls);
}

static void word_asked(struct play *p, const char *rest)
{
    const struct session_login *l = session_login(p->w.session);
    struct buffer wanted = { 0 }, got = { 0 };

    if (!l)
        stop(p, rest, "no step");
    buffer_printf(&got, "%s ", mechanism_name(l->mechanism));
    if (l->has_response) {
        buffer_put_byte(&got, '=');
        buffer_put(&got, l->response);
    } else {
        buffer_put_string(&got, "none");
    }
    put_unescaped(&wanted, span_of(rest));
    if (!span_is(buffer_span(&wanted), buffer_span(&got)))
        stop(p, rest, buffer_string(&got));
    buffer_fini(&wanted);
    buffer_fini(&got);
}

static void word_login(struct play *p, const char *rest)
{
    static const char *const names[] = { "more", "ok", "wrong", "unavailable",
                                         "bad", NULL };
    struct span text, kind = span_split(span_of(rest), ' ', &text);
    struct buffer words = { 0 }, login = { 0 };
    int said = 0;

    while (names[said] && !span_is(kind, span_of(names[said])))
        said++;
    ASSERT(names[said]);
    if (!session_login(p->w.session))
        stop(p, rest, "no step");
    if (said == SASL_OK)
        buffer_put(&login, span_split(text, ' ', &text));
    buffer_put(&words, text);
    fake_login(&p->w, (enum sasl_said)said, buffer_string(&words),
               buffer_string(&login));
    buffer_fini(&words);
    buffer_fini(&login);
}

static void word_nothing(struct play *p, const char *rest)
{
    (void)rest;
    if (p->w.output.len)
        stop(p, "silence", buffer_string(&p->w.output));
}

static void word_wait(struct play *p, const char *rest)
{
    char *unit;
    long n = strtol(rest, &unit, 10);

    unit += *unit == ' ';
    if (strcmp(unit, "s") == 0)
        n *= 1000;
    else if (strcmp(unit, "min") == 0)
        n *= 60000;
    else if (strcmp(unit, "ms") != 0)
        stop(p, "ms, s or min", unit);
    fake_wait(&p->w, n);
}

static void word_end_of_input(struct play *p, const char *rest)
{
    (void)rest;
    session_end_of_input(p->w.session, p->w.now_ms);
    fake_take_output(&p->w);
}

static void word_going_down(struct play *p, const char *rest)
{
    (void)rest;
    session_shut_down(p->w.session, SESSION_GOING_DOWN, p->w.now_ms);
    fake_take_output(&p->w);
}

static void word_answer(struct play *p, const char *rest)
{
    fake_answer(&p->w, strcmp(rest, "full") == 0     ? ERROR_FULL
                       : strcmp(rest, "broken") == 0 ? ERROR_STORE
                                                     : 0);
}

static void word_mood(struct play *p, const char *rest)
{
    p->w.mood = (strstr(rest, "full") ? FAKE_FULL : 0) |
                (strstr(rest, "broken") ? FAKE_BROKEN : 0) |
                (strstr(rest, "later") ? FAKE_LATER : 0);
}

static void word_reload(struct play *p, const char *rest)
{
    struct settings *s;

    buffer_clear(&p->configuration);
    buffer_put_string(&p->configuration, rest);
    s = fake_settings(buffer_string(&p->configuration));
    session_reload(p->w.session, s, &s->listeners[0]);
    settings_release(s);
}

static void word_open(struct play *p, const char *rest)
{
    (void)rest;
    if (session_wants(p->w.session) == SESSION_CLOSES)
        stop(p, "open", "closed");
}

static void word_closed(struct play *p, const char *rest)
{
    (void)rest;
    if (session_wants(p->w.session) != SESSION_CLOSES)
        stop(p, "closed", "open");
}

static void word_turned(struct play *p, const char *rest)
{
    (void)rest;
    if (session_wants(p->w.session) != SESSION_TURNS)
        stop(p, "turned", "not turned");
}

static void word_stored(struct play *p, const char *rest)
{
    if (p->w.stored != (uint64_t)strtol(rest, NULL, 10)) {
        char got[32];

        (void)snprintf(got, sizeof got, "%llu",
                       (unsigned long long)p->w.stored);
        stop(p, rest, got);
    }
}

static void expect(struct play *p, const char *wanted, struct buffer *got)
{
    if (!span_is(span_of(wanted), buffer_span(got)))
        stop(p, wanted, buffer_string(got));
}

static void word_from(struct play *p, const char *rest)
{
    expect(p, rest, &p->w.sender);
}

static void word_to(struct play *p, const char *rest)
{
    expect(p, rest, &p->w.recipients);
}

/* Where the content of the client begins: behind one Received: field. */
static size_t trace_length(const struct buffer *content)
{
    struct span rest = buffer_span(content);

    do {
        rest = span_skip(rest, span_find(rest, '\n') + 1);
    } while (rest.len && rest.at[0] == '\t');
    return content->len - rest.len;
}

static void word_content(struct play *p, const char *rest)
{
    struct buffer wanted = { 0 };
    struct span got = buffer_span(&p->w.content);

    put_unescaped(&wanted, span_of(rest));
    got = span_skip(got, trace_length(&p->w.content));
    if (!span_is(buffer_span(&wanted), got)) {
        struct buffer shown = { 0 };

        buffer_put_escaped(&shown, got);
        stop(p, rest, buffer_string(&shown));
    }
    if (p->w.envelope.size_bytes != p->w.content.len)
        stop(p, "the true size", "another");
    buffer_fini(&wanted);
}

static void word_received(struct play *p, const char *rest)
{
    struct buffer trace = { 0 };
    struct buffer shown = { 0 };

    buffer_put(&trace, span_first(buffer_span(&p->w.content),
                                  trace_length(&p->w.content)));
    for (size_t i = 0; i < trace.len; i++)
        if (trace.at[i] != '\r' && trace.at[i] != '\n')
            buffer_put_byte(&shown, trace.at[i] == '\t' ? ' ' : trace.at[i]);
    if (!matches(&shown, rest))
        stop(p, rest, buffer_string(&shown));
    buffer_fini(&trace);
    buffer_fini(&shown);
}

static void word_id(struct play *p, const char *rest)
{
    if (!matches(&p->w.message_id, rest))
        stop(p, rest, buffer_string(&p->w.message_id));
}

static bool was_told(struct play *p, const char *pattern)
{
    struct span rest = buffer_span(&p->w.told);

    while (rest.len) {
        struct span line = span_split(rest, '\n', &rest);
        struct buffer copy = { 0 };
        bool yes;

        buffer_put(&copy, line);
        yes = matches(&copy, pattern);
        buffer_fini(&copy);
        if (yes)
            return true;
    }
    return false;
}

static void word_told(struct play *p, const char *rest)
{
    if (!was_told(p, rest))
        stop(p, rest, buffer_string(&p->w.told));
}

static void word_told_not(struct play *p, const char *rest)
{
    if (was_told(p, rest))
        stop(p, rest, buffer_string(&p->w.told));
}

static void word_config(struct play *p, const char *rest)
{
    ASSERT(!p->has_begun);
    buffer_put_string(&p->configuration, rest);
    buffer_put_byte(&p->configuration, '\n');
}

static void word_client(struct play *p, const char *rest)
{
    (void)snprintf(p->client, sizeof p->client, "%s", rest);
}

static void word_own_config(struct play *p, const char *rest)
{
    (void)rest;
    buffer_clear(&p->configuration);
}

static void word_limit(struct play *p, const char *rest)
{
    struct limits *l = &p->w.settings->limits;
    struct span number, name = span_split(span_of(rest), ' ', &number);
    uint64_t n = 0;

    ASSERT(span_number(number, &n));
    if (span_is(name, SPAN("message")))
        l->message_bytes = n;
    else if (span_is(name, SPAN("header")))
        l->header_bytes = n;
    else if (span_is(name, SPAN("command-line")))
        l->command_line = (uint32_t)n;
    else if (span_is(name, SPAN("recipients")))
        l->recipients = (uint32_t)n;
    else if (span_is(name, SPAN("hops")))
        l->hops = (uint32_t)n;
    else if (span_is(name, SPAN("errors")))
        l->errors = (uint32_t)n;
    else
        stop(p, "a known limit", rest);
}

static void word_as_sent(struct play *p, const char *rest)
{
    (void)rest;
    p->as_sent = true;
}

/* clang-format off */
static const struct word {
    const char *name;
    word_fn *run;
    bool is_setting;              /* comes before the session is opened */
} words[] = {
    { "config", word_config, true },
    { "own-config", word_own_config, true },
    { "client", word_client, true },
    { "limit", word_limit, false },
    { "as-sent", word_as_sent, true },
    { "C:", word_client_line, false },
    { "C+:", word_client_more, false },
    { "C-raw:", word_client_raw, false },
    { "C-times:", word_client_times, false },
    { "S:", word_server_line, false },
    { "S-times:", word_server_times, false },
    { "S-hello", word_server_hello, false },
    { "S-offers", word_server_offers, false },
    { "S-offers-not", word_server_offers_not, false },
    { "secured", word_secured, false },
    { "asked", word_asked, false },
    { "login", word_login, false },
    { "nothing", word_nothing, false },
    { "wait", word_wait, false },
    { "end-of-input", word_end_of_input, false },
    { "going-down", word_going_down, false },
    { "answer", word_answer, false },
    { "mood", word_mood, false },
    { "reload", word_reload, false },
    { "open", word_open, false },
    { "closed", word_closed, false },
    { "turned", word_turned, false },
    { "stored", word_stored, false },
    { "from", word_from, false },
    { "to", word_to, false },
    { "content", word_content, false },
    { "received", word_received, false },
    { "id", word_id, false },
    { "told", word_told, false },
    { "told-not", word_told_not, false },
};
/* clang-format on */

static void run_line(struct play *p, char *line)
{
    size_t n = strcspn(line, " \n");
    char *rest = line + n + (line[n] == ' ');

    rest[strcspn(rest, "\n")] = '\0';
    if (n == 0 || line[0] == '#')
        return;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strlen(words[i].name) != n || strncmp(words[i].name, line, n) != 0)
            continue;
        if (!words[i].is_setting)
            begin(p);
        words[i].run(p, rest);
        return;
    }
    stop(p, "a known word", line);
}

/* Says whether it may also be played cut up. */
static bool play(const char *path, bool bytewise)
{
    struct play p = { .path = path, .bytewise = bytewise };
    FILE *f = fopen(path, "re");
    char *line = NULL;
    size_t size = 0;

    assert_non_null(f);
    buffer_put_string(&p.configuration, fake_configuration);
    (void)snprintf(p.client, sizeof p.client, "192.0.2.1");
    while (getline(&line, &size, f) >= 0) {
        p.line++;
        run_line(&p, line);
    }
    begin(&p);
    if (p.w.output.len)
        stop(&p, "no more", buffer_string(&p.w.output));
    free(line);
    (void)fclose(f);
    fake_close(&p.w);
    buffer_fini(&p.configuration);
    buffer_fini(&p.held_back);
    return !p.as_sent;
}

static void a_dialog_goes_as_written(void **state)
{
    if (play(*state, false))
        (void)play(*state, true);
}

static int is_script(const struct dirent *d)
{
    const char *dot = strrchr(d->d_name, '.');

    return dot && strcmp(dot, ".smtp") == 0;
}

/* Arguments: a folder, or single scripts. */
int main(int argc, char **argv)
{
    enum { MOST = 200 };
    static struct CMUnitTest tests[MOST];
    const char *folder = argc > 1 ? argv[1] : DIALOG_FOLDER;
    struct dirent **names = NULL;
    int n = scandir(folder, &names, is_script, alphasort);

    if (n < 1 || n > MOST)
        return 1;
    for (int i = 0; i < n; i++) {
        char *path = NULL;

        if (asprintf(&path, "%s/%s", folder, names[i]->d_name) < 0)
            return 1;
        tests[i] =
            (struct CMUnitTest){ strrchr(path, '/') + 1,
                                 a_dialog_goes_as_written, NULL, NULL, path };
        free(names[i]);
    }
    free(names);
    return _cmocka_run_group_tests("dialogs", tests, (size_t)n, NULL, NULL);
}
