/*
 * srs - the sender as one of ours, and back.
 *
 * A local part that was quoted, or a domain that is a literal, is carried
 * between quotes. What would be longer than a local part may be is left as it
 * is: cut off, it would lead nowhere. Owns nothing.
 */
#include "policy/srs.h"

enum {
    HASH_LENGTH = 4,
    DAY_LENGTH = 2,
    DAYS = 1024, /* that a TT can tell apart */
};

static const char base64[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

static void put_lower(struct buffer *b, struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        buffer_put_byte(b, ascii_lower(s.at[i]));
}

/* Of the parts in lower case, one behind the other: some hosts on the way fold
 * local parts. */
static void sign(const struct srs_secrets *secrets, size_t which,
                 const struct span *parts, size_t count, char out[HASH_LENGTH])
{
    unsigned char hash[SRS_HASH];
    struct buffer text = { 0 };
    uint32_t bits;

    for (size_t i = 0; i < count; i++)
        put_lower(&text, parts[i]);
    secrets->hmac(secrets->all[which], buffer_span(&text), hash);
    buffer_fini(&text);
    bits = (uint32_t)hash[0] << 16 | (uint32_t)hash[1] << 8 | hash[2];
    for (int i = 0; i < HASH_LENGTH; i++)
        out[i] = base64[bits >> (18 - 6 * i) & 63];
}

static bool is_signed(const struct srs_secrets *secrets, struct span hash,
                      const struct span *parts, size_t count)
{
    for (size_t i = 0; i < secrets->count; i++) {
        char right[HASH_LENGTH];

        sign(secrets, i, parts, count, right);
        if (span_is_nocase(hash, span_make(right, HASH_LENGTH)))
            return true;
    }
    return false;
}

/* --- days ------------------------------------------------------------------
 */

static unsigned day_of(int64_t now_ms)
{
    return (unsigned)(now_ms / (24ll * 3600 * 1000) % DAYS);
}

static int digit_of(char c)
{
    const char *at;

    if (c >= 'a' && c <= 'z')
        c = (char)(c - 'a' + 'A');
    at = c ? strchr(base32, c) : NULL;
    return at ? (int)(at - base32) : -1;
}

static bool is_recent(struct span day, int64_t now_ms)
{
    int high, low;

    if (day.len != DAY_LENGTH || (high = digit_of(day.at[0])) < 0 ||
        (low = digit_of(day.at[1])) < 0)
        return false;
    /* counted in a circle: what is from the future is very old */
    return (day_of(now_ms) + DAYS - (unsigned)(high * 32 + low)) % DAYS <=
           SRS_DAYS;
}

/* --- the two forms ---------------------------------------------------------
 */

/* SRS0= or SRS1=; the marks + and - are others' for the first =. */
static bool takes_prefix(struct span *local, char number)
{
    const struct span prefix = SPAN("SRS");

    if (!span_starts_nocase(*local, prefix) || local->len < 5 ||
        local->at[3] != number || !is_one_of(local->at[4], "=+-"))
        return false;
    *local = span_skip(*local, 5);
    return true;
}

/* The local part without quotes; what is in them stays as written. */
static struct span bare(struct span local, bool *out_is_quoted)
{
    *out_is_quoted = local.len >= 2 && local.at[0] == '"';
    return *out_is_quoted ? span_make(local.at + 1, local.len - 2) : local;
}

static bool is_domain(struct span domain, struct span ours)
{
    struct buffer folded = { 0 };
    bool is = domain_fold(domain, &folded) == 0 &&
              span_is(buffer_span(&folded), ours);

    buffer_fini(&folded);
    return is;
}

/* "local@domain", if it can be one. */
static bool put_address(struct buffer *out, struct span local, bool is_quoted,
                        struct span domain)
{
    struct buffer b = { 0 };
    struct address parsed;
    bool ok;

    buffer_put_string(&b, is_quoted ? "\"" : "");
    buffer_put(&b, local);
    buffer_put_string(&b, is_quoted ? "\"@" : "@");
    buffer_put(&b, domain);
    ok = address_parse(buffer_span(&b), &parsed) == ADDRESS_OK;
    if (ok)
        buffer_put(out, buffer_span(&b));
    buffer_fini(&b);
    return ok;
}

/* What stands behind "SRS1=HASH=" for this sender; false: it is a first one. */
static bool is_second(struct span local, struct span domain, struct span *host,
                      struct span *opaque)
{
    struct span rest = local;

    if (takes_prefix(&rest, '0')) {
        *host = domain;
        /* with its mark */
        *opaque = span_make(rest.at - 1, rest.len + 1);
        return true;
    }
    if (!takes_prefix(&rest, '1'))
        return false;
    (void)span_split(rest, '=', &rest);
    *host = span_split(rest, '=', opaque);
    return host->len && opaque->len;
}

enum srs_answer srs_forward(const struct srs_secrets *secrets, struct span ours,
                            const struct address *sender, int64_t now_ms,
                            struct buffer *out)
{
    bool is_quoted;
    struct span local = bare(sender->local, &is_quoted), host, opaque;
    char hash[HASH_LENGTH], day[DAY_LENGTH];
    unsigned n = day_of(now_ms);
    struct buffer b = { 0 };
    bool ok;

    if (sender->text.len == 0 || sender->domain.len == 0 ||
        is_domain(sender->domain, ours))
        return SRS_SAME;
    if (is_second(local, sender->domain, &host, &opaque)) {
        sign(secrets, 0, (struct span[]){ host, opaque }, 2, hash);
        buffer_put_string(&b, "SRS1=");
        buffer_put(&b, span_make(hash, HASH_LENGTH));
    } else {
        host = sender->domain;
        opaque = local;
        day[0] = base32[n / 32];
        day[1] = base32[n % 32];
        sign(secrets, 0,
             (struct span[]){ span_make(day, DAY_LENGTH), host, opaque }, 3,
             hash);
        buffer_put_string(&b, "SRS0=");
        buffer_put(&b, span_make(hash, HASH_LENGTH));
        buffer_put_byte(&b, '=');
        buffer_put(&b, span_make(day, DAY_LENGTH));
    }
    buffer_put_byte(&b, '=');
    buffer_put(&b, host);
    buffer_put_byte(&b, '=');
    buffer_put(&b, opaque);
    ok = put_address(out, buffer_span(&b), is_quoted || sender->is_literal,
                     ours);
    buffer_fini(&b);
    return ok ? SRS_CHANGED : SRS_SAME;
}

/* --- back ------------------------------------------------------------------
 */

static bool back_to_first(const struct srs_secrets *secrets, struct span rest,
                          bool is_quoted, int64_t now_ms, struct buffer *out)
{
    struct span hash = span_split(rest, '=', &rest),
                day = span_split(rest, '=', &rest),
                host = span_split(rest, '=', &rest);

    return rest.len && is_recent(day, now_ms) &&
           is_signed(secrets, hash, (struct span[]){ day, host, rest }, 3) &&
           put_address(out, rest, is_quoted, host);
}

static bool back_to_second(const struct srs_secrets *secrets, struct span rest,
                           bool is_quoted, struct buffer *out)
{
    struct span hash = span_split(rest, '=', &rest),
                host = span_split(rest, '=', &rest);
    struct buffer b = { 0 };
    bool ok =
        rest.len && is_signed(secrets, hash, (struct span[]){ host, rest }, 2);

    buffer_put_string(&b, "SRS0");
    buffer_put(&b, rest);
    ok = ok && put_address(out, buffer_span(&b), is_quoted, host);
    buffer_fini(&b);
    return ok;
}

enum srs_answer srs_back(const struct srs_secrets *secrets, struct span ours,
                         const struct address *recipient, int64_t now_ms,
                         struct buffer *out)
{
    bool is_quoted, ok;
    struct span rest = bare(recipient->local, &is_quoted);

    if (recipient->domain.len == 0 || !is_domain(recipient->domain, ours))
        return SRS_SAME;
    if (takes_prefix(&rest, '0'))
        ok = back_to_first(secrets, rest, is_quoted, now_ms, out);
    else if (takes_prefix(&rest, '1'))
        ok = back_to_second(secrets, rest, is_quoted, out);
    else
        return SRS_SAME;
    return ok ? SRS_CHANGED : SRS_REFUSED;
}
