/*
 * exposition - figures in the text that Prometheus reads, format 0.0.4.
 */
#include "relay/admin/exposition.h"

#include "policy/vocabulary/utf8.h"

#include <math.h>

enum { VALUE_MOST = 255 }; /* bytes of a label's value */

static const char *const kinds[] = {
    [EXPOSITION_COUNTER] = "counter",
    [EXPOSITION_GAUGE] = "gauge",
    [EXPOSITION_HISTOGRAM] = "histogram",
    [EXPOSITION_UNTYPED] = "untyped",
};

void exposition_family(struct buffer *b, const char *name,
                       enum exposition_kind kind, const char *help)
{
    buffer_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
                  kinds[kind]);
}

static void put_value(struct buffer *b, struct span value)
{
    value = span_first(value, VALUE_MOST);
    while (value.len) {
        size_t n = utf8_is_showable(value);

        if (value.at[0] == '\\' || value.at[0] == '"')
            buffer_put_byte(b, '\\');
        if (value.at[0] == '\n')
            buffer_put_string(b, "\\n");
        else if (n)
            buffer_put(b, span_first(value, n));
        else
            buffer_put_byte(b, '?');
        value = span_skip(value, n ? n : 1);
    }
}

static void put_number(struct buffer *b, double value)
{
    /* Doubles hold whole numbers exactly so far. */
    if (value == floor(value) && fabs(value) < 9007199254740992.0)
        buffer_printf(b, "%.0f", value);
    else
        buffer_printf(b, "%.15g", value);
}

/* le: of a bucket; NULL: none. */
static void put_sample(struct buffer *b, const char *name, const char *suffix,
                       const struct exposition_label *labels, struct span le,
                       double value)
{
    char before = '{';

    buffer_printf(b, "%s%s", name, suffix);
    for (; labels && labels->name; labels++) {
        buffer_put_byte(b, before);
        buffer_printf(b, "%s=\"", labels->name);
        put_value(b, labels->value);
        buffer_put_byte(b, '"');
        before = ',';
    }
    if (le.len) {
        buffer_put_byte(b, before);
        buffer_printf(b, "le=\"%.*s\"", SPAN_FMT(le));
        before = ',';
    }
    buffer_put_string(b, before == ',' ? "} " : " ");
    put_number(b, value);
    buffer_put_byte(b, '\n');
}

void exposition_sample(struct buffer *b, const char *name,
                       const struct exposition_label *labels, double value)
{
    put_sample(b, name, "", labels, SPAN(""), value);
}

void exposition_histogram(struct buffer *b, const char *name,
                          const struct exposition_label *labels,
                          const struct histogram_scale *scale,
                          const struct histogram_sum *h)
{
    struct buffer bound = { 0 };
    uint64_t below = 0;

    for (unsigned i = 0; i < scale->count; i++) {
        below += h->counts[i];
        buffer_clear(&bound);
        put_number(&bound, (double)scale->bounds[i] / scale->per_unit);
        put_sample(b, name, "_bucket", labels, buffer_span(&bound),
                   (double)below);
    }
    below += h->counts[scale->count];
    put_sample(b, name, "_bucket", labels, SPAN("+Inf"), (double)below);
    put_sample(b, name, "_sum", labels, SPAN(""),
               (double)h->sum / scale->per_unit);
    put_sample(b, name, "_count", labels, SPAN(""), (double)below);
    buffer_fini(&bound);
}

void exposition_single(struct buffer *b, const char *name,
                       enum exposition_kind kind, const char *help,
                       double value)
{
    exposition_family(b, name, kind, help);
    exposition_sample(b, name, NULL, value);
}
