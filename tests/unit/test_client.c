/*
 * test_client - the client's dialogue, as scripts: greeting to QUIT in clear text.
 */
#include "client_play.h"

/* clang-format off */
static const struct envelope plain = { .sender = SPAN_INIT("s@x"), .size_bytes = 5 };
static const struct envelope null_sender = { .size_bytes = 5 };
static const struct envelope eight = {
    .sender = SPAN_INIT("s@x"), .size_bytes = 5, .has_8bit = true };
static const struct envelope declared_eight = {
    .sender = SPAN_INIT("s@x"), .size_bytes = 5, .body = BODY_8BITMIME };
static const struct envelope binary = {
    .sender = SPAN_INIT("s@x"), .size_bytes = 5, .body = BODY_BINARYMIME };
static const struct envelope utf8 = {
    .sender = SPAN_INIT("s@x"), .size_bytes = 5, .smtputf8 = true, .header_8bit = true };
static const struct envelope bad_sender = {
    .sender = SPAN_INIT("s\r\nRSET@x"), .size_bytes = 5 };
static const struct client_recipient one[] = { { SPAN_INIT("a@b") } };
static const struct client_recipient three[] = {
    { SPAN_INIT("a@b") }, { SPAN_INIT("c@b") }, { SPAN_INIT("d@b") } };
static const struct client_recipient umlaut[] = { { SPAN_INIT("\xc3\xa4@b") } };
static const struct client_recipient bad[] = { { SPAN_INIT("a\n@b") } };

#define TAKE(e, to, n) { .envelope = (e), .recipients = (to), .count = (n) }

static const struct client_transaction transactions[] = {
    TAKE(&plain, one, 1), TAKE(&plain, three, 3), TAKE(&eight, one, 1), TAKE(&utf8, one, 1),
    TAKE(&plain, umlaut, 1), TAKE(&declared_eight, one, 1), TAKE(&binary, one, 1),
    TAKE(&null_sender, one, 1), TAKE(&bad_sender, one, 1), TAKE(&plain, bad, 1),
};

#define HELLO     "S:220 mx ready\r\n", "C:EHLO us\r\n"
#define SIMPLE    HELLO, "S:250 mx\r\n", "=FREE"
#define PIPELINED HELLO, "S:250-mx\r\n250-SIZE 1000\r\n250 PIPELINING\r\n", "=FREE"
#define GROUP     "start 1", "C:MAIL FROM:<s@x> SIZE=5\r\nRCPT TO:<a@b>\r\n" \
                  "RCPT TO:<c@b>\r\nRCPT TO:<d@b>\r\nDATA\r\n", "=READS"

