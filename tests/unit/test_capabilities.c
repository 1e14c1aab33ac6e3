/*
 * test_capabilities - what a peer offers, sense or nonsense.
 */
#include "relay/outbound/capabilities.h"

#include "policy/vocabulary/mechanism.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SIZE_OF(array) (sizeof(array) / sizeof((array)[0]))

/* clang-format off */
static const struct row {
    const char *text;
    unsigned has;
    uint64_t size_bytes;
    uint32_t recipients, messages;
} rows[] = {
    { "", 0, 0, 0, 0 },
    { "mx", 0, 0, 0, 0 },
    { "PIPELINING", 0, 0, 0, 0 },              /* the first line is a name */
    { "mx\nPIPELINING", CAN_PIPELINING, 0, 0, 0 },
    { "mx\npipelining ", CAN_PIPELINING, 0, 0, 0 },
    { "mx\nPIPELINING2\nXPIPELINING\nPIPELINING=1", 0, 0, 0, 0 },
    { "mx\nPIPELINING\n8BITMIME\nSMTPUTF8\nENHANCEDSTATUSCODES\nDSN",
      CAN_PIPELINING | CAN_8BITMIME | CAN_SMTPUTF8 | CAN_STATUS_CODES | CAN_DSN,
      0, 0, 0 },
    { "mx\nSIZE 1000", CAN_SIZE, 1000, 0, 0 },
    { "mx\nSIZE", CAN_SIZE, 0, 0, 0 },
    { "mx\nSIZE 0", CAN_SIZE, 0, 0, 0 },
    { "mx\nSIZE abc", 0, 0, 0, 0 },
    { "mx\nSIZE -1", 0, 0, 0, 0 },
    { "mx\nSIZE 99999999999999999999999", 0, 0, 0, 0 },
    { "mx\nSIZE 10\nSIZE 20", CAN_SIZE, 20, 0, 0 },
    { "mx\nSIZE 20\nSIZE 10", CAN_SIZE, 20, 0, 0 },
    { "mx\nSIZE 20\nSIZE 0\nSIZE 30", CAN_SIZE, 0, 0, 0 },
    { "mx\nSIZE 20\nSIZE abc", CAN_SIZE, 20, 0, 0 },
    { "mx\nLIMITS RCPTMAX=20 MAILMAX=3", CAN_LIMITS, 0, 20, 3 },
    { "mx\nLIMITS rcptmax=20  OTHER=x MAILMAX=", CAN_LIMITS, 0, 20, 0 },
    { "mx\nLIMITS RCPTMAX=0 MAILMAX=1234567", CAN_LIMITS, 0, 0, 0 },
    { "mx\nLIMITS RCPTMAX=5\nLIMITS RCPTMAX=7", CAN_LIMITS, 0, 7, 0 },
    { "mx\n\n\nDSN\n", CAN_DSN, 0, 0, 0 },
    { "mx\nSTARTTLS\nCHUNKING\nBINARYMIME\nMT-PRIORITY MIXER\nFUTURERELEASE 9 9",
      CAN_STARTTLS | CAN_CHUNKING | CAN_BINARYMIME | CAN_MT_PRIORITY | CAN_FUTURERELEASE,
      0, 0, 0 },
};

static const struct more_row {
    const char *text;
    unsigned has, mechanisms;
    uint64_t least_by_s;
    uint32_t domains;
    unsigned xforward;
} more_rows[] = {
    { "mx\nAUTH plain LOGIN  UNHEARD-OF", CAN_AUTH, MECHANISM_PLAIN | MECHANISM_LOGIN },
    { "mx\nAUTH=PLAIN", CAN_AUTH, MECHANISM_PLAIN },
    { "mx\nauth=LOGIN PLAIN\nAUTH SCRAM-SHA-256", CAN_AUTH,
      MECHANISM_LOGIN | MECHANISM_PLAIN | MECHANISM_SCRAM_SHA_256 },
    { "mx\nAUTH", CAN_AUTH }, { "mx\nAUTH=", CAN_AUTH },
    { "mx\nAUTHOR PLAIN\nXAUTH PLAIN", 0 },
    { "mx\nDELIVERBY 120", CAN_DELIVERBY, 0, 120 },
    { "mx\nDELIVERBY", CAN_DELIVERBY, 0, 0 },
    { "mx\nDELIVERBY -5", 0 },
    { "mx\nDELIVERBY 120\nDELIVERBY 60", CAN_DELIVERBY, 0, 60 },
    { "mx\nLIMITS RCPTDOMAINMAX=2", CAN_LIMITS, 0, 0, 2 },
    { "mx\nXFORWARD NAME addr HELO PORT", CAN_XFORWARD, 0, 0, 0,
      XFORWARD_NAME | XFORWARD_ADDR | XFORWARD_HELO },
};
/* clang-format on */

static void offers_are_read_line_by_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZE_OF(rows); i++) {
        struct capabilities c = { .has = 77 };

        capabilities_read(&c, span_of(rows[i].text));
        if (c.has != rows[i].has)
            print_error("%s\n", rows[i].text);
        assert_int_equal(c.has, rows[i].has);
        assert_int_equal(c.size_bytes, rows[i].size_bytes);
        assert_int_equal(c.recipients, rows[i].recipients);
        assert_int_equal(c.messages, rows[i].messages);
    }
}

static void what_is_offered_with_values_is_read_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZE_OF(more_rows); i++) {
        const struct more_row *row = &more_rows[i];
        struct capabilities c = { .mechanisms = 77 };

        capabilities_read(&c, span_of(row->text));
        if (c.has != row->has || c.mechanisms != row->mechanisms)
            print_error("%s\n", row->text);
        assert_int_equal(c.has, row->has);
        assert_int_equal(c.mechanisms, row->mechanisms);
        assert_int_equal(c.least_by_s, row->least_by_s);
        assert_int_equal(c.domains, row->domains);
        assert_int_equal(c.xforward, row->xforward);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offers_are_read_line_by_line),
        cmocka_unit_test(what_is_offered_with_values_is_read_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
