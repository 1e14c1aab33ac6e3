/*
 * sasl_users - the two files of logins that the tests of the desk share.
 */
#ifndef WAYPOST_SASL_USERS_H
#define WAYPOST_SASL_USERS_H

#include "sasl_bench.h"

#define TEXT(literal) "" literal, sizeof(literal) - 1

/* RFC 5802 section 5 and RFC 7677 section 3: the user "user" with the password "pencil"
 * (which libgsasl's client is asked to confirm below). "old" has a hash only, in another
 * file. */
#define SHA_256_OF_PENCIL                                                      \
    "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,"                            \
    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"                            \
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define SHA_1_OF_PENCIL                                                        \
    "{SCRAM-SHA-1}4096,QSXCR+Q6sek8bf92,"                                      \
    "6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE="
/* "secret", by crypt with 1000 rounds */
#define CRYPT_OF_SECRET                                                        \
    "$5$rounds=1000$sa1tsa1tsa1t$"                                             \
    "1EjL6sOiTYs5PbXsI/sqLSakJvx6frAbQ4hhNQ7YG/9"

static const char users[] = "# who may log in\n"
                            "\n"
                            "user:" SHA_256_OF_PENCIL ":" SHA_1_OF_PENCIL "\n"
                            "one:" SHA_256_OF_PENCIL ":" SHA_1_OF_PENCIL "\n";
static const char hashes[] = "old:" CRYPT_OF_SECRET "\n"
                             "locked:!" CRYPT_OF_SECRET "\n";

static inline struct sasl_desk *desk_with(const char *text)
{
    bench_write("users", text);
    return bench_desk(
        &(struct users_settings){ .file = span_of(bench_path("users")) });
}

#endif