/* NOLINTBEGIN(bugprone-suspicious-missing-comma): long lines are broken */
static const struct script scripts[] = {
    { "one message, command by command", NULL, {
        SIMPLE, "start 0", "C:MAIL FROM:<s@x>\r\n", "=READS", "S:250 ok\r\n",
        "C:RCPT TO:<a@b>\r\n", "S:250 ok\r\n", "C:DATA\r\n", "S:354 go\r\n", "=SENDS",
        "C:", "body:hello\r\n", "C:hello\r\n.\r\n", "=READS",
        "S:250 2.0.0 Ok: queued as 1\r\n", "=DONE",
        "out:DELIVERED 2.0.0 250 2.0.0 Ok: queued as 1\n",
        "next", "=FREE", "C:", "quit", "C:QUIT\r\n", "=READS", "S:221 bye\r\n",
        "=CLOSES", "trouble:" } },
    { "two messages in pipelined groups, no RSET between them", NULL, {
        PIPELINED, GROUP,
        "S:250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", "=SENDS",
        "part:.a\r", "part:\n.", "body:b", "C:..a\r\n..b\r\n.\r\n", "S:250 ok\r\n",
        "out:DELIVERED 2.0.0 250 ok\n"
        "DELIVERED 2.0.0 250 ok\n"
        "DELIVERED 2.0.0 250 ok\n",
        "next", "=FREE", "C:", "start 7",
        "C:MAIL FROM:<> SIZE=5\r\nRCPT TO:<a@b>\r\nDATA\r\n",
        "S:250 ok\r\n250 ok\r\n354 go\r\n", "body:", "C:.\r\n", "S:250 ok\r\n",
        "out:DELIVERED 2.0.0 250 ok\n", "next",
        "=FREE" } },
    { "R16: one delivered, one later, one failed", NULL, {
        PIPELINED, GROUP,
        "S:250 ok\r\n250 ok\r\n450 4.2.1 wait\r\n550 5.1.1 <d@b>: no such user\r\n"
        "354 go\r\n", "body:x\r\n", "C:x\r\n.\r\n", "S:250 ok\r\n",
        "out:DELIVERED 2.0.0 250 ok\n"
        "LATER 4.2.1 450 4.2.1 wait (in reply to RCPT TO command)\n"
        "FAILED 5.1.1 550 5.1.1 <d@b>: no such user (in reply to RCPT TO command)\n",
        "next", "=FREE", "C:" } },
    { "R18: too many recipients after some were taken", NULL, {
        PIPELINED, GROUP,
        "S:250 ok\r\n250 ok\r\n452 4.5.3 too many\r\n552 too many\r\n354 go\r\n",
        "body:x\r\n", "C:x\r\n.\r\n", "S:250 ok\r\n",
        "out:DELIVERED 2.0.0 250 ok\n"
        "AGAIN_NOW 4.5.3 452 4.5.3 too many (in reply to RCPT TO command)\n"
        "AGAIN_NOW 4.2.2 552 too many (in reply to RCPT TO command)\n" } },
    { "452 to the first recipient is for later", NULL, {
        PIPELINED, GROUP,
        "S:250 ok\r\n452 4.3.1 full\r\n452 4.3.1 full\r\n452 4.3.1 full\r\n"
        "503 5.5.1 no\r\n", "=DONE",
        "out:LATER 4.3.1 452 4.3.1 full (in reply to RCPT TO command)\n"
        "LATER 4.3.1 452 4.3.1 full (in reply to RCPT TO command)\n"
        "LATER 4.3.1 452 4.3.1 full (in reply to RCPT TO command)\n",
        "next", "=READS", "C:RSET\r\n", "S:250 ok\r\n", "=FREE" } },
    { "all refused and 354 all the same: a lone dot, disregarded", NULL, {
        PIPELINED, GROUP,
        "S:250 ok\r\n550 no\r\n550 no\r\n550 no\r\n354 go\r\n", "=READS", "C:.\r\n",
        "S:250 2.0.0 queued\r\n", "=DONE",
        "out:FAILED 5.0.0 550 no (in reply to RCPT TO command)\n"
        "FAILED 5.0.0 550 no (in reply to RCPT TO command)\n"
        "FAILED 5.0.0 550 no (in reply to RCPT TO command)\n",
        "next", "=FREE", "C:" } },
    { "all refused, command by command: no DATA, but RSET", NULL, {
        SIMPLE, "start 0", "C:MAIL FROM:<s@x>\r\n", "S:250 ok\r\n",
        "C:RCPT TO:<a@b>\r\n", "S:550 5.1.1 no\r\n", "=DONE", "C:",
        "out:FAILED 5.1.1 550 5.1.1 no (in reply to RCPT TO command)\n", "next",
        "C:RSET\r\n", "=READS", "S:250 ok\r\n", "=FREE", "trouble:" } },
    { "MAIL refused in a group: the rest is read and means nothing", NULL, {
        PIPELINED, GROUP, "S:550 5.7.1 not you\r\n", "=READS",
        "S:503 no\r\n503 no\r\n503 no\r\n503 no\r\n", "=DONE",
        "out:FAILED 5.7.1 550 5.7.1 not you (in reply to MAIL FROM command)\n"
        "FAILED 5.7.1 550 5.7.1 not you (in reply to MAIL FROM command)\n"
        "FAILED 5.7.1 550 5.7.1 not you (in reply to MAIL FROM command)\n",
        "next", "=FREE", "C:" } },
    { "MAIL refused, command by command", NULL, {
        SIMPLE, "start 0", "C:MAIL FROM:<s@x>\r\n", "S:451 4.7.1 wait\r\n", "=DONE",
        "out:LATER 4.7.1 451 4.7.1 wait (in reply to MAIL FROM command)\n", "next",
        "=FREE", "C:" } },
    { "DATA refused: accepted ones fail, refused ones keep their own words", NULL, {
        PIPELINED, GROUP, "S:250 ok\r\n250 ok\r\n450 wait\r\n250 ok\r\n554 5.6.0 no\r\n",
        "out:FAILED 5.6.0 554 5.6.0 no (in reply to DATA command)\n"
        "LATER 4.2.0 450 wait (in reply to RCPT TO command)\n"
        "FAILED 5.6.0 554 5.6.0 no (in reply to DATA command)\n",
        "next", "C:RSET\r\n", "S:250 ok\r\n", "=FREE" } },
    { "the final dot refused for good", NULL, {
        PIPELINED, "start 0", "C:MAIL FROM:<s@x> SIZE=5\r\nRCPT TO:<a@b>\r\nDATA\r\n",
        "S:250 ok\r\n250 ok\r\n354 go\r\n", "body:x\r\n", "C:x\r\n.\r\n",
        "S:554-5.6.0 spam\r\n554 5.6.0 more\r\n",
        "out:FAILED 5.6.0 554 5.6.0 spam more (in reply to end of DATA command)\n",
        "next", "=FREE", "C:" } },
    { "R14: lost between the dot and its reply", NULL, {
        PIPELINED, GROUP, "S:250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n",
        "body:x\r\n", "C:x\r\n.\r\n", "lost:", "=DONE",
        "out:IN_DOUBT 4.4.2 lost connection with peer while sending end of data -- "
        "message may be sent more than once\n"
        "FAILED 5.0.0 550 no (in reply to RCPT TO command)\n"
        "IN_DOUBT 4.4.2 lost connection with peer while sending end of data -- "
        "message may be sent more than once\n", "next", "=CLOSES", "C:" } },
    { "lost while the dot was still with us: no doubt", NULL, {
        PIPELINED, "start 0", "C:MAIL FROM:<s@x> SIZE=5\r\nRCPT TO:<a@b>\r\nDATA\r\n",
        "S:250 ok\r\n250 ok\r\n354 go\r\n", "body:x\r\n", "lost:Broken pipe",
        "out:LATER 4.4.2 lost connection with peer while sending message body: "
        "Broken pipe\n" } },
    { "R19: lost after the final 250 is nothing", NULL, {
        PIPELINED, "start 0", "C:MAIL FROM:<s@x> SIZE=5\r\nRCPT TO:<a@b>\r\nDATA\r\n",
        "S:250 ok\r\n250 ok\r\n354 go\r\n", "body:x\r\n", "C:x\r\n.\r\n",
        "S:250 ok\r\n421 too many messages\r\n", "lost:", "=DONE",
        "out:DELIVERED 2.0.0 250 ok\n", "next",
        "=CLOSES" } },
    { "a 250 before the body was sent is no delivery", NULL, {
        PIPELINED, "start 0", "C:MAIL FROM:<s@x> SIZE=5\r\nRCPT TO:<a@b>\r\nDATA\r\n",
        "S:250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n", "=DONE", "C:",
        "out:LATER 4.5.0 peer broke the protocol: 250 queued (while sending message "
        "body)\n", "next", "=CLOSES" } },
    { "refused in the middle of the body: the dot is not sent", NULL, {
        PIPELINED, "start 0", "C:MAIL FROM:<s@x> SIZE=5\r\nRCPT TO:<a@b>\r\nDATA\r\n",
        "S:250 ok\r\n250 ok\r\n354 go\r\n", "part:x\r\n", "C:x\r\n",
        "S:552 5.3.4 too big\r\n", "=DONE",
        "out:FAILED 5.3.4 552 5.3.4 too big (while sending message body)\n", "next",
        "=CLOSES", "C:" } },
    { "421 after some recipients", NULL, {
        PIPELINED, GROUP, "S:250 ok\r\n250 ok\r\n550 no\r\n421 4.3.2 down\r\n", "=DONE",
        "out:LATER 4.3.2 421 4.3.2 down (in reply to RCPT TO command)\n"
        "FAILED 5.0.0 550 no (in reply to RCPT TO command)\n"
        "LATER 4.3.2 421 4.3.2 down (in reply to RCPT TO command)\n", "next",
        "=CLOSES", "C:", "trouble:LATER 4.3.2 421 4.3.2 down (in reply to RCPT TO "
        "command)\n" } },
    { "content cannot be read: no dot, and nothing of what was waiting", NULL, {
        PIPELINED, "start 0", "C:MAIL FROM:<s@x> SIZE=5\r\nRCPT TO:<a@b>\r\nDATA\r\n",
        "S:250 ok\r\n250 ok\r\n354 go\r\n", "part:x\r\n", "content failed", "=DONE",
        "C:", "out:LATER 4.3.0 message content cannot be read\n", "next", "=CLOSES" } },
    { "a bare LF never leaves", NULL, {
        PIPELINED, "start 0", "C:MAIL FROM:<s@x> SIZE=5\r\nRCPT TO:<a@b>\r\nDATA\r\n",
        "S:250 ok\r\n250 ok\r\n354 go\r\n", "body:x\n.\n", "=DONE", "C:",
        "out:LATER 4.6.0 message content has a bare CR or LF\n", "next", "=CLOSES" } },
    { "EHLO refused: HELO, and no extension is used", NULL, {
        HELLO, "S:502 5.5.1 what\r\n", "C:HELO us\r\n", "S:250 mx\r\n", "=FREE",
        "start 0", "C:MAIL FROM:<s@x>\r\n" } },
    { "R13: a 5xx greeting is the session's trouble, not a bounce", NULL, {
        "S:554 5.7.1 not today\r\n", "=CLOSES", "C:QUIT\r\n",
        "trouble:OTHER_HOST 4.7.1 554 5.7.1 not today (in the server greeting)\n" } },
    { "R13: 5xx to EHLO and HELO", NULL, {
        HELLO, "S:550 no\r\n", "C:HELO us\r\n", "S:550 no\r\n", "=CLOSES",
        "C:QUIT\r\n", "trouble:OTHER_HOST 4.0.0 550 no (in reply to EHLO command)\n" } },
    { "the connection could not be made", NULL, {
        "lost:Connection refused", "=CLOSES", "C:",
        "trouble:OTHER_HOST 4.4.1 Connection refused\n" } },
    { "the peer says 421 while the connection is free", NULL, {
        SIMPLE, "S:421 4.4.2 idle\r\n", "=CLOSES", "C:",
        "trouble:OTHER_HOST 4.4.2 421 4.4.2 idle (while idle)\n" } },
    { "a kept connection that broke: the message is not to blame", NULL, {
        SIMPLE, "start 0", "C:MAIL FROM:<s@x>\r\n", "S:451 4.7.1 wait\r\n", "next",
        "=FREE", "start 0", "C:MAIL FROM:<s@x>\r\n", "lost:", "=DONE",
        "out:AGAIN_NOW 4.4.2 lost connection with peer while sending MAIL FROM\n",
        "next", "=CLOSES" } },
    { "a peer that took mail before and says later: another connection is asked", NULL, {
        PIPELINED, GROUP, "S:250 ok\r\n550 no\r\n550 no\r\n550 no\r\n554 no\r\n", "=DONE",
        "next", "C:RSET\r\n", "S:250 ok\r\n", "=FREE",
        "start 0", "C:MAIL FROM:<s@x> SIZE=5\r\nRCPT TO:<a@b>\r\nDATA\r\n",
        "S:452 4.5.3 enough\r\n503 what\r\n503 what\r\n", "=DONE",
        "out:AGAIN_NOW 4.5.3 452 4.5.3 enough (in reply to MAIL FROM command)\n",
        "next", "C:QUIT\r\n", "S:221 bye\r\n", "=CLOSES" } },
    { "a peer that took no mail before says later to the message", NULL, {
        SIMPLE, "start 0", "C:MAIL FROM:<s@x>\r\n", "S:451 4.7.1 wait\r\n",
        "out:LATER 4.7.1 451 4.7.1 wait (in reply to MAIL FROM command)\n", "next",
        "=FREE", "start 0", "C:MAIL FROM:<s@x>\r\n", "S:451 4.7.1 wait\r\n",
        "out:LATER 4.7.1 451 4.7.1 wait (in reply to MAIL FROM command)\n", "next",
        "=FREE" } },
    { "R21: too large for this peer, not a byte is sent", NULL, {
        HELLO, "S:250-mx\r\n250 SIZE 4\r\n", "start 0", "=DONE", "C:",
        "out:OTHER_HOST 5.3.4 message is larger than the size limit of peer\n", "next",
        "=FREE" } },
    { "R21: SIZE 0 and SIZE abc are no limit", NULL, {
        HELLO, "S:250-mx\r\n250-SIZE abc\r\n250 SIZE 0\r\n", "start 0",
        "C:MAIL FROM:<s@x> SIZE=5\r\n" } },
    { "8-bit content to a peer without 8BITMIME", NULL, {
        SIMPLE, "start 2", "=DONE", "C:",
        "out:OTHER_HOST 5.6.3 message needs 8BITMIME or BINARYMIME, but it was not "
        "offered by peer\n", "next", "=FREE" } },
    { "8-bit content to a peer with it", NULL, {
        HELLO, "S:250-mx\r\n250 8BITMIME\r\n", "start 2",
        "C:MAIL FROM:<s@x> BODY=8BITMIME\r\n" } },
    { "declared 8-bit that is none goes anywhere", NULL, {
        SIMPLE, "start 5", "C:MAIL FROM:<s@x>\r\n" } },
    { "declared 8-bit stays declared", NULL, {
        HELLO, "S:250-mx\r\n250 8bitmime\r\n", "start 5",
        "C:MAIL FROM:<s@x> BODY=8BITMIME\r\n" } },
    { "binary content does not leave by DATA", NULL, {
        HELLO, "S:250-mx\r\n250 8BITMIME\r\n", "start 6", "=DONE",
        "out:OTHER_HOST 5.6.3 message needs 8BITMIME or BINARYMIME, but it was not "
        "offered by peer\n" } },
    { "SMTPUTF8 needed and not offered", NULL, {
        SIMPLE, "start 3", "=DONE", "C:",
        "out:OTHER_HOST 5.6.7 SMTPUTF8 is required, but was not offered by peer\n", "next",
        "start 4", "=DONE",
        "out:OTHER_HOST 5.6.7 SMTPUTF8 is required, but was not offered by peer\n" } },
    { "SMTPUTF8 needed and offered", NULL, {
        HELLO, "S:250-mx\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n", "start 4",
        "C:MAIL FROM:<s@x> SMTPUTF8\r\n", "S:250 ok\r\n",
        "C:RCPT TO:<\xc3\xa4@b>\r\n" } },
    { "an address with a line break never leaves", NULL, {
        SIMPLE, "start 8", "=DONE", "C:",
        "out:FAILED 5.1.7 sender address has a control character\n", "next", "start 9",
        "=DONE", "C:",
        "out:FAILED 5.1.3 recipient address has a control character\n" } },
    { "MAILMAX of RFC 9422 is obeyed", NULL, {
        HELLO, "S:250-mx\r\n250 LIMITS MAILMAX=1\r\n", "start 0",
        "C:MAIL FROM:<s@x>\r\n", "S:450 no\r\n", "next", "=READS", "C:QUIT\r\n",
        "S:221 bye\r\n", "=CLOSES", "trouble:" } },
    { "R11: 354 to EHLO", NULL, {
        HELLO, "S:354 go\r\n", "=CLOSES", "trouble:OTHER_HOST 4.5.0 peer broke the "
        "protocol: 354 go (in reply to EHLO command)\n" } },
    { "R11: 354 to RCPT", NULL, {
        SIMPLE, "start 0", "C:MAIL FROM:<s@x>\r\n", "S:250 ok\r\n",
        "C:RCPT TO:<a@b>\r\n", "S:354 go\r\n", "=DONE", "C:",
        "out:LATER 4.5.0 peer broke the protocol: 354 go (in reply to RCPT TO command)\n",
        "next", "=CLOSES" } },
    { "R11: 250 to DATA", NULL, {
        PIPELINED, "start 0", "C:MAIL FROM:<s@x> SIZE=5\r\nRCPT TO:<a@b>\r\nDATA\r\n",
        "S:250 ok\r\n250 ok\r\n250 ok\r\n", "=DONE", "C:",
        "out:LATER 4.5.0 peer broke the protocol: 250 ok (in reply to DATA command)\n",
        "next", "=CLOSES" } },
    { "R02: continuation lines that disagree", NULL, {
        HELLO, "S:250-a\r\n500 b\r\n", "=CLOSES", "C:",
        "trouble:OTHER_HOST 4.5.0 peer broke the protocol: reply of two minds: 500 b "
        "(in reply to EHLO command)\n" } },
    { "R07, R08: a reply's bytes are cleaned before anyone sees them", NULL, {
        SIMPLE, "start 0", "C:MAIL FROM:<s@x>\r\n",
        "S:550-a\rb\x1b[31m\r\n550-\xff<script>\\\r\n550 z\r\n",
        "out:FAILED 5.0.0 550 a\\x0Db\\x1B[31m \\xFF<script>\\x5C z (in reply to MAIL "
        "FROM command)\n" } },
};
/* NOLINTEND(bugprone-suspicious-missing-comma) */
/* clang-format on */

