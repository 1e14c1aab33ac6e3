/*
 * advice - what kind of trouble is it, and what can an administrator do?
 *
 * Two tables: from what was seen to a kind of failure, and from that to a sentence. Kinds
 * stand in the order in which they are met on the way to a host, so the greater of two is
 * the one that came further, and says more. Pure.
 */
#ifndef WAYPOST_ADVICE_H
#define WAYPOST_ADVICE_H

#include "relay/outbound/diagnosis.h"

/* clang-format off */
enum failure {
    FAILURE_NONE,
    FAILURE_NAME, FAILURE_NO_ROUTE, FAILURE_TIME,
    FAILURE_NO_DOMAIN, FAILURE_NO_DATA, FAILURE_UNSAFE, FAILURE_OWN, FAILURE_NULL_MX,
    FAILURE_LOOKUP, FAILURE_NO_HOST, FAILURE_SECRET, FAILURE_ASSURANCE,
    FAILURE_CONNECT, FAILURE_FORBIDDEN, FAILURE_UNREACHABLE, FAILURE_SILENT, FAILURE_REFUSED,
    FAILURE_SOCKET_GONE, FAILURE_SOCKET_CLOSED,
    FAILURE_SESSION,
    FAILURE_GREETING_SILENT, FAILURE_GREETING_LOST, FAILURE_GREETING_LATER,
    FAILURE_GREETING_NO, FAILURE_NOT_SMTP,
    FAILURE_HELLO,
    FAILURE_TLS_MISSING, FAILURE_TLS_REFUSED, FAILURE_TLS_BROKEN,
    FAILURE_CERTIFICATE, FAILURE_CERTIFICATE_ISSUER, FAILURE_CERTIFICATE_NAME,
    FAILURE_CERTIFICATE_EARLY, FAILURE_CERTIFICATE_ENDED, FAILURE_CERTIFICATE_DANE,
    FAILURE_LOGIN_NEEDS_TLS, FAILURE_LOGIN_LATER, FAILURE_LOGIN,
    FAILURE_FOLDER, FAILURE_NO_USER,
    FAILURE_SENDER, FAILURE_MAILBOX_LATER, FAILURE_MAILBOX,
    FAILURES
};
/* clang-format on */

/* Of a verdict that a name alone decides (itinerary's), by its status. */
enum failure advice_of_name(struct status status);
/* Of an address that could not be connected to: -errno. */
enum failure advice_of_connect(int rc);
/* Of a session that ended at this stage, before the host was free for mail; code: the reply
 * that ended it, or 0. */
enum failure advice_of_session(enum client_stage stage, short code,
                               const struct client_outcome *trouble);
/* Of a transaction that only asks; code: of the refusal, or 0. */
enum failure advice_of_mailbox(enum client_stage stage, short code,
                               const struct client_outcome *o);
/* One sentence or two, to a person who runs the relay; empty: none. */
const char *advice_words(enum failure f);

#endif
