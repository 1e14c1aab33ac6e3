/*
 * test_client_esmtp - parameters, XFORWARD, BDAT, LMTP and conversion, as scripts.
 */
#include "client_play.h"

#include "queue/queue.h"

/* clang-format off */
#define BASE   .hostname = SPAN_INIT("us"), .timeouts = &client_timeouts_default
#define SENDER .sender = SPAN_INIT("s@x"), .size_bytes = 5

static const struct client_options
    chunking = { BASE, .chunking = true },
    lmtp = { BASE, .is_lmtp = true },
    lmtp_chunking = { BASE, .is_lmtp = true, .chunking = true },
    forward = { BASE, .xforward = true };

/* The scripts' clock stands at 1000 ms. */
static const struct envelope
    plain = { SENDER },
    dsn = { SENDER, .ret = SPAN_INIT("HDRS"), .envid = SPAN_INIT("a+b c") },
    urgent = { SENDER, .priority = -3 },
    by_notify = { SENDER, .deliver_by_ms = 121999, .deliver_by_trace = true },
    by_late = { SENDER, .deliver_by_ms = -9500 },
    by_return = { SENDER, .deliver_by_ms = 121999,
                  .deliver_by_mode = DELIVER_BY_RETURN },
    binary = { SENDER, .body = BODY_BINARYMIME, .has_8bit = true },
    eight = { SENDER, .has_8bit = true, .body = BODY_8BITMIME },
    utf8 = { SENDER, .smtputf8 = true }, /* needed by addresses alone */
    outsider = { SENDER, .client = SPAN_INIT("2001:db8::1"),
                 .client_name = SPAN_INIT("c=d.test"), .helo = SPAN_INIT("he lo"),
                 .protocol = SPAN_INIT("ESMTPSA") },
    local = { SENDER, .client_name = SPAN_INIT("unknown"), .protocol = SPAN_INIT("SMTP") };

static const struct client_recipient
    one[] = { { SPAN_INIT("a@b") } },
    three[] = { { SPAN_INIT("a@b") }, { SPAN_INIT("c@b") }, { SPAN_INIT("d@b") } },
    notify[] = {
        { SPAN_INIT("a+z@b"), NOTIFY_SUCCESS | NOTIFY_DELAY },
        { SPAN_INIT("c@b"), NOTIFY_NEVER, SPAN_INIT("rfc822;o=p@q") },
        { SPAN_INIT("d@b"), 0, SPAN_INIT("x400;/S=m/") },
        { SPAN_INIT("f@b"), 0, SPAN_INIT("x y;\r\n") },
        { SPAN_INIT("e@b"), 0 } },
    by_people[] = {
        { SPAN_INIT("a@b") }, { SPAN_INIT("c@b"), NOTIFY_SUCCESS },
        { SPAN_INIT("d@b"), NOTIFY_NEVER } },
    umlaut[] = { { SPAN_INIT("\xc3\xa4@b"), NOTIFY_FAILURE } };

#define TAKE(e, to, n) { .envelope = (e), .recipients = (to), .count = (n) }
enum { PLAIN, THREE, DSN, URGENT, BY_NOTIFY, BY_LATE, BY_RETURN, BINARY, EIGHT, UMLAUT,
       OUTSIDER, LOCAL, VERP, MAY_BINARY, MAY_EIGHT, LATE_RETURN, DECLARED = 16,
       BY_PEOPLE };

static const struct client_transaction transactions[] = {
    [PLAIN] = TAKE(&plain, one, 1), [THREE] = TAKE(&plain, three, 3),
    [DSN] = TAKE(&dsn, notify, 5), [URGENT] = TAKE(&urgent, one, 1),
    [BY_NOTIFY] = TAKE(&by_notify, one, 1), [BY_LATE] = TAKE(&by_late, one, 1),
    [BY_RETURN] = TAKE(&by_return, one, 1), [BINARY] = TAKE(&binary, one, 1),
    [EIGHT] = TAKE(&eight, one, 1), [UMLAUT] = TAKE(&utf8, umlaut, 1),
    [OUTSIDER] = TAKE(&outsider, one, 1), [LOCAL] = TAKE(&local, one, 1),
    [VERP] = { .envelope = &plain, .sender = SPAN_INIT("s+a=b@x"), .recipients = one,
               .count = 1 },
    [DECLARED] = TAKE(&utf8, one, 1), [BY_PEOPLE] = TAKE(&by_notify, by_people, 3),
    [MAY_BINARY] = { .envelope = &binary, .recipients = one, .count = 1,
                     .may_convert = true },
    [MAY_EIGHT] = { .envelope = &eight, .recipients = one, .count = 1,
                    .may_convert = true },
};