static void scripts_play_as_written(void **state)
{
    (void)state;
    play_all(scripts, SIZE_OF(scripts), transactions);
}

/* R12: everything that can go wrong at every stage, and the one thing that comes of
 * it. */
/* clang-format off */
#define TO_MAIL    SIMPLE, "start 0", "C:MAIL FROM:<s@x>\r\n"
#define TO_RCPT    TO_MAIL, "S:250 ok\r\n", "C:RCPT TO:<a@b>\r\n"
#define TO_DATA    TO_RCPT, "S:250 ok\r\n", "C:DATA\r\n"
#define TO_CONTENT TO_DATA, "S:354 go\r\n", "=SENDS", "part:x\r\n", "C:x\r\n"
#define TO_DOT     TO_CONTENT, "body:", "C:.\r\n"

static const struct stage matrix[] = {
    { "greeting", NULL, { NULL }, {
        "OTHER_HOST 4.4.2 CLOSES", "OTHER_HOST 4.7.0 CLOSES", "OTHER_HOST 4.7.0 CLOSES",
        "OTHER_HOST 4.3.2 CLOSES", "OTHER_HOST 4.4.2 CLOSES", "OTHER_HOST 4.5.0 CLOSES" } },
    { "EHLO", NULL, { HELLO }, {
        "OTHER_HOST 4.4.2 CLOSES", "OTHER_HOST 4.7.0 CLOSES", "HELO us",
        "OTHER_HOST 4.3.2 CLOSES", "OTHER_HOST 4.4.2 CLOSES", "OTHER_HOST 4.5.0 CLOSES" } },
    { "HELO", NULL, { HELLO, "S:500 what\r\n", "C:HELO us\r\n" }, {
        "OTHER_HOST 4.4.2 CLOSES", "OTHER_HOST 4.7.0 CLOSES", "OTHER_HOST 4.7.0 CLOSES",
        "OTHER_HOST 4.3.2 CLOSES", "OTHER_HOST 4.4.2 CLOSES", "OTHER_HOST 4.5.0 CLOSES" } },
    { "idle", NULL, { SIMPLE }, {
        "OTHER_HOST 4.4.2 CLOSES", "OTHER_HOST 4.7.0 CLOSES", "OTHER_HOST 4.7.0 CLOSES",
        "OTHER_HOST 4.3.2 CLOSES", "nothing", "OTHER_HOST 4.5.0 CLOSES" } },
    { "MAIL", NULL, { TO_MAIL }, {
        "OTHER_HOST 4.4.2 CLOSES", "LATER 4.7.0 FREE", "FAILED 5.7.0 FREE",
        "OTHER_HOST 4.3.2 CLOSES", "OTHER_HOST 4.4.2 CLOSES", "OTHER_HOST 4.5.0 CLOSES" } },
    { "RCPT", NULL, { TO_RCPT }, {
        "LATER 4.4.2 CLOSES", "LATER 4.7.0 READS", "FAILED 5.7.0 READS",
        "LATER 4.3.2 CLOSES", "LATER 4.4.2 CLOSES", "LATER 4.5.0 CLOSES" } },
    { "DATA", NULL, { TO_DATA }, {
        "LATER 4.4.2 CLOSES", "LATER 4.7.0 READS", "FAILED 5.7.0 READS",
        "LATER 4.3.2 CLOSES", "LATER 4.4.2 CLOSES", "LATER 4.5.0 CLOSES" } },
    { "body", NULL, { TO_CONTENT }, {
        "LATER 4.4.2 CLOSES", "LATER 4.7.0 CLOSES", "FAILED 5.7.0 CLOSES",
        "LATER 4.3.2 CLOSES", "LATER 4.4.2 CLOSES", "LATER 4.5.0 CLOSES" } },
    { "dot", NULL, { TO_DOT }, {
        "IN_DOUBT 4.4.2 CLOSES", "LATER 4.7.0 FREE", "FAILED 5.7.0 FREE",
        "LATER 4.3.2 CLOSES", "IN_DOUBT 4.4.2 CLOSES", "IN_DOUBT 4.5.0 CLOSES" } },
    { "delivered", NULL, { TO_DOT, "S:250 ok\r\n" }, {
        "DELIVERED 2.0.0 CLOSES", "DELIVERED 2.0.0 CLOSES", "DELIVERED 2.0.0 CLOSES",
        "DELIVERED 2.0.0 CLOSES", "DELIVERED 2.0.0 FREE", "DELIVERED 2.0.0 CLOSES" } },
    { "RSET", NULL, { TO_RCPT, "S:550 no\r\n", "next", "C:RSET\r\n" }, {
        "OTHER_HOST 4.4.2 CLOSES", "OTHER_HOST 4.7.0 CLOSES", "OTHER_HOST 4.7.0 CLOSES",
        "OTHER_HOST 4.3.2 CLOSES", "OTHER_HOST 4.4.2 CLOSES", "OTHER_HOST 4.5.0 CLOSES" } },
    { "QUIT", NULL, { SIMPLE, "quit", "C:QUIT\r\n" }, {
        "nothing", "nothing", "nothing", "nothing", "nothing", "nothing" } },
};
/* clang-format on */

