/*
 * command - one command line, taken apart.
 *
 *   command    = verb [1*WSP argument] *WSP
 *   verb       = 1*( any byte but space, tab and controls )
 *   mail       = "FROM:" path *( SP parameter )
 *   rcpt       = "TO:" path *( SP parameter )
 *   parameter  = keyword [ "=" value ]
 *   keyword    = ( ALPHA / DIGIT ) *( ALPHA / DIGIT / "-" )
 *   value      = 1*( any byte from 33 to 126 but "=" )
 *
 * A parameter that we know and do not offer is unknown (555) whatever its form;
 * a bare word that nobody knows is no parameter at all (501).
 */
#include "relay/inbound/command.h"

static bool is_control(char c)
{
    unsigned char u = (unsigned char)c;

    return (u < 32 && u != '\t') || u == 127;
}

static bool is_alnum(char c)
{
    c = ascii_lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static struct span trim_end(struct span s)
{
    while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
        s.len--;
    return s;
}

enum command_kind command_split(struct span line, struct command *out_command)
{
    size_t n = 0;
    bool has_colon = false;

    for (size_t i = 0; i < line.len; i++)
        if (is_control(line.at[i]))
            return COMMAND_CONTROL;
    for (; n < line.len && line.at[n] != ' ' && line.at[n] != '\t'; n++)
        has_colon |= line.at[n] == ':';
    if (n == 0)
        return COMMAND_GARBAGE;
    if (has_colon)
        return COMMAND_HEADER;
    out_command->verb = span_first(line, n);
    out_command->argument = span_trim(span_skip(line, n));
    return COMMAND_VERB;
}

bool command_path(struct span argument, struct span keyword,
                  struct span *out_path)
{
    if (!span_starts_nocase(argument, keyword))
        return false;
    *out_path = span_skip(argument, keyword.len);
    return true;
}

bool command_is_client_name(struct span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] <= 32 || name.at[i] > 126)
            return false;
    return name.len > 0;
}

struct parameter {
    struct span keyword, value;
    bool has_value;
};

static bool parameter_split(struct span word, struct parameter *out_parameter)
{
    size_t n = span_find(word, '=');
    struct parameter p = {
        .keyword = span_first(word, n),
        .value = span_skip(word, n + 1),
        .has_value = n < word.len,
    };

    if (p.keyword.len == 0 || !is_alnum(p.keyword.at[0]))
        return false;
    for (size_t i = 0; i < p.keyword.len; i++)
        if (!is_alnum(p.keyword.at[i]) && p.keyword.at[i] != '-')
            return false;
    if (p.has_value && p.value.len == 0)
        return false;
    for (size_t i = 0; i < p.value.len; i++)
        if (p.value.at[i] < 33 || p.value.at[i] == '=')
            return false;
    *out_parameter = p;
    return true;
}

typedef enum parameter_fault parameter_fn(const struct parameter *p,
                                          struct mail_parameters *out);

static enum parameter_fault read_size(const struct parameter *p,
                                      struct mail_parameters *out)
{
    /* RFC 1870: up to 20 digits; longer numbers are no sizes. */
    if (out->has_size || p->value.len > 20 ||
        !span_number(p->value, &out->size))
        return PARAMETER_SYNTAX;
    out->has_size = true;
    return PARAMETER_OK;
}

static enum parameter_fault read_body(const struct parameter *p,
                                      struct mail_parameters *out)
{
    if (out->has_body)
        return PARAMETER_SYNTAX;
    out->has_body = true;
    if (span_is_nocase(p->value, SPAN("7BIT")))
        out->body = BODY_7BIT;
    else if (span_is_nocase(p->value, SPAN("8BITMIME")))
        out->body = BODY_8BITMIME;
    else if (span_is_nocase(p->value, SPAN("BINARYMIME")))
        return PARAMETER_UNKNOWN;
    else
        return PARAMETER_SYNTAX;
    return PARAMETER_OK;
}

static enum parameter_fault read_smtputf8(const struct parameter *p,
                                          struct mail_parameters *out)
{
    if (out->smtputf8 || p->has_value)
        return PARAMETER_SYNTAX;
    out->smtputf8 = true;
    return PARAMETER_OK;
}

/* Those without a reader are known, and not offered. */
static const struct known_parameter {
    const char *keyword;
    bool in_mail, in_rcpt;
    parameter_fn *read;
} known_parameters[] = {
    { "SIZE", true, false, read_size },
    { "BODY", true, false, read_body },
    { "SMTPUTF8", true, false, read_smtputf8 },
    { "AUTH", true, false, NULL },
    { "RET", true, false, NULL },
    { "ENVID", true, false, NULL },
    { "REQUIRETLS", true, false, NULL },
    { "NOTIFY", false, true, NULL },
    { "ORCPT", false, true, NULL },
};

static const struct known_parameter *find_parameter(struct span keyword,
                                                    bool in_mail)
{
    for (size_t i = 0; i < sizeof known_parameters / sizeof known_parameters[0];
         i++) {
        const struct known_parameter *k = &known_parameters[i];

        if ((in_mail ? k->in_mail : k->in_rcpt) &&
            span_is_nocase(keyword, span_of(k->keyword)))
            return k;
    }
    return NULL;
}

static enum parameter_fault one_parameter(struct span word, bool in_mail,
                                          bool extended,
                                          struct mail_parameters *out)
{
    struct parameter p;
    const struct known_parameter *known;

    if (!parameter_split(word, &p))
        return PARAMETER_SYNTAX;
    known = find_parameter(p.keyword, in_mail);
    if (!known && !p.has_value)
        return PARAMETER_SYNTAX;
    if (!known || !known->read || !extended)
        return PARAMETER_UNKNOWN;
    return known->read(&p, out);
}

static enum parameter_fault all_parameters(struct span rest, bool in_mail,
                                           bool extended,
                                           struct mail_parameters *out)
{
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
        if ((fault = one_parameter(word, in_mail, extended, out)))
            return fault;
    }
}

enum parameter_fault command_mail_parameters(
    struct span rest, bool extended, struct mail_parameters *out_parameters)
{
    struct mail_parameters all = { 0 };
    enum parameter_fault fault = all_parameters(rest, true, extended, &all);

    if (fault == PARAMETER_OK)
        *out_parameters = all;
    return fault;
}

enum parameter_fault command_rcpt_parameters(struct span rest)
{
    struct mail_parameters none = { 0 };

    return all_parameters(rest, false, true, &none);
}
