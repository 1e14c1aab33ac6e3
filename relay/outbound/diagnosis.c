/*
 * diagnosis - what kind of trouble is this reply?
 *
 * One row for each stage. Before MAIL every no is the session's: nothing was
 * said about a message, so another host is asked, and a permanent greeting is
 * no bounce (RFC 5321 3.1). From MAIL on 4xx and 5xx mean what they say. After
 * the final dot or BDAT LAST only a reply settles it; anything else leaves us in
 * doubt (RFC 1047).
 *
 * Owns nothing. RFC 5321 4.2.1, 4.5.3.1.10, RFC 3463.
 */
#include "relay/outbound/diagnosis.h"

#include "policy/vocabulary/error.h"

#define DELIVERED  DIAGNOSIS_DELIVERED
#define LATER      DIAGNOSIS_LATER
#define OTHER_HOST DIAGNOSIS_OTHER_HOST
#define FAILED     DIAGNOSIS_FAILED
#define IN_DOUBT   DIAGNOSIS_IN_DOUBT

static const struct stage_row {
    enum diagnosis positive; /* 2xx, where it is an answer about the message */
    enum diagnosis transient, permanent, closing; /* 4xx, 5xx, 421 */
    enum diagnosis trouble; /* lost, timed out, a reply out of place */
    const char *words, *doing;
} stages[] = {
    /* clang-format off */
    [STAGE_CONNECT] = { OTHER_HOST, OTHER_HOST, OTHER_HOST, OTHER_HOST, OTHER_HOST,
        "(while connecting)", "connecting" },
    [STAGE_GREETING] = { OTHER_HOST, OTHER_HOST, OTHER_HOST, OTHER_HOST, OTHER_HOST,
        "(in the server greeting)", "receiving the initial server greeting" },
    [STAGE_HELO] = { OTHER_HOST, OTHER_HOST, OTHER_HOST, OTHER_HOST, OTHER_HOST,
        "(in reply to EHLO command)", "performing the EHLO handshake" },
    [STAGE_MAIL] = { OTHER_HOST, LATER, FAILED, OTHER_HOST, OTHER_HOST,
        "(in reply to MAIL FROM command)", "sending MAIL FROM" },
    [STAGE_RCPT] = { LATER, LATER, FAILED, LATER, LATER,
        "(in reply to RCPT TO command)", "sending RCPT TO" },
    [STAGE_DATA] = { LATER, LATER, FAILED, LATER, LATER,
        "(in reply to DATA command)", "sending DATA command" },
    [STAGE_CONTENT] = { LATER, LATER, FAILED, LATER, LATER,
        "(while sending message body)", "sending message body" },
    [STAGE_DOT] = { DELIVERED, LATER, FAILED, LATER, IN_DOUBT,
        "(in reply to end of DATA command)",
        "sending end of data -- message may be sent more than once" },
    [STAGE_RESET] = { OTHER_HOST, OTHER_HOST, OTHER_HOST, OTHER_HOST, OTHER_HOST,
        "(in reply to RSET command)", "sending RSET" },
    [STAGE_QUIT] = { OTHER_HOST, OTHER_HOST, OTHER_HOST, OTHER_HOST, OTHER_HOST,
        "(in reply to QUIT command)", "sending QUIT command" },
    [STAGE_STARTTLS] = { OTHER_HOST, OTHER_HOST, OTHER_HOST, OTHER_HOST, OTHER_HOST,
        "(in reply to STARTTLS command)", "sending STARTTLS" },
    [STAGE_TLS] = { OTHER_HOST, OTHER_HOST, OTHER_HOST, OTHER_HOST, OTHER_HOST,
        "(while performing the TLS handshake)", "performing the TLS handshake" },
    [STAGE_AUTH] = { OTHER_HOST, OTHER_HOST, OTHER_HOST, OTHER_HOST, OTHER_HOST,
        "(in reply to AUTH command)", "logging in" },
    [STAGE_XFORWARD] = { OTHER_HOST, OTHER_HOST, OTHER_HOST, OTHER_HOST, OTHER_HOST,
        "(in reply to XFORWARD command)", "sending XFORWARD" },
    [STAGE_CHUNK] = { LATER, LATER, FAILED, LATER, LATER,
        "(in reply to BDAT command)", "sending message body" },
    [STAGE_LAST] = { DELIVERED, LATER, FAILED, LATER, IN_DOUBT,
        "(in reply to BDAT LAST command)",
        "sending BDAT LAST -- message may be sent more than once" },
    [STAGE_TURN] = { OTHER_HOST, OTHER_HOST, OTHER_HOST, OTHER_HOST, OTHER_HOST,
        "(in reply to ATRN command)", "sending ATRN" },
    [STAGE_IDLE] = { OTHER_HOST, OTHER_HOST, OTHER_HOST, OTHER_HOST, OTHER_HOST,
        "(while idle)", "idle" },
    /* clang-format on */
};

