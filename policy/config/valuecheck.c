/*
 * valuecheck - is the text of a key what it should be?
 */
#include "policy/config/valuecheck.h"

#include "policy/config/value.h"
#include "policy/vocabulary/address.h"

bool valuecheck_domain(struct reading *r, const struct syntax_text *t,
                       struct span *value)
{
    struct buffer folded = { 0 };
    bool ok = domain_fold(t->text, &folded) == 0;

    if (ok)
        *value = arena_copy(r->arena, buffer_span(&folded));
    else
        faults_add(&r->faults, t->place, "%s is not a domain",
                   faults_quote(&r->faults, t->text));
    buffer_fini(&folded);
    return ok;
}

/* What is said in banner, EHLO and Received: as written, but plain ASCII. */
bool valuecheck_hostname(struct reading *r, const struct syntax_text *t,
                         struct span *value)
{
    struct host_address ignored;

    if (t->text.len && t->text.at[0] == '[' &&
        host_literal_parse(t->text, &ignored))
        return true;
    return valuecheck_domain(r, t, value);
}

bool valuecheck_address(struct reading *r, const struct syntax_text *t,
                        struct span *value)
{
    struct address ignored;

    (void)value;
    if (address_parse(t->text, &ignored) == ADDRESS_OK)
        return true;
    faults_add(&r->faults, t->place, "%s is not an address",
               faults_quote(&r->faults, t->text));
    return false;
}

bool valuecheck_path(struct reading *r, const struct syntax_text *t,
                     struct span *value)
{
    (void)value;
    if (t->text.len)
        return true;
    faults_add(&r->faults, t->place, "the name of a file is empty");
    return false;
}

bool valuecheck_socket(struct reading *r, const struct syntax_text *t,
                       struct span *value)
{
    if (t->text.len <= LIMIT_SOCKET_PATH)
        return valuecheck_path(r, t, value);
    faults_add(&r->faults, t->place,
               "the path of a socket has at most %d bytes, and this one has %zu",
               LIMIT_SOCKET_PATH, t->text.len);
    return false;
}

bool valuecheck_tag(struct reading *r, const struct syntax_text *t,
                    struct span *value)
{
    (void)value;
    for (size_t i = 0; i < t->text.len; i++) {
        if (strchr(" :[]", t->text.at[i]) || t->text.at[i] & 0x80) {
            faults_add(&r->faults, t->place,
                       "a syslog tag has no spaces, colons or brackets");
            return false;
        }
    }
    return valuecheck_path(r, t, value);
}

/* Whether the machine has it is seen when it is needed. */
bool valuecheck_account(struct reading *r, const struct syntax_text *t,
                        struct span *value)
{
    (void)value;
    if (t->text.len)
        return true;
    faults_add(&r->faults, t->place, "the name of an account is empty");
    return false;
}

/* "127.0.0.1@5301", "2001:db8::53" */
bool valuecheck_server(struct reading *r, const struct syntax_text *t,
                       struct span *value)
{
    struct span port_text, host = span_split(t->text, '@', &port_text);
    struct host_address ignored;
    uint16_t port;

    (void)value;
    if (host_address_parse(host, &ignored) &&
        (!port_text.at || value_port(port_text, &port)))
        return true;
    faults_add(&r->faults, t->place,
               "%s is not an address of a name server, such as 192.0.2.53 or "
               "127.0.0.1@5301",
               faults_quote(&r->faults, t->text));
    return false;
}
