/*
 * diagnosis - what kind of trouble is this reply?
 *
 * The one place where a next hop's words become our decision: whom it concerns and
 * whether to try again. Also our own words for trouble without a reply. Pure.
 */
#ifndef WAYPOST_DIAGNOSIS_H
#define WAYPOST_DIAGNOSIS_H

#include "policy/vocabulary/reply.h"
#include "relay/outbound/client.h"

enum client_stage {
    STAGE_CONNECT, STAGE_GREETING, STAGE_HELO, STAGE_MAIL, STAGE_RCPT, STAGE_DATA,
    STAGE_CONTENT, STAGE_DOT, STAGE_RESET, STAGE_QUIT, STAGE_STARTTLS, STAGE_TLS,
    STAGE_AUTH, STAGE_XFORWARD, STAGE_CHUNK, STAGE_LAST, STAGE_TURN,
    STAGE_IDLE,
};

/* accepted_before: recipients of this transaction accepted before this reply. */
enum diagnosis diagnose(enum client_stage stage, const struct reply *reply,
                        size_t accepted_before);
/* The enhanced status code of a reply, made up from the code where it has none or one
 * of another class. */
struct status diagnose_status(enum client_stage stage, const struct reply *reply);
/* What trouble that is no reply means at this stage: lost, timed out, nonsense said. */
enum diagnosis diagnose_trouble(enum client_stage stage);
/* "(in reply to RCPT TO command)" and the like. */
const char *stage_words(enum client_stage stage);
/* What we were at: "sending RCPT TO", for "lost connection with peer while ...". */
const char *stage_doing(enum client_stage stage);

#endif
