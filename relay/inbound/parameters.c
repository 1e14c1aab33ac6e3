/*
 * parameters - what follows the path of MAIL and RCPT.
 *
 *   parameters = *( SP keyword [ "=" value ] )
 *   keyword    = ( ALPHA / DIGIT ) *( ALPHA / DIGIT / "-" )
 *   value      = 1*( any byte from 33 to 126 but "=" )
 *
 * Each may be given once. One that we know and do not offer is unknown (555)
 * whatever its form; a bare word that nobody knows is no parameter at all (501).
 */
#include "relay/inbound/parameters.h"

#include "policy/vocabulary/limits.h"
#include "policy/vocabulary/xtext.h"
#include "queue/queue.h"
#include "relay/inbound/moment.h"

enum { ENVID_MOST = 100, ORCPT_MOST = 500, BY_DIGITS_MOST = 9 };

/* What a reader is given, and where it puts what it understood. */
struct reading {
    const struct parameter_terms *terms;
    struct span value;
    struct mail_parameters *mail;
    struct rcpt_parameters *rcpt;
};

typedef enum parameter_fault parameter_fn(struct reading *r);

static enum parameter_fault verdict(bool is_good)
{
    return is_good ? PARAMETER_OK : PARAMETER_SYNTAX;
}

/* RFC 1870: up to 20 digits; longer numbers are no sizes. */
static enum parameter_fault read_size(struct reading *r)
{
    return verdict(r->value.len <= 20 && span_number(r->value, &r->mail->size));
}

/* RFC 6152, RFC 3030. */
static enum parameter_fault read_body(struct reading *r)
{
    if (span_is_nocase(r->value, SPAN("7BIT")))
        r->mail->body = BODY_7BIT;
    else if (span_is_nocase(r->value, SPAN("8BITMIME")))
        r->mail->body = BODY_8BITMIME;
    else if (span_is_nocase(r->value, SPAN("BINARYMIME")))
        r->mail->body = BODY_BINARYMIME;
    else
        return PARAMETER_SYNTAX;
    return PARAMETER_OK;
}

static enum parameter_fault read_smtputf8(struct reading *r)
{
    r->mail->smtputf8 = true;
    return PARAMETER_OK;
}

/* RFC 4954 5. We vouch for nobody's word: what can be read goes on as "<>". Not only
 * mailboxes stand here, Dovecot tells the name of a login. */
static enum parameter_fault read_auth(struct reading *r)
{
    struct buffer text = { .cap = LIMIT_PATH };
    bool is_good =
        span_is(r->value, SPAN("<>")) || xtext_decode(r->value, &text);

    buffer_clear(&text);
    is_good = is_good || xtext_decode_utf8(r->value, false, &text);
    buffer_fini(&text);
    r->mail->is_unvouched = true;
    return verdict(is_good);
}

/* RFC 3461 4.3 */
static enum parameter_fault read_ret(struct reading *r)
{
    if (span_is_nocase(r->value, SPAN("FULL")))
        r->mail->ret = SPAN("FULL");
    else if (span_is_nocase(r->value, SPAN("HDRS")))
        r->mail->ret = SPAN("HDRS");
    return verdict(r->mail->ret.len > 0);
}

/* RFC 3461 4.4 */
static enum parameter_fault read_envid(struct reading *r)
{
    struct buffer text = { .cap = ENVID_MOST };
    bool is_good = r->value.len <= ENVID_MOST && xtext_decode(r->value, &text);

    buffer_fini(&text);
    r->mail->envid = r->value;
    return verdict(is_good);
}

/* RFC 2852 4: ["-" / "+"] 1*9DIGIT ";" ( "N" / "R" ) [ "T" ] */
static enum parameter_fault read_by(struct reading *r)
{
    struct span mode, number = span_split(r->value, ';', &mode);
    bool is_negative = number.len && number.at[0] == '-';
    bool has_sign = is_negative || (number.len && number.at[0] == '+');
    uint64_t seconds;
    int64_t ms;

    number = span_skip(number, has_sign);
    if (number.len > BY_DIGITS_MOST || !span_number(number, &seconds) ||
        mode.len < 1 || mode.len > 2 ||
        (mode.len == 2 && ascii_lower(mode.at[1]) != 't'))
        return PARAMETER_SYNTAX;
    if (ascii_lower(mode.at[0]) == 'r')
        r->mail->deliver_by_mode = DELIVER_BY_RETURN;
    else if (ascii_lower(mode.at[0]) == 'n')
        r->mail->deliver_by_mode = DELIVER_BY_NOTIFY;
    else
        return PARAMETER_SYNTAX;
    ms = (int64_t)seconds * 1000;
    if (r->mail->deliver_by_mode == DELIVER_BY_RETURN) {
        if (is_negative || seconds == 0)
            return PARAMETER_SYNTAX;
        if (seconds < LIMIT_DELIVER_BY_MIN_S)
            return PARAMETER_TOO_SOON;
    }
    r->mail->deliver_by_trace = mode.len == 2;
    r->mail->deliver_by_ms = r->terms->now_ms + (is_negative ? -ms : ms);
    return PARAMETER_OK;
}