/*
 * "Too many recipients" is no refusal: the rest goes in another transaction, at
 * once. 552 was its code in RFC 821. A code about the mailbox itself
 * (4.1.x, 4.2.x) is no such thing, and without an accepted recipient the next
 * transaction would fare no better.
 */
static bool is_too_many(const struct reply *r, size_t accepted_before)
{
    const struct status *s = &r->status;

    if (accepted_before == 0)
        return false;
    if (r->code == 452)
        return s->class == 0 || (s->subject != 1 && s->subject != 2);
    return r->code == 552 &&
           (s->class == 0 || (s->subject == 5 && s->detail == 3));
}

enum diagnosis diagnose(enum client_stage stage, const struct reply *reply,
                        size_t accepted_before)
{
    const struct stage_row *row = &stages[stage];

    if (reply->code == 421)
        return row->closing;
    if (stage == STAGE_RCPT && is_too_many(reply, accepted_before))
        return DIAGNOSIS_AGAIN_NOW;
    if (reply_is_transient(reply))
        return row->transient;
    if (reply_is_permanent(reply))
        return row->permanent;
    return reply_is_positive(reply) ? row->positive : row->trouble;
}

enum diagnosis diagnose_trouble(enum client_stage stage)
{
    return stages[stage].trouble;
}

/* Where the peer gave none: what the code alone tells. RFC 5321 4.2.3, RFC
 * 3463. */
static const struct made_up {
    short code;
    struct status status;
} made_up[] = {
    { 421, { 4, 3, 2 } }, { 450, { 4, 2, 0 } },  { 451, { 4, 3, 0 } },
    { 452, { 4, 3, 1 } }, { 455, { 4, 5, 4 } },  { 500, { 5, 5, 2 } },
    { 501, { 5, 5, 4 } }, { 502, { 5, 5, 1 } },  { 503, { 5, 5, 1 } },
    { 504, { 5, 5, 4 } }, { 521, { 5, 3, 2 } },  { 530, { 5, 7, 0 } },
    { 551, { 5, 1, 6 } }, { 552, { 5, 2, 2 } },  { 553, { 5, 1, 3 } },
    { 555, { 5, 5, 4 } }, { 556, { 5, 1, 10 } },
};

struct status diagnose_status(enum client_stage stage,
                              const struct reply *reply)
{
    unsigned char class = (unsigned char)(reply->code / 100);

    ASSERT(class == 2 || class == 4 || class == 5);
    if (reply->status.class == class)
        return reply->status;
    /* said of the message, not of a mailbox */
    if (reply->code == 552 && stage != STAGE_RCPT)
        return STATUS(5, 3, 4);
    if (reply->code == 553 && stage == STAGE_MAIL)
        return STATUS(5, 1, 7);
    for (size_t i = 0; i < sizeof made_up / sizeof made_up[0]; i++)
        if (made_up[i].code == reply->code)
            return made_up[i].status;
    return STATUS(class, 0, 0);
}

const char *stage_words(enum client_stage stage)
{
    return stages[stage].words;
}

const char *stage_doing(enum client_stage stage)
{
    return stages[stage].doing;
}