static void every_trouble_at_every_stage_has_one_outcome(void **state)
{
    (void)state;
    strike_all(matrix, SIZE_OF(matrix), transactions);
}

/* R01, R05 */
static void only_a_well_formed_220_is_a_greeting(void **state)
{
    /* clang-format off */
    static const struct span greetings[] = {
        SPAN_INIT("bogus\r\n"), SPAN_INIT("2200 x\r\n"), SPAN_INIT("22\r\n"),
        SPAN_INIT("\r\n"), SPAN_INIT("\0""220 x\r\n"), SPAN_INIT("999 x\r\n"),
        SPAN_INIT("220\r\n"), SPAN_INIT("220 \r\n"), SPAN_INIT("220 x\n"),
        SPAN_INIT("250 x\r\n"), SPAN_INIT("120 x\r\n"), SPAN_INIT("220_x\r\n"),
        SPAN_INIT(" 220 x\r\n"), SPAN_INIT("220-x\r\n221 x\r\n"),
        SPAN_INIT("354 x\r\n"),
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < SIZE_OF(greetings); i++) {
        struct play p = { .name = "greeting", .by_byte = i & 1 };

        p.client = client_new(&play_options, 0);
        feed(&p, greetings[i]);
        assert_int_equal(client_wants(p.client), CLIENT_CLOSES);
        assert_int_equal(client_trouble(p.client)->diagnosis,
                         DIAGNOSIS_OTHER_HOST);
        assert_int_equal(client_trouble(p.client)->status.class, 4);
        assert_false(client_is_greeted(p.client));
        client_free(p.client);
    }
}