#define HELLO      "S:220 mx ready\r\n", "C:EHLO us\r\n"
#define CHUNKY     HELLO, "S:250-mx\r\n250 CHUNKING\r\n"
#define PIPED      HELLO, "S:250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
#define MAIL       "C:MAIL FROM:<s@x>\r\n"
#define RCPT       "C:RCPT TO:<a@b>\r\n"
#define OK         "S:250 ok\r\n"
#define BODY_ONE   CHUNKY, "start 0", MAIL, OK, RCPT, OK, "=SENDS", "C:"
#define BODY_PIPED PIPED, "start 0", "C:MAIL FROM:<s@x>\r\nRCPT TO:<a@b>\r\n", \
                   "S:250 ok\r\n250 ok\r\n", "=SENDS", "C:"
#define LHLO       "S:220 mx ready\r\n", "C:LHLO us\r\n"
#define LMTP_THREE LHLO, "S:250-mx\r\n250 PIPELINING\r\n", "start 1", \
                   "C:MAIL FROM:<s@x>\r\nRCPT TO:<a@b>\r\nRCPT TO:<c@b>\r\n" \
                   "RCPT TO:<d@b>\r\nDATA\r\n"
#define DELIVERED_ONE "out:DELIVERED 2.0.0 250 ok\n"

