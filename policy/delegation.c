/*
 * delegation - asking a policy server: Postfix's protocol of names and values.
 *
 *   request=smtpd_access_policy        (all names, also those without a value, in
 *   protocol_state=RCPT                 Postfix's order, since home-made servers read
 *   ...                                 them so)
 *   <empty line>
 *
 * What cannot be read, or needs what we do not have (FILTER), is unknown: 451, as Postfix
 * answers for a server that is out of order. Owns nothing.
 */
#include "policy/delegation.h"

/* --- the request ----------------------------------------------------------- */

static void put(struct buffer *out, const char *name, struct span value)
{
    buffer_put_string(out, name);
    buffer_put_byte(out, '=');
    for (size_t i = 0; i < value.len; i++) {
        char c = value.at[i];

        buffer_put_byte(out, (unsigned char)c < ' ' || c == 0x7f ? '?' : c);
    }
    buffer_put_byte(out, '\n');
}

static void put_number(struct buffer *out, const char *name, uint64_t n)
{
    buffer_printf(out, "%s=%llu\n", name, (unsigned long long)n);
}

static void put_host(struct buffer *out, const char *name,
                     const struct host_address *a)
{
    buffer_put_string(out, name);
    buffer_put_byte(out, '=');
    host_address_print(out, a);
    buffer_put_byte(out, '\n');
}

static const char *state_of(enum stage stage)
{
    static const char *const names[] = {
        [STAGE_RECIPIENT] = "RCPT",
        [STAGE_CONNECT] = "CONNECT",
        [STAGE_HELLO] = "EHLO",
        [STAGE_SENDER] = "MAIL",
        [STAGE_CONTENT] = "END-OF-MESSAGE",
    };

    return names[stage];
}

static struct span text_of(const struct address *a)
{
    return a ? a->text : SPAN("");
}

static void put_client(struct buffer *out, const struct facts *f,
                       struct span name)
{
    if (name.len == 0)
        name = SPAN("unknown");
    put_host(out, "client_address", &f->client);
    put(out, "client_name", name);
    put_number(out, "client_port", f->client_port);
    put(out, "reverse_client_name", name);
    put_host(out, "server_address", &f->server);
    put_number(out, "server_port", f->server_port);
}

static void put_security(struct buffer *out, const struct facts *f)
{
    struct span print = f->certificate;

    if (span_starts_nocase(print, SPAN("sha256:")))
        print = span_skip(print, sizeof "sha256:" - 1);
    put(out, "sasl_method", f->login.len ? f->mechanism : SPAN(""));
    put(out, "sasl_username", f->login);
    put(out, "sasl_sender", SPAN(""));
    put(out, "ccert_subject", f->certificate_name);
    put(out, "ccert_issuer", SPAN(""));
    put(out, "ccert_fingerprint", print);
    put(out, "ccert_pubkey_fingerprint", SPAN(""));
    put(out, "encryption_protocol", f->tls_version);
    put(out, "encryption_cipher", f->cipher);
    put_number(out, "encryption_keysize", f->tls_bits);
}

/* With the message nobody is named but who is its only recipient, as Postfix has it; so it is
 * asked about once, however many there are. */
static bool is_of_many(const struct facts *f)
{
    return f->stage == STAGE_CONTENT && f->recipient_count > 1;
}

void delegation_write(struct buffer *out, const struct facts *f,
                      struct span client_name)
{
    put(out, "request", SPAN("smtpd_access_policy"));
    put(out, "protocol_state", span_of(state_of(f->stage)));
    put(out, "protocol_name", f->protocol.len ? f->protocol : SPAN("ESMTP"));
    put_client(out, f, client_name);
    put(out, "helo_name", f->helo);
    put(out, "sender", text_of(f->sender));
    put(out, "recipient",
        is_of_many(f) ? SPAN("") : text_of(f->recipient));
    /* Postfix counts them for those who look at the whole message */
    put_number(out, "recipient_count",
               f->stage == STAGE_CONTENT ? f->recipient_count : 0);
    put(out, "queue_id", f->queue_id);
    put(out, "instance", f->session);
    put_number(out, "size", f->size_bytes);
    put(out, "etrn_domain", SPAN(""));
    put(out, "stress", SPAN(""));
    put_security(out, f);
    put(out, "policy_context", SPAN(""));
    buffer_put_byte(out, '\n');
}

