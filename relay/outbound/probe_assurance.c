/*
 * probe_assurance - a probe's stages dane and mta-sts: what TLS with a host must prove, by whose word.
 */
#include "relay/outbound/probe_private.h"

enum { SHOWN_MOST = 10 }; /* records of one host */

static const char *const demands[] = {
    [ASSURANCE_NONE] = "nothing is demanded of its TLS",
    [ASSURANCE_TESTED] = "nothing is demanded of its TLS, but watched",
    [ASSURANCE_STS] = "TLS is a must, and a certificate for its name that an "
                      "authority vouches for",
    [ASSURANCE_ENCRYPT] = "TLS is a must, with any certificate",
    [ASSURANCE_DANE] = "TLS is a must, and the certificate must fit them",
    [ASSURANCE_REFUSED] = "no mail may go there now",
};

static json_t *records_of(const struct assurance *a)
{
    json_t *list = json_array();
    struct buffer one = { 0 };

    for (size_t i = 0; i < a->count && i < SHOWN_MOST; i++) {
        buffer_clear(&one);
        tlsa_print(&one, &a->records[i]);
        ASSERT(json_array_append_new(list, probe_text(buffer_span(&one))) == 0);
    }
    buffer_fini(&one);
    return list;
}

static json_t *detail_of(const struct assurance *a)
{
    json_t *detail = json_object();

    probe_put(detail, "host", probe_text(a->host.name));
    probe_put(detail, "dnssec",
              json_boolean(a->host.is_set_secure && a->host.is_secure));
    if (a->base.len)
        probe_put(detail, "base", probe_text(a->base));
    probe_put(detail, "tlsa", records_of(a));
    return detail;
}

static void tell_policy(struct probe *p, const struct assurance *a)
{
    json_t *detail = json_object(), *patterns = json_array();
    struct buffer b = { 0 };

    buffer_put_escaped(&b, buffer_span(&a->policy_words));
    for (size_t i = 0; i < a->policy.count; i++)
        ASSERT(json_array_append_new(patterns,
                                     probe_text(a->policy.patterns[i])) == 0);
    probe_put(detail, "mx", patterns);
    if (a->has_policy) {
        probe_put(detail, "mode", json_string(mtasts_modes[a->policy.mode]));
        probe_put(detail, "max_age", json_integer(a->policy.max_age_s));
        buffer_printf(&b, ": mode %s, %zu names", mtasts_modes[a->policy.mode],
                      a->policy.count);
    }
    probe_tell(p, "mta-sts", a->has_policy ? PROBE_OK : PROBE_INFO, detail,
               "%s", buffer_string(&b));
    buffer_fini(&b);
}

void probe_assurance_tell(void *user, const struct assurance *a)
{
    struct probe *p = user;
    struct buffer name = { 0 }, why = { 0 };
    enum probe_state state = a->kind == ASSURANCE_DANE ? PROBE_OK : PROBE_INFO;

    if (a->policy_words.len)
        tell_policy(p, a);
    buffer_put_escaped(&name, a->host.name);
    buffer_put(&why, buffer_span(&a->why));
    if (a->kind == ASSURANCE_REFUSED)
        probe_fail(p, "dane", FAILURE_ASSURANCE, detail_of(a), "%s: %s: %s",
                   buffer_string(&name), buffer_string(&why), demands[a->kind]);
    else
        probe_tell(p, "dane", state, detail_of(a), "%s: %s: %s",
                   buffer_string(&name), buffer_string(&why), demands[a->kind]);
    buffer_fini(&name);
    buffer_fini(&why);
}
