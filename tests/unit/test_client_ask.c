/*
 * test_client_ask - transactions that only ask about a recipient, as scripts.
 */
#include "client_play.h"

/* clang-format off */
static const struct client_options plain = {
    .hostname = SPAN_INIT("us"), .timeouts = &client_timeouts_default, .chunking = true };
static const struct client_options forwarding = {
    .hostname = SPAN_INIT("us"), .timeouts = &client_timeouts_default, .xforward = true };
static const struct client_options local = {
    .hostname = SPAN_INIT("us"), .timeouts = &client_timeouts_default, .is_lmtp = true };

static const struct envelope nobody = { .sender = SPAN_INIT("") };
static const struct client_recipient ann = { .address = SPAN_INIT("ann@x.test") };
static const struct client_recipient foreign = {
    .address = SPAN_INIT("\xc3\xa4nn@x.test") };
static const struct client_transaction transactions[] = {
    { .envelope = &nobody, .recipients = &ann, .count = 1, .only_asks = true },
    { .envelope = &nobody, .recipients = &foreign, .count = 1, .only_asks = true },
};

#define GREETED(extensions) "S:220 mx\r\n", "C:EHLO us\r\n", "S:" extensions, "=FREE"
#define SLOW GREETED("250 mx\r\n"), "start 0", "C:MAIL FROM:<>\r\n"
#define FAST GREETED("250-mx\r\n250-SIZE 100\r\n250-CHUNKING\r\n250 PIPELINING\r\n"), \
             "start 0", "C:MAIL FROM:<>\r\nRCPT TO:<ann@x.test>\r\n"
#define YES "out:DELIVERED 2.1.5 accepted\n"

/* NOLINTBEGIN(bugprone-suspicious-missing-comma): long lines are broken */
static const struct script scripts[] = {
    { "a yes, and nothing follows but RSET", &plain, {
        SLOW, "S:250 ok\r\n", "C:RCPT TO:<ann@x.test>\r\n", "S:250 ok\r\n", "=DONE", YES,
        "next", "C:RSET\r\n", "S:250 ok\r\n", "=FREE",
        "start 0", "C:MAIL FROM:<>\r\n", "S:250 ok\r\n", "C:RCPT TO:<ann@x.test>\r\n",
        "S:251 will forward\r\n", YES, "next", "C:RSET\r\n", "S:250 ok\r\n", "quit",
        "C:QUIT\r\n" } },
    { "both in one group, never DATA or BDAT", &plain, {
        FAST, "S:250 ok\r\n250 ok\r\n", "=DONE", YES, "next", "C:RSET\r\n" } },
    { "5xx to RCPT is a no", &plain, {
        FAST, "S:250 ok\r\n550 5.1.1 who?\r\n", "=DONE",
        "out:FAILED 5.1.1 550 5.1.1 who? (in reply to RCPT TO command)\n",
        "next", "C:RSET\r\n", "S:250 ok\r\n", "=FREE" } },
    { "4xx to RCPT is none", &plain, {
        FAST, "S:250 ok\r\n450 4.2.0 later\r\n", "=DONE",
        "out:LATER 4.2.0 450 4.2.0 later (in reply to RCPT TO command)\n" } },
    { "5xx to MAIL says nothing of the recipient", &plain, {
        FAST, "S:550 5.7.1 not from nobody\r\n503 5.5.1 what\r\n", "=DONE",
        "out:LATER 5.7.1 550 5.7.1 not from nobody (in reply to MAIL FROM command)\n",
        "next", "=FREE" } },
    { "neither does a peer that cannot be asked", &plain, {
        GREETED("250 mx\r\n"), "start 1", "C:", "=DONE",
        "out:LATER 5.6.7 SMTPUTF8 is required, but was not offered by peer\n" } },
    { "LMTP", &local, {
        "S:220 mx\r\n", "C:LHLO us\r\n", "S:250 mx\r\n", "start 0", "C:MAIL FROM:<>\r\n",
        "S:250 ok\r\n", "C:RCPT TO:<ann@x.test>\r\n", "S:250 ok\r\n", YES } },
    { "nobody is told of a client", &forwarding, {
        GREETED("250-mx\r\n250 XFORWARD NAME ADDR\r\n"), "start 0", "C:MAIL FROM:<>\r\n" } },
    { "lost", &plain, {
        FAST, "lost:Connection reset", "=DONE",
        "out:OTHER_HOST 4.4.2 lost connection with peer while sending MAIL FROM: Connection "
        "reset\n" } },
};
/* NOLINTEND(bugprone-suspicious-missing-comma) */
/* clang-format on */

static void a_recipient_is_asked_about_and_no_mail_is_sent(void **state)
{
    (void)state;
    play_all(scripts, SIZE_OF(scripts), transactions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_recipient_is_asked_about_and_no_mail_is_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
