/*
 * probe_tls - a probe's stages tls and certificate: what was agreed, and whose certificate it
 * was, also where the handshake failed because of it.
 */
#include "relay/outbound/probe_private.h"

#include <time.h>

static void put_day(struct buffer *b, int64_t ms)
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;

    (void)gmtime_r(&s, &tm);
    buffer_printf(b, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1,
                  tm.tm_mday);
}

static json_t *certificate_detail(struct tls_certificate *c)
{
    json_t *detail = json_object();

    probe_put(detail, "subject", probe_text(buffer_span(&c->subject)));
    probe_put(detail, "issuer", probe_text(buffer_span(&c->issuer)));
    probe_put(detail, "names", probe_text(buffer_span(&c->names)));
    probe_put(detail, "not_before", json_integer(c->from_ms / 1000));
    probe_put(detail, "not_after", json_integer(c->until_ms / 1000));
    probe_put(detail, "days",
              json_integer((c->until_ms - wall_ms()) / 86400000));
    if (c->trouble.len)
        probe_put(detail, "trouble", probe_text(buffer_span(&c->trouble)));
    return detail;
}

static void put_trust(struct buffer *b, struct tls_certificate *c,
                      const struct tls_facts *f)
{
    if (c->trouble.len)
        buffer_printf(b, "it is not trusted: %s", buffer_string(&c->trouble));
    else if (f && f->trust == TLS_TRUSTED)
        buffer_put_string(b, "its authority is trusted, but it is not for "
                             "this host's name");
    else if (f && f->policy)
        buffer_printf(b, "it is what %s demands", f->policy);
    else if (f)
        buffer_put_string(b, "it is trusted");
    else
        buffer_put_string(b, "it is refused");
}

/* facts NULL: the handshake failed. */
static void tell_certificate(struct probe *p, const struct tls *tls,
                             const struct tls_facts *f)
{
    struct tls_certificate c;
    struct buffer b = { 0 };
    enum probe_state state;

    if (!tls_certificate_read(tls, &c))
        return;
    buffer_printf(&b, "certificate for %s by %s, valid from ",
                  c.names.len ? buffer_string(&c.names)
                              : buffer_string(&c.subject),
                  buffer_string(&c.issuer));
    put_day(&b, c.from_ms);
    buffer_put_string(&b, " to ");
    put_day(&b, c.until_ms);
    buffer_put_string(&b, ": ");
    put_trust(&b, &c, f);
    state = !f ? PROBE_BAD : f->trust == TLS_VERIFIED ? PROBE_OK : PROBE_INFO;
    probe_tell(p, "certificate", state, certificate_detail(&c), "%s",
               buffer_string(&b));
    tls_certificate_fini(&c);
    buffer_fini(&b);
}

void probe_tls_tell_refused(struct probe *p, const struct tls *tls)
{
    tell_certificate(p, tls, NULL);
}

void probe_tls_tell(struct probe *p, const struct tls *tls)
{
    const struct tls_facts *f = tls_facts(tls);
    json_t *detail = json_object();

    probe_put(detail, "protocol", json_string(f->protocol));
    probe_put(detail, "cipher", json_string(f->cipher));
    probe_put(detail, "bits", json_integer(f->bits));
    probe_put(detail, "resumed", json_boolean(f->is_resumed));
    if (f->fingerprint.len)
        probe_put(detail, "fingerprint", probe_text(f->fingerprint));
    probe_tell(p, "tls", PROBE_OK, detail, "%s with %s", f->protocol,
               f->cipher);
    tell_certificate(p, tls, f);
}