/* NOLINTBEGIN(bugprone-suspicious-missing-comma): long lines are broken */
static const struct script scripts[] = {
    { "DSN: parameters to a peer that knows them", NULL, {
        HELLO, "S:250-mx\r\n250-DSN\r\n250 PIPELINING\r\n", "start 2",
        "C:MAIL FROM:<s@x> RET=HDRS ENVID=a+2Bb+20c\r\n"
        "RCPT TO:<a+z@b> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bz@b\r\n"
        "RCPT TO:<c@b> NOTIFY=NEVER ORCPT=rfc822;o+3Dp@q\r\n"
        "RCPT TO:<d@b> ORCPT=x400;/S+3Dm/\r\n"
        "RCPT TO:<f@b> ORCPT=rfc822;x+20y;+0D+0A\r\n"
        "RCPT TO:<e@b>\r\nDATA\r\n",
        "S:250 ok\r\n250 ok\r\n550 5.1.1 no\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n",
        "body:x\r\n", "C:x\r\n.\r\n", OK,
        "out:DELIVERED 2.0.0 250 ok (dsn)\n"
        "FAILED 5.1.1 550 5.1.1 no (in reply to RCPT TO command)\n"
        "DELIVERED 2.0.0 250 ok\nDELIVERED 2.0.0 250 ok\nDELIVERED 2.0.0 250 ok\n" } },
    { "DSN: none to a peer that does not", NULL, {
        HELLO, "S:250-mx\r\n250 PIPELINING\r\n", "start 2",
        "C:MAIL FROM:<s@x>\r\nRCPT TO:<a+z@b>\r\nRCPT TO:<c@b>\r\nRCPT TO:<d@b>\r\n"
        "RCPT TO:<f@b>\r\nRCPT TO:<e@b>\r\nDATA\r\n",
        "S:250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", "body:",
        "C:.\r\n", OK,
        DELIVERED_ONE "DELIVERED 2.0.0 250 ok\nDELIVERED 2.0.0 250 ok\nDELIVERED 2.0.0 250 ok\n"
        "DELIVERED 2.0.0 250 ok\n" } },
    { "DSN: an ORCPT in UTF-8", NULL, {
        HELLO, "S:250-mx\r\n250-DSN\r\n250-SMTPUTF8\r\n250-8BITMIME\r\n250 PIPELINING\r\n",
        "start 9", "C:MAIL FROM:<s@x> SMTPUTF8\r\n"
        "RCPT TO:<\xc3\xa4@b> NOTIFY=FAILURE ORCPT=utf-8;\xc3\xa4@b\r\nDATA\r\n" } },
    { "MT-PRIORITY where offered", NULL, {
        HELLO, "S:250-mx\r\n250 MT-PRIORITY MIXER\r\n", "start 3",
        "C:MAIL FROM:<s@x> MT-PRIORITY=-3\r\n" } },
    { "MT-PRIORITY where not offered, or nothing is urgent", NULL, {
        HELLO, "S:250 mx\r\n", "start 3", MAIL, "S:450 no\r\n", "next", "=FREE" } },
    { "SMTPUTF8: declared and not needed, it is not missed", NULL, {
        HELLO, "S:250 mx\r\n", "start 16", MAIL } },
    { "SMTPUTF8: declared and not needed, it goes on where it can", NULL, {
        HELLO, "S:250-mx\r\n250 SMTPUTF8\r\n", "start 16",
        "C:MAIL FROM:<s@x> SMTPUTF8\r\n" } },
    { "SMTPUTF8: an address in UTF-8 needs it", NULL, {
        HELLO, "S:250 mx\r\n", "start 9", "=DONE", "C:",
        "out:OTHER_HOST 5.6.7 SMTPUTF8 is required, but was not offered by peer\n" } },
    { "DELIVERBY: what is left of the time", NULL, {
        HELLO, "S:250-mx\r\n250 DELIVERBY 120\r\n", "start 4",
        "C:MAIL FROM:<s@x> BY=120;NT\r\n" } },
    { "DELIVERBY: a wish is not told to a peer that would refuse it", NULL, {
        HELLO, "S:250-mx\r\n250 DELIVERBY 121\r\n", "start 4", MAIL } },
    { "DELIVERBY: who does not know it is asked to tell of delays", NULL, {
        HELLO, "S:250-mx\r\n250-PIPELINING\r\n250 DSN\r\n", "start 17",
        "C:MAIL FROM:<s@x>\r\n"
        "RCPT TO:<a@b> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a@b\r\n"
        "RCPT TO:<c@b> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;c@b\r\n"
        "RCPT TO:<d@b> NOTIFY=NEVER ORCPT=rfc822;d@b\r\nDATA\r\n" } },
    { "DELIVERBY: who knows it needs no other word", NULL, {
        HELLO, "S:250-mx\r\n250-PIPELINING\r\n250-DELIVERBY\r\n250 DSN\r\n", "start 17",
        "C:MAIL FROM:<s@x> BY=120;NT\r\nRCPT TO:<a@b>\r\n"
        "RCPT TO:<c@b> NOTIFY=SUCCESS ORCPT=rfc822;c@b\r\n"
        "RCPT TO:<d@b> NOTIFY=NEVER ORCPT=rfc822;d@b\r\nDATA\r\n" } },
    { "DELIVERBY: mode R and LMTP, which delivers", &lmtp, {
        LHLO, "S:250 mx\r\n", "start 6", MAIL } },
    { "DELIVERBY: it is over, and only told", NULL, {
        HELLO, "S:250-mx\r\n250 DELIVERBY\r\n", "start 5", "C:MAIL FROM:<s@x> BY=-10;N\r\n" } },
    { "DELIVERBY: mode N goes anywhere", NULL, {
        HELLO, "S:250 mx\r\n", "start 4", MAIL } },
    { "DELIVERBY: mode R where offered", NULL, {
        HELLO, "S:250-mx\r\n250 DELIVERBY 60\r\n", "start 6",
        "C:MAIL FROM:<s@x> BY=120;R\r\n" } },
    { "DELIVERBY: mode R goes nowhere else", NULL, {
        HELLO, "S:250 mx\r\n", "start 6", "=DONE", "C:",
        "out:OTHER_HOST 5.3.3 message must be delivered by a point in time, but DELIVERBY "
        "was not offered by peer\n", "next", "=FREE" } },
    { "DELIVERBY: mode R and a peer that takes its time", NULL, {
        HELLO, "S:250-mx\r\n250 DELIVERBY 240\r\n", "start 6", "=DONE", "C:",
        "out:OTHER_HOST 5.4.7 message must be delivered sooner than peer promises\n" } },
    { "a VERP sender", NULL, {
        HELLO, "S:250 mx\r\n", "start 12", "C:MAIL FROM:<s+a=b@x>\r\n" } },

    { "XFORWARD before MAIL, its reply disregarded", &forward, {
        HELLO, "S:250-mx\r\n250 XFORWARD NAME ADDR PROTO HELO SOURCE PORT\r\n",
        "start 10", "C:XFORWARD NAME=c+3Dd.test ADDR=IPV6:2001:db8::1 PROTO=ESMTP "
        "HELO=he+20lo SOURCE=REMOTE\r\n", "=READS", "S:501 no\r\n", MAIL } },
    { "XFORWARD: only what is offered, and anew for each message", &forward, {
        HELLO, "S:250-mx\r\n250-PIPELINING\r\n250 XFORWARD SOURCE NAME ADDR PROTO\r\n",
        "start 11", "C:XFORWARD NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE] PROTO=SMTP "
        "SOURCE=LOCAL\r\n", OK, "C:MAIL FROM:<s@x>\r\nRCPT TO:<a@b>\r\nDATA\r\n",
        "S:450 no\r\n503 no\r\n503 no\r\n", "=DONE", "next", "=FREE", "start 11",
        "C:XFORWARD NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE] PROTO=SMTP SOURCE=LOCAL\r\n" } },
    { "XFORWARD is not for everybody", NULL, {
        HELLO, "S:250-mx\r\n250 XFORWARD NAME\r\n", "start 10", MAIL } },

    { "BDAT: one chunk", &chunking, {
        BODY_ONE, "body:.x\r\n", "C:BDAT 4 LAST\r\n.x\r\n", "=READS", OK, "=DONE",
        DELIVERED_ONE, "next", "=FREE", "C:" } },
    { "BDAT: nothing at all", &chunking, {
        BODY_ONE, "body:", "C:BDAT 0 LAST\r\n", OK, DELIVERED_ONE } },
    { "BDAT: a last line without its end gets one", &chunking, {
        BODY_ONE, "body:x", "C:BDAT 3 LAST\r\nx\r\n", OK, DELIVERED_ONE } },
    { "BDAT: chunk by chunk where nothing is pipelined", &chunking, {
        BODY_ONE, "part:a\r", "C:BDAT 2\r\na\r", "=READS", OK, "=SENDS", "part:\nb",
        "C:BDAT 2\r\n\nb", OK, "body:", "C:BDAT 2 LAST\r\n\r\n", "=READS", OK, "=DONE",
        DELIVERED_ONE, "next", "=FREE" } },
    { "BDAT: chunks without a wait where it is", &chunking, {
        BODY_PIPED, "part:a\r\n", "part:", "part:b\r\n", "=SENDS",
        "C:BDAT 3\r\na\r\nBDAT 3\r\nb\r\n", OK, "=SENDS", "body:c\r\n",
        "C:BDAT 3 LAST\r\nc\r\n", "=READS", OK, "=READS", "S:250 2.0.0 queued\r\n",
        "=DONE", "out:DELIVERED 2.0.0 250 2.0.0 queued\n", "next", "=FREE" } },
    { "BDAT: a chunk too many was answered", &chunking, {
        BODY_PIPED, "part:a\r\n", "C:BDAT 3\r\na\r\n", OK, OK, "=DONE",
        "out:LATER 4.5.0 peer broke the protocol: 250 ok (in reply to BDAT command)\n",
        "next", "=CLOSES" } },
    { "BDAT: not offered, or not wanted", NULL, {
        CHUNKY, "start 0", MAIL, OK, RCPT, OK, "C:DATA\r\n" } },
    { "BDAT: all refused, not a byte of content", &chunking, {
        PIPED, "start 0", "C:MAIL FROM:<s@x>\r\nRCPT TO:<a@b>\r\n",
        "S:250 ok\r\n550 no\r\n", "=DONE", "C:", "next", "C:RSET\r\n", OK, "=FREE" } },
    { "BDAT: a chunk refused, the others unanswered", &chunking, {
        BODY_PIPED, "part:a\r\n", "part:b\r\n", "C:BDAT 3\r\na\r\nBDAT 3\r\nb\r\n",
        "S:552 5.3.4 too big\r\n", "=READS", "body:late\r\n", "C:", "S:503 5.5.1 no\r\n",
        "=DONE", "out:FAILED 5.3.4 552 5.3.4 too big (in reply to BDAT command)\n", "next",
        "C:RSET\r\n", "=READS", OK, "=FREE", "trouble:" } },
    { "BDAT: a chunk refused when all was sent", &chunking, {
        BODY_PIPED, "part:a\r\n", "body:b\r\n", "C:BDAT 3\r\na\r\nBDAT 3 LAST\r\nb\r\n",
        "S:452 4.3.1 full\r\n", "=READS", "S:250 ok\r\n", "=DONE",
        "out:LATER 4.3.1 452 4.3.1 full (in reply to BDAT command)\n", "next",
        "C:RSET\r\n" } },
    { "BDAT: the last chunk refused", &chunking, {
        BODY_ONE, "body:a\r\n", "C:BDAT 3 LAST\r\na\r\n", "S:554 5.6.0 spam\r\n", "=DONE",
        "out:FAILED 5.6.0 554 5.6.0 spam (in reply to BDAT LAST command)\n", "next",
        "=FREE" } },
    { "R20: CHUNKING offered, BDAT out of place: DATA is said instead", &chunking, {
        BODY_PIPED, "body:a\r\n", "C:BDAT 3 LAST\r\na\r\n", "S:503 5.5.1 what\r\n",
        "=DONE", "about:chunking",
        "out:AGAIN_NOW 4.5.1 503 5.5.1 what (in reply to BDAT LAST command)\n", "next",
        "C:RSET\r\n", OK, "=FREE", "start 0",
        "C:MAIL FROM:<s@x>\r\nRCPT TO:<a@b>\r\nDATA\r\n" } },
    { "R20: BDAT unknown: what was a chunk may have been read as commands", &chunking, {
        BODY_PIPED, "part:a\r\n", "C:BDAT 3\r\na\r\n", "S:500 what\r\n", "=DONE",
        "about:chunking", "out:AGAIN_NOW 4.5.2 500 what (in reply to BDAT command)\n",
        "next", "=CLOSES" } },
    { "a 503 to the second chunk is a refusal", &chunking, {
        BODY_ONE, "part:a\r\n", "C:BDAT 3\r\na\r\n", OK, "part:b\r\n", "C:BDAT 3\r\nb\r\n",
        "S:503 no\r\n", "=DONE", "about:",
        "out:FAILED 5.5.1 503 no (in reply to BDAT command)\n" } },
    { "BDAT: a bare LF never leaves", &chunking, {
        BODY_PIPED, "part:a\r\n", "C:BDAT 3\r\na\r\n", "part:b\n", "C:", "=READS", OK,
        "=DONE", "out:LATER 4.6.0 message content has a bare CR or LF\n", "next",
        "C:RSET\r\n" } },
    { "BDAT: nor does a CR at the very end", &chunking, {
        BODY_ONE, "body:a\r", "=DONE", "C:" } },
    { "BDAT: lost after LAST", &chunking, {
        BODY_PIPED, "part:a\r\n", "body:b\r\n", "C:BDAT 3\r\na\r\nBDAT 3 LAST\r\nb\r\n", OK,
        "lost:", "out:IN_DOUBT 4.4.2 lost connection with peer while sending BDAT LAST -- "
        "message may be sent more than once\n" } },
    { "BDAT: lost while LAST was still with us", &chunking, {
        BODY_ONE, "body:b\r\n", "lost:",
        "out:LATER 4.4.2 lost connection with peer while sending message body\n" } },

    { "BINARYMIME leaves by BDAT, byte for byte", NULL, {
        HELLO, "S:250-mx\r\n250-SIZE\r\n250-CHUNKING\r\n250 BINARYMIME\r\n", "start 7",
        "C:MAIL FROM:<s@x> SIZE=5 BODY=BINARYMIME\r\n", OK, RCPT, OK, "original",
        "part:\n\r", "C:BDAT 2\r\n\n\r", OK, "body:x", "C:BDAT 1 LAST\r\nx", OK,
        DELIVERED_ONE } },
    { "BINARYMIME without CHUNKING is none", NULL, {
        HELLO, "S:250-mx\r\n250-8BITMIME\r\n250 BINARYMIME\r\n", "start 7", "=DONE", "C:",
        "out:OTHER_HOST 5.6.3 message needs 8BITMIME or BINARYMIME, but it was not "
        "offered by peer\n" } },
    { "binary content may be converted", NULL, {
        HELLO, "S:250-mx\r\n250-8BITMIME\r\n250 SIZE 100\r\n", "start 13", "convert", MAIL,
        OK, RCPT, OK, "C:DATA\r\n", "S:354 go\r\n", "body:x\r\n", "C:x\r\n.\r\n", OK,
        DELIVERED_ONE } },
    { "8-bit content may be converted", &chunking, {
        HELLO, "S:250-mx\r\n250-SIZE\r\n250 CHUNKING\r\n", "start 14", MAIL, "convert", OK,
        RCPT, OK, "body:=C3\r\n", "C:BDAT 5 LAST\r\n=C3\r\n", OK, DELIVERED_ONE } },
    { "8-bit content is not converted where it need not be", NULL, {
        HELLO, "S:250-mx\r\n250 8BITMIME\r\n", "start 14", "original",
        "C:MAIL FROM:<s@x> BODY=8BITMIME\r\n" } },
    { "conversion fails after some of it was sent", NULL, {
        HELLO, "S:250 mx\r\n", "start 14", MAIL, OK, RCPT, OK, "C:DATA\r\n", "S:354 go\r\n",
        "part:x\r\n", "refused:signed content", "=DONE", "C:",
        "out:FAILED 5.6.3 signed content\n", "next", "=CLOSES", "C:" } },
    { "conversion fails, and BDAT lets us go on", &chunking, {
        CHUNKY, "start 14", MAIL, OK, RCPT, OK, "part:x\r\n", "C:BDAT 3\r\nx\r\n", OK,
        "refused:signed content", "=DONE", "C:", "out:FAILED 5.6.3 signed content\n",
        "next", "C:RSET\r\n", OK, "=FREE" } },

    { "LMTP: a reply for each", &lmtp, {
        LMTP_THREE, "S:250 ok\r\n250 ok\r\n550 5.1.1 no\r\n250 ok\r\n354 go\r\n",
        "body:x\r\n", "C:x\r\n.\r\n", "S:250 2.1.5 a\r\n", "=READS",
        "S:452 4.2.2 full\r\n", "=DONE",
        "out:DELIVERED 2.1.5 250 2.1.5 a\n"
        "FAILED 5.1.1 550 5.1.1 no (in reply to RCPT TO command)\n"
        "LATER 4.2.2 452 4.2.2 full (in reply to end of DATA command)\n",
        "next", "=FREE", "C:" } },
    { "LMTP: lost between the replies", &lmtp, {
        LMTP_THREE, "S:250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", "body:x\r\n",
        "C:x\r\n.\r\n", "S:250 a\r\n550 5.2.1 b\r\n", "lost:", "=DONE",
        "out:DELIVERED 2.0.0 250 a\n"
        "FAILED 5.2.1 550 5.2.1 b (in reply to end of DATA command)\n"
        "IN_DOUBT 4.4.2 lost connection with peer while sending end of data -- message "
        "may be sent more than once\n", "next", "=CLOSES" } },
    { "LMTP: one reply too many", &lmtp, {
        LHLO, "S:250 mx\r\n", "start 0", MAIL, OK, RCPT, OK, "C:DATA\r\n", "S:354 go\r\n",
        "body:x\r\n", "C:x\r\n.\r\n", "S:250 ok\r\n250 ok\r\n", "=DONE", DELIVERED_ONE,
        "next", "=CLOSES" } },
    { "LMTP: all refused, and 354 all the same", &lmtp, {
        LMTP_THREE, "S:250 ok\r\n550 no\r\n550 no\r\n550 no\r\n354 go\r\n", "=DONE", "C:",
        "next", "=CLOSES" } },
    { "LMTP by BDAT", &lmtp_chunking, {
        LHLO, "S:250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n", "start 1",
        "C:MAIL FROM:<s@x>\r\nRCPT TO:<a@b>\r\nRCPT TO:<c@b>\r\nRCPT TO:<d@b>\r\n",
        "S:250 ok\r\n250 ok\r\n250 ok\r\n550 no\r\n", "part:x\r\n", "body:y\r\n",
        "C:BDAT 3\r\nx\r\nBDAT 3 LAST\r\ny\r\n", "S:250 chunk\r\n", "=READS",
        "S:250 a\r\n", "=READS", "S:451 b\r\n", "=DONE",
        "out:DELIVERED 2.0.0 250 a\n"
        "LATER 4.3.0 451 b (in reply to BDAT LAST command)\n"
        "FAILED 5.0.0 550 no (in reply to RCPT TO command)\n", "next", "=FREE" } },
    { "LMTP by BDAT: refused on the way, and nobody knows how many replies follow",
        &lmtp_chunking, {
        LHLO, "S:250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n", "start 0",
        "C:MAIL FROM:<s@x>\r\nRCPT TO:<a@b>\r\n", "S:250 ok\r\n250 ok\r\n", "part:x\r\n",
        "body:y\r\n", "C:BDAT 3\r\nx\r\nBDAT 3 LAST\r\ny\r\n", "S:452 full\r\n", "=DONE",
        "out:LATER 4.3.1 452 full (in reply to BDAT command)\n", "next", "=CLOSES" } },
};
/* NOLINTEND(bugprone-suspicious-missing-comma) */

