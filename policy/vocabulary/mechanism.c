/*
 * mechanism - the ways to log in, by name.
 */
#include "policy/vocabulary/mechanism.h"

/* clang-format off */
static const struct {
    unsigned one;
    const char *name;
} names[] = {
    { MECHANISM_EXTERNAL,           "EXTERNAL" },
    { MECHANISM_SCRAM_SHA_256_PLUS, "SCRAM-SHA-256-PLUS" },
    { MECHANISM_SCRAM_SHA_1_PLUS,   "SCRAM-SHA-1-PLUS" },
    { MECHANISM_SCRAM_SHA_256,      "SCRAM-SHA-256" },
    { MECHANISM_SCRAM_SHA_1,        "SCRAM-SHA-1" },
    { MECHANISM_OAUTHBEARER,        "OAUTHBEARER" },
    { MECHANISM_XOAUTH2,            "XOAUTH2" },
    { MECHANISM_CRAM_MD5,           "CRAM-MD5" },
    { MECHANISM_PLAIN,              "PLAIN" },
    { MECHANISM_LOGIN,              "LOGIN" },
};
/* clang-format on */

enum { NAMES = sizeof names / sizeof names[0] };

unsigned mechanism_find(struct span name)
{
    for (size_t i = 0; i < NAMES; i++)
        if (span_is_nocase(name, span_of(names[i].name)))
            return names[i].one;
    return 0;
}

const char *mechanism_name(unsigned one)
{
    for (size_t i = 0; i < NAMES; i++)
        if (names[i].one == one)
            return names[i].name;
    return "";
}

void mechanisms_print(struct buffer *b, unsigned set)
{
    const char *between = "";

    for (size_t i = 0; i < NAMES; i++) {
        if (!(set & names[i].one))
            continue;
        buffer_put_string(b, between);
        buffer_put_string(b, names[i].name);
        between = " ";
    }
}

unsigned mechanism_best(unsigned set)
{
    for (size_t i = 0; i < NAMES; i++)
        if (set & names[i].one)
            return names[i].one;
    return 0;
}