/* What stands in the same read as the reply that lets us speak answers nothing. */
static void a_reply_before_its_command_is_no_reply(void **state)
{
    struct client *c = client_new(&play_options, 0);

    (void)state;
    client_feed(c, SPAN("220 mx\r\n250 mx\r\n"), 0);
    assert_int_equal(client_wants(c), CLIENT_CLOSES);
    client_free(c);

    c = client_new(&play_options, 0);
    client_feed(c, SPAN("220 mx\r\n"), 0);
    client_feed(c, SPAN("250 mx\r\n"), 0);
    client_start(c, &transactions[0], 0);
    client_feed(c, SPAN("250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n"), 0);
    assert_int_equal(client_outcomes(c)[0].diagnosis, DIAGNOSIS_LATER);
    client_free(c);
}

/* R03, R04, R22 */
static void an_endless_reply_is_cut_off(void **state)
{
    static const struct {
        const char *line;
        size_t times;
    } floods[] = {
        { "220-x\r\n", 513 },
        { "xxxxxxxxxxxxxxxx", 4097 },
        { "220-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
          "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
          "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n",
          400 }
    };

    (void)state;
    for (size_t i = 0; i < SIZE_OF(floods); i++) {
        struct client *c = client_new(&play_options, 0);

        for (size_t j = 0; j < floods[i].times; j++)
            client_feed(c, span_of(floods[i].line), 0);
        assert_int_equal(client_wants(c), CLIENT_CLOSES);
        assert_int_equal(client_trouble(c)->diagnosis, DIAGNOSIS_OTHER_HOST);
        client_free(c);
    }
}

