/*
 * mtasts - what a domain says of TLS to its mail exchangers (MTA-STS).
 *
 * Of a key that stands twice the first counts, but for mx; keys that are not known are
 * passed over, since the grammar is open. What is not well formed is no policy at all: half
 * of one would refuse hosts that its owner has named.
 */
#include "policy/mtasts.h"

#include "policy/vocabulary/limits.h"

const char *const mtasts_modes[] = { [MTASTS_NONE] = "none",
                                     [MTASTS_TESTING] = "testing",
                                     [MTASTS_ENFORCE] = "enforce" };

enum { MODES = 3, RECORD_MOST = 1024, AGE_DIGITS = 10 };

static bool is_letter_or_digit(char c)
{
    return (c >= '0' && c <= '9') ||
           (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

/* ------------------------------------------------------------- the record ---- */

/* The strings of one record as one text. */
static bool join(struct span data, struct buffer *out)
{
    buffer_clear(out);
    while (data.len > 0) {
        size_t len = (unsigned char)data.at[0];

        if (len + 1 > data.len)
            return false;
        buffer_put(out, span_make(data.at + 1, len));
        data = span_skip(data, len + 1);
    }
    return !out->overflow;
}

static bool read_id(struct span value, char out_id[MTASTS_ID_MOST + 1])
{
    if (value.len == 0 || value.len > MTASTS_ID_MOST)
        return false;
    for (size_t i = 0; i < value.len; i++)
        if (!is_letter_or_digit(value.at[i]))
            return false;
    memcpy(out_id, value.at, value.len);
    out_id[value.len] = '\0';
    return true;
}

/* Behind the version. */
static bool read_fields(struct span rest, char out_id[MTASTS_ID_MOST + 1])
{
    while (rest.len > 0) {
        struct span field = span_trim(span_split(rest, ';', &rest)), value;
        struct span name = span_trim(span_split(field, '=', &value));

        if (span_is(name, SPAN("id")))
            return read_id(span_trim(value), out_id);
    }
    return false;
}

bool mtasts_record_find(const struct span *records, size_t count,
                        char out_id[MTASTS_ID_MOST + 1])
{
    struct buffer text = { .cap = RECORD_MOST };
    char id[MTASTS_ID_MOST + 1] = "";
    size_t found = 0;
    bool is_good = false;

    for (size_t i = 0; i < count; i++) {
        struct span rest, version;

        if (!join(records[i], &text))
            continue;
        version = span_trim(span_split(buffer_span(&text), ';', &rest));
        if (!rest.at || !span_is(version, SPAN("v=STSv1")))
            continue;
        found++;
        is_good = read_fields(rest, id);
    }
    buffer_fini(&text);
    if (found != 1 || !is_good)
        return false;
    memcpy(out_id, id, sizeof id);
    return true;
}

/* ------------------------------------------------------------- the policy ---- */

static struct span without_dot(struct span name)
{
    if (name.len && name.at[name.len - 1] == '.')
        name.len--;
    return name;
}

/* What the DNS can have for a host's name. */
static bool is_host_name(struct span name)
{
    size_t label = 0;

    if (name.len == 0 || name.len > LIMIT_DOMAIN)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];

        if (c == '.' ? label == 0
                     : !is_letter_or_digit(c) && c != '-' && c != '_')
            return false;
        label = c == '.' ? 0 : label + 1;
    }
    return label > 0;
}

static bool is_wild(struct span pattern)
{
    return pattern.len > 2 && pattern.at[0] == '*' && pattern.at[1] == '.';
}

/* What has been read so far. */
struct reading {
    struct mtasts_policy policy;
    bool has_version, has_mode, has_age;
};

static const char *read_version(struct reading *r, struct span value)
{
    if (r->has_version)
        return NULL;
    r->has_version = true;
    return span_is(value, SPAN("STSv1")) ? NULL : "its version is not STSv1";
}

static const char *read_mode(struct reading *r, struct span value)
{
    if (r->has_mode)
        return NULL;
    r->has_mode = true;
    for (int i = 0; i < MODES; i++) {
        if (!span_is(value, span_of(mtasts_modes[i])))
            continue;
        r->policy.mode = (enum mtasts_mode)i;
        return NULL;
    }
    return "its mode is not none, testing or enforce";
}

static const char *read_age(struct reading *r, struct span value)
{
    uint64_t seconds;

    if (r->has_age)
        return NULL;
    r->has_age = true;
    if (value.len > AGE_DIGITS || !span_number(value, &seconds))
        return "its max_age is no number of seconds";
    r->policy.max_age_s =
        (uint32_t)(seconds < MTASTS_AGE_MOST_S ? seconds : MTASTS_AGE_MOST_S);
    return NULL;
}

static const char *read_mx(struct reading *r, struct span value)
{
    struct span pattern = without_dot(value);

    if (!is_host_name(is_wild(pattern) ? span_skip(pattern, 2) : pattern))
        return "an mx in it is no host's name";
    if (r->policy.count == MTASTS_PATTERNS)
        return "it has too many mx";
    r->policy.patterns[r->policy.count++] = pattern;
    return NULL;
}

static const struct {
    struct span name;
    const char *(*read)(struct reading *r, struct span value);
} keys[] = {
    { SPAN_INIT("version"), read_version },
    { SPAN_INIT("mode"), read_mode },
    { SPAN_INIT("max_age"), read_age },
    { SPAN_INIT("mx"), read_mx },
};

static const char *read_line(struct reading *r, struct span line)
{
    struct span value, name = span_trim(span_split(line, ':', &value));

    if (!value.at)
        return "a line of it has no \":\"";
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (span_is(name, keys[i].name))
            return keys[i].read(r, span_trim(value));
    return NULL;
}

static const char *judge(const struct reading *r)
{
    if (!r->has_version)
        return "it has no version";
    if (!r->has_mode)
        return "it has no mode";
    if (!r->has_age)
        return "it has no max_age";
    if (r->policy.mode != MTASTS_NONE && r->policy.count == 0)
        return "it names no mx";
    return NULL;
}

const char *mtasts_policy_read(struct span text, struct mtasts_policy *out)
{
    struct reading r = { .has_version = false };
    const char *fault;

    if (text.len > MTASTS_TEXT_MOST)
        return "it is larger than 64 KB";
    while (text.len > 0) {
        struct span line = span_split(text, '\n', &text);

        if (line.len && line.at[line.len - 1] == '\r')
            line.len--;
        line = span_trim(line);
        if (line.len && (fault = read_line(&r, line)) != NULL)
            return fault;
    }
    if ((fault = judge(&r)) != NULL)
        return fault;
    *out = r.policy;
    return NULL;
}

/* A wildcard stands for exactly one label. */
static bool is_match(struct span pattern, struct span host)
{
    struct span parent;

    if (!is_wild(pattern))
        return span_is_nocase(pattern, host);
    return span_split(host, '.', &parent).len > 0 && parent.at &&
           span_is_nocase(span_skip(pattern, 2), parent);
}

bool mtasts_policy_has(const struct mtasts_policy *p, struct span host)
{
    host = without_dot(host);
    for (size_t i = 0; i < p->count; i++)
        if (is_match(p->patterns[i], host))
            return true;
    return false;
}

void mtasts_policy_print(struct buffer *b, const struct mtasts_policy *p)
{
    buffer_printf(b, "version: STSv1\nmode: %s\nmax_age: %u\n",
                  mtasts_modes[p->mode], p->max_age_s);
    for (size_t i = 0; i < p->count; i++)
        buffer_printf(b, "mx: %.*s\n", SPAN_FMT(p->patterns[i]));
}
