/*
 * sasl_dovecot - an exchange that Dovecot judges.
 *
 * Nothing is remembered here: Dovecot has a cache of its own, and it says how the login is
 * really spelled.
 */
#include "relay/inbound/sasl_private.h"

enum sasl_said sasl_dovecot(struct sasl_exchange *x)
{
    static const enum sasl_said said[] = {
        [DOVECOT_MORE] = SASL_MORE,
        [DOVECOT_OK] = SASL_OK,
        [DOVECOT_WRONG] = SASL_WRONG,
        [DOVECOT_UNAVAILABLE] = SASL_UNAVAILABLE,
    };
    struct span r = buffer_span(&x->response), authzid, login, password;
    struct dovecot *d = x->book->dovecot;
    enum sasl_said rc;

    if (x->mechanism == MECHANISM_PLAIN) {
        if (!x->has_response)
            return SASL_MORE;
        if (!sasl_plain_split(r, &authzid, &login, &password))
            return SASL_BAD;
        if (authzid.len && !span_is(authzid, login))
            return SASL_WRONG;
    }
    if (x->link)
        return said[dovecot_go_on(d, &x->link, r, &x->text, &x->login)];
    if (!(x->mechanism & MECHANISMS_CARRIED))
        return SASL_UNAVAILABLE;
    rc = said[dovecot_begin(
        d,
        &(struct dovecot_question){ .mechanism = x->mechanism,
                                    .is_tls = x->is_tls,
                                    .client = x->client,
                                    .has_response = x->has_response,
                                    .response = r },
        &x->link, &x->text, &x->login)];
    sasl_desk_learned(x->desk, x->book);
    return rc;
}