/* RFC 4865 5; one of the two, and what lies in the past is now. */
static enum parameter_fault hold_until(struct reading *r, int64_t at_ms)
{
    if (r->mail->release_ms)
        return PARAMETER_SYNTAX;
    if (at_ms > r->terms->now_ms + r->terms->release_most_ms)
        return PARAMETER_TOO_LATE;
    r->mail->release_ms = at_ms > r->terms->now_ms ? at_ms : r->terms->now_ms;
    return PARAMETER_OK;
}

static enum parameter_fault read_holdfor(struct reading *r)
{
    uint64_t seconds;

    if (r->value.len > 9 || !span_number(r->value, &seconds))
        return PARAMETER_SYNTAX;
    return hold_until(r, r->terms->now_ms + (int64_t)seconds * 1000);
}

static enum parameter_fault read_holduntil(struct reading *r)
{
    int64_t at_ms;

    if (!moment_parse(r->value, &at_ms))
        return PARAMETER_SYNTAX;
    return hold_until(r, at_ms);
}

/* RFC 6710 5: ["-"] "1" to "9", or "0" */
static enum parameter_fault read_priority(struct reading *r)
{
    bool is_negative = r->value.at[0] == '-';
    struct span digit = span_skip(r->value, is_negative);

    if (digit.len != 1 || digit.at[0] < '0' + is_negative || digit.at[0] > '9')
        return PARAMETER_SYNTAX;
    r->mail->priority = digit.at[0] - '0';
    if (is_negative)
        r->mail->priority = -r->mail->priority;
    return PARAMETER_OK;
}

/* Two delimiters: what stands before the recipient in the reverse-path, and
 * what in place of its "@". */
static enum parameter_fault read_verp(struct reading *r)
{
    r->mail->verp = r->value.len ? r->value : SPAN("+=");
    for (size_t i = 0; i < r->mail->verp.len; i++)
        if (!is_one_of(r->mail->verp.at[i], "-=+"))
            return PARAMETER_SYNTAX;
    return verdict(r->mail->verp.len == 2);
}

/* RFC 3461 4.1 */
static enum parameter_fault read_notify(struct reading *r)
{
    static const struct {
        const char *word;
        unsigned bit;
    } words[] = {
        { "NEVER", NOTIFY_NEVER },
        { "SUCCESS", NOTIFY_SUCCESS },
        { "FAILURE", NOTIFY_FAILURE },
        { "DELAY", NOTIFY_DELAY },
    };
    unsigned all = 0;
    struct span rest = r->value;

    do {
        struct span word = span_split(rest, ',', &rest);
        unsigned bit = 0;

        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
            if (span_is_nocase(word, span_of(words[i].word)))
                bit = words[i].bit;
        if (bit == 0)
            return PARAMETER_SYNTAX;
        all |= bit;
    } while (rest.at);
    r->rcpt->notify = all;
    return verdict(!(all & NOTIFY_NEVER) || all == NOTIFY_NEVER);
}

/* RFC 3461 4.2, RFC 6533 3 */
static enum parameter_fault read_orcpt(struct reading *r)
{
    struct buffer text = { .cap = ORCPT_MOST };
    bool is_good = r->value.len <= ORCPT_MOST &&
                   xtext_decode_orcpt(r->value, r->terms->smtputf8, &text);

    buffer_fini(&text);
    r->rcpt->orcpt = r->value;
    return verdict(is_good);
}

/* What of a value is asked; the least that a row says. */
enum value_form {
    VALUE_NONE,
    VALUE_GIVEN,
    VALUE_MAY_BE, /* may be left out, may hold "=" */
    VALUE_UTF8,   /* given, may hold UTF-8 */
};

enum where { IN_MAIL, IN_RCPT };

