/*
 * mtasts - what a domain says of TLS to its mail exchangers (MTA-STS).
 *
 * Two texts of strangers: the TXT record that says that there is a policy and which, and
 * the policy itself, as its web server gives it. Read, matched against a host, and printed
 * again for keeping; where they come from and how long they are kept is not known here.
 *
 *   record: v=STSv1; id=20240101T000000;
 *   policy: version: STSv1 / mode: enforce / max_age: 604800 / mx: *.mail.example
 *
 * Owns nothing: patterns are borrowed from the text. RFC 8461 3.1, 3.2, 4.1.
 */
#ifndef WAYPOST_MTASTS_H
#define WAYPOST_MTASTS_H

#include "policy/vocabulary/buffer.h"

enum {
    MTASTS_ID_MOST = 32,
    MTASTS_PATTERNS = 100,            /* a policy with more is none */
    MTASTS_TEXT_MOST = 64 * 1024,     /* bytes of a policy that are taken */
    MTASTS_AGE_MOST_S = 31557600,     /* a year */
};

enum mtasts_mode { MTASTS_NONE, MTASTS_TESTING, MTASTS_ENFORCE };
extern const char *const mtasts_modes[];

struct mtasts_policy {
    enum mtasts_mode mode;
    uint32_t max_age_s;
    struct span patterns[MTASTS_PATTERNS]; /* "mx.example.org", "*.example.org" */
    size_t count;
};

/*
 * Which policy do the TXT records (their data, strings with a length in front) of
 * _mta-sts.DOMAIN announce? False: none, also where more than one does. out_id: letters and
 * digits.
 */
bool mtasts_record_find(const struct span *records, size_t count,
                        char out_id[MTASTS_ID_MOST + 1]);
/* NULL, or what is wrong with it, in words of ours. */
const char *mtasts_policy_read(struct span text, struct mtasts_policy *out);
/* May mail go to this host? Case and a last dot do not matter. */
bool mtasts_policy_has(const struct mtasts_policy *p, struct span host);
/* As a text that reads as the same policy. */
void mtasts_policy_print(struct buffer *b, const struct mtasts_policy *p);

#endif