static const struct stage matrix[] = {
    { "XFORWARD", &forward, { HELLO, "S:250-mx\r\n250 XFORWARD NAME\r\n", "start 10",
        "C:XFORWARD NAME=c+3Dd.test\r\n" }, {
        "OTHER_HOST 4.4.2 CLOSES", "MAIL FROM:<s@x>", "MAIL FROM:<s@x>",
        "OTHER_HOST 4.3.2 CLOSES", "OTHER_HOST 4.4.2 CLOSES", "OTHER_HOST 4.5.0 CLOSES" } },
    { "between chunks", &chunking, { BODY_PIPED }, {
        "LATER 4.4.2 CLOSES", "LATER 4.7.0 CLOSES", "FAILED 5.7.0 CLOSES",
        "LATER 4.3.2 CLOSES", "LATER 4.4.2 CLOSES", "LATER 4.5.0 CLOSES" } },
    { "a chunk, pipelined", &chunking, { BODY_PIPED, "part:a\r\n", "C:BDAT 3\r\na\r\n" }, {
        "LATER 4.4.2 CLOSES", "LATER 4.7.0 READS", "FAILED 5.7.0 READS",
        "LATER 4.3.2 CLOSES", "LATER 4.4.2 CLOSES", "LATER 4.5.0 CLOSES" } },
    { "a chunk", &chunking, { BODY_ONE, "part:a\r\n", "C:BDAT 3\r\na\r\n" }, {
        "LATER 4.4.2 CLOSES", "LATER 4.7.0 READS", "FAILED 5.7.0 READS",
        "LATER 4.3.2 CLOSES", "LATER 4.4.2 CLOSES", "LATER 4.5.0 CLOSES" } },
    { "the last chunk", &chunking, { BODY_ONE, "body:a\r\n", "C:BDAT 3 LAST\r\na\r\n" }, {
        "IN_DOUBT 4.4.2 CLOSES", "LATER 4.7.0 FREE", "FAILED 5.7.0 FREE",
        "LATER 4.3.2 CLOSES", "IN_DOUBT 4.4.2 CLOSES", "IN_DOUBT 4.5.0 CLOSES" } },
    { "after a refused chunk", &chunking, { BODY_PIPED, "part:a\r\n", "part:b\r\n",
        "C:BDAT 3\r\na\r\nBDAT 3\r\nb\r\n", "S:452 4.3.1 no\r\n" }, {
        "LATER 4.3.1 CLOSES", "LATER 4.3.1 READS", "LATER 4.3.1 READS",
        "LATER 4.3.1 CLOSES", "LATER 4.3.1 CLOSES", "LATER 4.3.1 CLOSES" } },
    { "LMTP's dot", &lmtp, { LHLO, "S:250 mx\r\n", "start 0", MAIL, OK, RCPT, OK,
        "C:DATA\r\n", "S:354 go\r\n", "body:x\r\n", "C:x\r\n.\r\n" }, {
        "IN_DOUBT 4.4.2 CLOSES", "LATER 4.7.0 FREE", "FAILED 5.7.0 FREE",
        "LATER 4.3.2 CLOSES", "IN_DOUBT 4.4.2 CLOSES", "IN_DOUBT 4.5.0 CLOSES" } },
};
/* clang-format on */