/* Those without a reader are known, and not offered to anybody. */
static const struct known {
    const char *keyword;
    enum where where;
    unsigned needs; /* of enum parameter_offer, besides OFFERS_EXTENSIONS */
    enum value_form form;
    parameter_fn *read;
} table[] = {
    { "SIZE", IN_MAIL, 0, VALUE_GIVEN, read_size },
    { "BODY", IN_MAIL, 0, VALUE_GIVEN, read_body },
    { "SMTPUTF8", IN_MAIL, 0, VALUE_NONE, read_smtputf8 },
    { "AUTH", IN_MAIL, 0, VALUE_GIVEN, read_auth },
    { "RET", IN_MAIL, 0, VALUE_GIVEN, read_ret },
    { "ENVID", IN_MAIL, 0, VALUE_GIVEN, read_envid },
    { "BY", IN_MAIL, 0, VALUE_GIVEN, read_by },
    { "HOLDFOR", IN_MAIL, OFFERS_RELEASE, VALUE_GIVEN, read_holdfor },
    { "HOLDUNTIL", IN_MAIL, OFFERS_RELEASE, VALUE_GIVEN, read_holduntil },
    { "MT-PRIORITY", IN_MAIL, 0, VALUE_GIVEN, read_priority },
    { "XVERP", IN_MAIL, OFFERS_VERP, VALUE_MAY_BE, read_verp },
    { "REQUIRETLS", IN_MAIL, 0, VALUE_NONE, NULL },
    { "NOTIFY", IN_RCPT, 0, VALUE_GIVEN, read_notify },
    { "ORCPT", IN_RCPT, 0, VALUE_UTF8, read_orcpt },
};

enum { KNOWN = sizeof table / sizeof table[0] };

static bool is_alnum(char c)
{
    c = ascii_lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_keyword(struct span s)
{
    if (s.len == 0 || !is_alnum(s.at[0]))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_alnum(s.at[i]) && s.at[i] != '-')
            return false;
    return true;
}

static bool is_value(struct span s, enum value_form form)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];

        if (c < 33 || c == 127 || (c > 127 && form != VALUE_UTF8) ||
            (c == '=' && form != VALUE_MAY_BE))
            return false;
    }
    return s.len > 0;
}

static const struct known *find(struct span keyword, enum where where)
{
    for (size_t i = 0; i < KNOWN; i++)
        if (table[i].where == where &&
            span_is_nocase(keyword, span_of(table[i].keyword)))
            return &table[i];
    return NULL;
}

static enum parameter_fault read_one(struct reading *r, struct span word,
                                     enum where where, unsigned *seen)
{
    size_t n = span_find(word, '=');
    struct span keyword = span_first(word, n);
    bool has_value = n < word.len;
    unsigned needs = OFFERS_EXTENSIONS;
    const struct known *k;

    if (!is_keyword(keyword))
        return PARAMETER_SYNTAX;
    k = find(keyword, where);
    r->value = span_skip(word, n + 1);
    if (has_value && !is_value(r->value, k ? k->form : VALUE_GIVEN))
        return PARAMETER_SYNTAX;
    if (!k)
        return has_value ? PARAMETER_UNKNOWN : PARAMETER_SYNTAX;
    needs |= k->needs;
    if (!k->read || (r->terms->offers & needs) != needs)
        return PARAMETER_UNKNOWN;
    if (*seen & 1u << (k - table))
        return PARAMETER_SYNTAX;
    *seen |= 1u << (k - table);
    if (k->form != VALUE_MAY_BE && has_value != (k->form != VALUE_NONE))
        return PARAMETER_SYNTAX;
    return k->read(r);
}

static struct span trim_end(struct span s)
{
    while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
        s.len--;
    return s;
}

static enum parameter_fault read_all(struct reading *r, struct span rest,
                                     enum where where)
{
    unsigned seen = 0;

    rest = trim_end(rest);
    if (rest.len && rest.at[0] != ' ')
        return PARAMETER_SYNTAX;
    for (;;) {
        enum parameter_fault fault;
        struct span word;

        while (rest.len && rest.at[0] == ' ')
            rest = span_skip(rest, 1);
        if (rest.len == 0)
            return PARAMETER_OK;
        word = span_first(rest, span_find(rest, ' '));
        rest = span_skip(rest, word.len);
        if ((fault = read_one(r, word, where, &seen)))
            return fault;
    }
}

/* To be kept for longer than it may take altogether. */
static bool is_returned_unsent(const struct mail_parameters *all)
{
    return all->deliver_by_ms && all->deliver_by_mode == DELIVER_BY_RETURN &&
           all->release_ms >= all->deliver_by_ms;
}

enum parameter_fault parameters_of_mail(struct span rest,
                                        const struct parameter_terms *terms,
                                        struct mail_parameters *out_parameters)
{
    struct mail_parameters all = { 0 };
    struct reading r = { .terms = terms, .mail = &all };
    enum parameter_fault fault = read_all(&r, rest, IN_MAIL);

    if (fault == PARAMETER_OK && is_returned_unsent(&all))
        fault = PARAMETER_TOO_LATE;
    if (fault == PARAMETER_OK)
        *out_parameters = all;
    return fault;
}

enum parameter_fault parameters_of_rcpt(struct span rest,
                                        const struct parameter_terms *terms,
                                        struct rcpt_parameters *out_parameters)
{
    struct rcpt_parameters all = { 0 };
    struct reading r = { .terms = terms, .rcpt = &all };
    enum parameter_fault fault = read_all(&r, rest, IN_RCPT);

    if (fault == PARAMETER_OK)
        *out_parameters = all;
    return fault;
}
