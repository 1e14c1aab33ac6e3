/*
 * packing - the content in the form in which this host takes it.
 */
#include "relay/outbound/packing.h"

#include "relay/outbound/convert.h"

/* clang-format off */
static const struct {
    struct status status;
    const char *words;
} refusals[] = {
    [CONVERT_SIGNED]   = { { 5, 6, 3 },
        "8-bit content is not taken by the next hop, and re-encoding it would "
        "break a signature" },
    [CONVERT_HEADER]   = { { 5, 6, 7 },
        "8-bit header fields are not taken by the next hop" },
    [CONVERT_TOO_DEEP] = { { 5, 6, 3 },
        "8-bit content is not taken by the next hop, and its MIME structure "
        "cannot be followed" },
};
/* clang-format on */

static struct client_outcome refusal(enum convert_said said)
{
    return (struct client_outcome){ DIAGNOSIS_FAILED, refusals[said].status,
                                    span_of(refusals[said].words) };
}

static struct convert_options options_of(const struct route *r,
                                         const struct envelope *e,
                                         enum client_form form)
{
    return (struct convert_options){
        .even_signed = r->convert == CONVERT_ALWAYS,
        .is_binary = e->body == BODY_BINARYMIME,
        .to_7bit = form == CLIENT_FORM_7BIT,
        .fold = r->fold,
    };
}

void packing_begin(struct packing *p, const struct route *r,
                   const struct envelope *e, enum client_form form)
{
    struct convert_options o = options_of(r, e, form);

    packing_fini(p);
    if (o.to_7bit || (o.fold && !o.is_binary))
        p->convert = convert_new(&o);
}

bool packing_put(struct packing *p, struct span bytes, bool last,
                 struct span *out_bytes, struct client_outcome *out_why)
{
    enum convert_said said;

    if (!p->convert) {
        *out_bytes = bytes;
        return true;
    }
    buffer_clear(&p->out);
    said = convert_feed(p->convert, bytes, last, &p->out);
    if (said != CONVERT_FINE) {
        *out_why = refusal(said);
        return false;
    }
    *out_bytes = buffer_span(&p->out);
    return true;
}

void packing_fini(struct packing *p)
{
    if (p->convert)
        convert_free(p->convert);
    p->convert = NULL;
    buffer_fini(&p->out);
}

bool packing_allows(const struct route *r, const struct envelope *e,
                    struct span content, struct client_outcome *out_why)
{
    struct packing trial = { 0 };
    struct span ignored;
    bool ok;

    if (r->convert == CONVERT_NEVER)
        return false;
    if (!content.at)
        return true;
    packing_begin(&trial, r, e, CLIENT_FORM_7BIT);
    ok = packing_put(&trial, content, true, &ignored, out_why);
    packing_fini(&trial);
    return ok;
}