/* --- the answer ------------------------------------------------------------ */

static const struct action_row {
    const char *name;
    enum delegation_action action;
    short code; /* of a reply */
} actions[] = {
    /* clang-format off */
    { "DUNNO",           DELEGATION_GOES_ON,         0 },
    { "OK",              DELEGATION_GOES_ON,         0 },
    { "PERMIT",          DELEGATION_GOES_ON,         0 },
    { "REJECT",          DELEGATION_REJECT,          554 },
    { "DEFER",           DELEGATION_DEFER,           450 },
    { "DEFER_IF_PERMIT", DELEGATION_DEFER_IF_PERMIT, 450 },
    { "DEFER_IF_REJECT", DELEGATION_DEFER_IF_REJECT, 450 },
    { "HOLD",            DELEGATION_HOLD,            0 },
    { "DISCARD",         DELEGATION_DISCARD,         0 },
    { "PREPEND",         DELEGATION_PREPEND,         0 },
    { "REDIRECT",        DELEGATION_REDIRECT,        0 },
    { "BCC",             DELEGATION_BCC,             0 },
    { "WARN",            DELEGATION_LOG,             0 },
    { "INFO",            DELEGATION_LOG,             0 },
    /* clang-format on */
};

/* "5.7.1 Not you", "Not you", or nothing; a status of another class is put right. */
static struct reply reply_of(short code, struct span text)
{
    unsigned char class = (unsigned char)(code / 100);
    struct reply r = { .code = code, .status = STATUS(class, 7, 1) };
    struct status status;
    size_t n = status_parse(text, &status);

    if (n) {
        status.class = class;
        r.status = status;
        text = span_skip(text, n);
    }
    r.text = span_trim(text);
    if (r.text.len == 0)
        r.text = code < 500 ? SPAN("Try again later") : SPAN("Access denied");
    return r;
}

/* A field's name and a colon, and no line end behind them. */
static bool is_field(struct span text)
{
    size_t n = span_find(text, ':');

    for (size_t i = 0; i < n && n < text.len; i++)
        if (text.at[i] <= ' ' || text.at[i] >= 0x7f)
            return false;
    return n > 0 && n < text.len && span_find(text, '\r') == text.len &&
           span_find(text, '\n') == text.len;
}

static bool has_what_it_needs(const struct delegation_answer *a)
{
    struct address address;

    if (a->action == DELEGATION_PREPEND)
        return is_field(a->text);
    if (a->action == DELEGATION_REDIRECT || a->action == DELEGATION_BCC)
        return address_parse(a->text, &address) == ADDRESS_OK;
    return true;
}

static struct delegation_answer read_code(struct span answer, uint64_t code)
{
    struct delegation_answer a = { 0 };
    struct span rest = span_trim(span_skip(answer, 3));

    if (code < 400 || code > 599)
        return a;
    a.action = code < 500 ? DELEGATION_DEFER : DELEGATION_REJECT;
    a.reply = reply_of((short)code, rest);
    return a;
}

struct delegation_answer delegation_read(struct span answer)
{
    struct span rest, word;
    struct delegation_answer a = { 0 };
    uint64_t code;

    answer = span_trim(answer);
    word = span_split(answer, ' ', &rest);
    if (word.len == 3 && span_number(word, &code))
        return read_code(answer, code);
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (!span_is_nocase(word, span_of(actions[i].name)))
            continue;
        a.action = actions[i].action;
        a.text = span_trim(rest);
        if (actions[i].code)
            a.reply = reply_of(actions[i].code, a.text);
        if (!has_what_it_needs(&a))
            return (struct delegation_answer){ 0 };
        break;
    }
    return a;
}