static void recipients_of_one_transaction_obey_the_peers_limit(void **state)
{
    struct play p = { .name = "limits" };

    (void)state;
    p.client = client_new(&play_options, 0);
    assert_int_equal(client_recipients_most(p.client), 50);
    feed(&p, SPAN("220 mx\r\n"));
    feed(&p, SPAN("250-mx\r\n250 LIMITS RCPTMAX=7 MAILMAX=x\r\n"));
    assert_int_equal(client_recipients_most(p.client), 7);
    assert_true(client_is_greeted(p.client));
    client_free(p.client);
}

/* R15 */
static void each_stage_has_its_time(void **state)
{
    const struct client_timeouts *t = &client_timeouts_default;
    struct client *c = client_new(&play_options, 0);

    (void)state;
    assert_int_equal(client_deadline_ms(c), t->greeting);
    client_timeout(c, t->greeting - 1);
    assert_int_equal(client_wants(c), CLIENT_READS);
    client_feed(c, SPAN("220 mx\r\n"), 10);
    assert_int_equal(client_deadline_ms(c), 10 + t->helo);
    client_feed(c, SPAN("250 mx\r\n"), 20);
    assert_int_equal(client_deadline_ms(c), INT64_MAX);
    client_start(c, &transactions[0], 30);
    assert_int_equal(client_deadline_ms(c), 30 + t->mail);
    client_feed(c, SPAN("250 ok\r\n"), 40);
    assert_int_equal(client_deadline_ms(c), 40 + t->rcpt);
    client_feed(c, SPAN("250 ok\r\n"), 50);
    assert_int_equal(client_deadline_ms(c), 50 + t->data);
    client_feed(c, SPAN("354 ok\r\n"), 60);
    assert_int_equal(client_deadline_ms(c), 60 + t->block);
    client_content(c, SPAN("x"), false, 70);
    client_sent(c, 80);
    assert_int_equal(client_deadline_ms(c), 80 + t->block);
    assert_false(client_is_past_dot(c));
    client_content(c, SPAN(""), true, 90);
    assert_true(client_is_past_dot(c));
    client_sent(c, 100);
    assert_int_equal(client_deadline_ms(c), 100 + t->dot);
    assert_true(t->dot >= 600000);
    client_timeout(c, 100 + t->dot - 1);
    client_feed(c, SPAN("250 ok\r\n"), 100 + t->dot - 1);
    assert_int_equal(client_outcomes(c)[0].diagnosis, DIAGNOSIS_DELIVERED);
    client_free(c);
}