static void scripts_play_as_written(void **state)
{
    (void)state;
    play_all(scripts, SIZE_OF(scripts), transactions);
}

static void every_trouble_at_every_stage_has_one_outcome(void **state)
{
    (void)state;
    strike_all(matrix, SIZE_OF(matrix), transactions);
}

static void recipients_of_one_transaction_obey_the_limit_of_domains(void **state)
{
    /* clang-format off */
    static const struct client_recipient all[] = {
        { SPAN_INIT("a@one") }, { SPAN_INIT("b@ONE") }, { SPAN_INIT("c@two") },
        { SPAN_INIT("d@one") }, { SPAN_INIT("e@three") }, { SPAN_INIT("f@one") },
    };
    static const struct {
        const char *limits;
        size_t fit;
    } rows[] = {
        { "", 6 }, { "RCPTDOMAINMAX=1", 2 }, { "RCPTDOMAINMAX=2", 4 },
        { "RCPTDOMAINMAX=3", 6 }, { "RCPTMAX=3 RCPTDOMAINMAX=2", 3 }, { "RCPTMAX=1", 1 },
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < SIZE_OF(rows); i++) {
        struct client *c = client_new(&play_options, 0);
        struct buffer said = { 0 };

        client_feed(c, SPAN("220 mx\r\n"), 0);
        buffer_printf(&said, "250-mx\r\n250 LIMITS %s\r\n", rows[i].limits);
        client_feed(c, buffer_span(&said), 0);
        assert_int_equal(client_recipients_fit(c, all, SIZE_OF(all)),
                         rows[i].fit);
        buffer_fini(&said);
        client_free(c);
    }
}