/* R15 */
static void who_says_a_byte_a_second_has_no_more_time(void **state)
{
    static const char words[] = "220-a\r\n220-b\r\n220-c\r\n220-and so on";
    struct client *c = client_new(&play_options, 0);
    int64_t deadline_ms = client_deadline_ms(c), now_ms = 0;

    (void)state;
    for (size_t i = 0; i < sizeof words - 1; i++) {
        now_ms += 1000;
        client_feed(c, span_make(words + i, 1), now_ms);
        assert_int_equal(client_deadline_ms(c), deadline_ms);
    }
    client_timeout(c, deadline_ms);
    assert_int_equal(client_wants(c), CLIENT_CLOSES);
    client_free(c);
}

static void a_long_reply_is_stored_short_and_keeps_its_stage(void **state)
{
    struct play p = { .name = "long" };
    struct buffer reply = { 0 };
    struct span stored;

    (void)state;
    p.client = client_new(&play_options, 0);
    buffer_put_string(&reply, "554 5.7.1 ");
    for (size_t i = 0; i < 5000; i++)
        buffer_put_byte(&reply, i % 3 ? 'x' : '\x01');
    buffer_put_string(&reply, "\r\n");
    feed(&p, buffer_span(&reply));
    stored = client_trouble(p.client)->reply;
    assert_true(stored.len <= LIMIT_REPLY_STORED && stored.len > 900);
    assert_true(span_ends_nocase(stored, SPAN(" (in the server greeting)")));
    buffer_fini(&reply);
    client_free(p.client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scripts_play_as_written),
        cmocka_unit_test(every_trouble_at_every_stage_has_one_outcome),
        cmocka_unit_test(only_a_well_formed_220_is_a_greeting),
        cmocka_unit_test(a_reply_before_its_command_is_no_reply),
        cmocka_unit_test(an_endless_reply_is_cut_off),
        cmocka_unit_test(recipients_of_one_transaction_obey_the_peers_limit),
        cmocka_unit_test(each_stage_has_its_time),
        cmocka_unit_test(who_says_a_byte_a_second_has_no_more_time),
        cmocka_unit_test(a_long_reply_is_stored_short_and_keeps_its_stage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