/* No line may be over 512 octets, however long the names are. */
static void xforward_is_told_in_lines_that_fit(void **state)
{
    static const struct {
        size_t escaped; /* bytes of HELO that become three */
        int lines;
    } rows[] = { { 0, 1 }, { 50, 2 }, { 250, 1 } };
    static char name[200], helo[250];

    (void)state;
    memset(name, 'n', sizeof name);
    for (size_t i = 0; i < SIZE_OF(rows); i++) {
        struct envelope e = { .sender = SPAN("s@x"), .client = SPAN("192.0.2.1") };
        struct client_transaction t = { .envelope = &e,
                                        .recipients = one,
                                        .count = 1 };
        struct client *c = client_new(&forward, 0);
        struct buffer *out = client_output(c);
        int lines = 0;

        memset(helo, 'h', sizeof helo);
        memset(helo, '=', rows[i].escaped);
        e.client_name = span_make(name, sizeof name);
        e.helo = span_make(helo, sizeof helo);
        client_feed(c, SPAN("220 mx\r\n"), 0);
        client_feed(c, SPAN("250-mx\r\n250 XFORWARD NAME HELO ADDR\r\n"), 0);
        buffer_clear(out);
        client_start(c, &t, 0);
        while (span_starts_nocase(buffer_span(out), SPAN("XFORWARD "))) {
            assert_true(out->len <= 512);
            lines++;
            buffer_clear(out);
            client_feed(c, SPAN("250 ok\r\n"), 0);
        }
        assert_int_equal(lines, rows[i].lines);
        assert_true(span_starts_nocase(buffer_span(out), SPAN("MAIL ")));
        client_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scripts_play_as_written),
        cmocka_unit_test(every_trouble_at_every_stage_has_one_outcome),
        cmocka_unit_test(recipients_of_one_transaction_obey_the_limit_of_domains),
        cmocka_unit_test(xforward_is_told_in_lines_that_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
