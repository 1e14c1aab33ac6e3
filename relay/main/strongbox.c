/*
 * strongbox - what the relay shows and what it checks: certificates, users, tokens.
 */
#include "relay/main/strongbox.h"

#include "relay/inbound/sasl.h"
#include "relay/inbound/srskeys.h"
#include "relay/net/date.h"
#include "relay/net/log.h"
#include "relay/net/tls.h"
#include "relay/outbound/tokens.h"

int strongbox_read(struct strongbox *c, const struct settings *s,
                   struct buffer *out_why)
{
    c->tls = tls_material_new(s, out_why);
    return c->tls ? 0 : ERROR_CONFIG;
}

int strongbox_open(struct strongbox *c, const struct settings *s,
                   struct buffer *out_why)
{
    int rc;

    ASSERT(c->tls);
    if ((rc = sasl_desk_open(&c->sasl, s, out_why)) < 0)
        return rc;
    c->srs = srskeys_new();
    if ((rc = srskeys_read(c->srs, s, NULL, out_why)) < 0)
        return rc;
    rc = tokens_open(&c->tokens);
    if (rc < 0)
        buffer_printf(out_why, "tokens: %s", error_text(rc));
    return rc;
}

void strongbox_give(const struct strongbox *c, struct worker *w)
{
    w->tls = tls_material_hold(c->tls);
    w->sasl = c->sasl;
    w->srs = c->srs;
    w->tokens = c->tokens;
}

static void replace(struct strongbox *c, struct tls_material *take_m)
{
    tls_material_release(c->tls);
    c->tls = take_m;
    c->warned_ms = 0;
    buffer_fini(&c->said);
}

int strongbox_reload(struct strongbox *c, const struct settings *s,
                       struct buffer *out_why)
{
    struct tls_material *m = tls_material_new(s, out_why);
    int rc;

    if (!m)
        return ERROR_CONFIG;
    if ((rc = srskeys_read(c->srs, s, NULL, out_why)) < 0 ||
        (rc = sasl_desk_reload(c->sasl, s, out_why)) < 0) {
        tls_material_release(m);
        return rc;
    }
    replace(c, m);
    return 0;
}

static void log_warnings(struct span lines)
{
    while (lines.len) {
        struct span line = span_split(lines, '\n', &lines);

        log_text(LOG_WARNING, "%.*s", SPAN_FMT(line));
    }
}

static void warn_of_ends(struct strongbox *c)
{
    struct buffer lines = { 0 };
    int64_t now = wall_ms();

    if (now - c->warned_ms < DATE_DAY_MS)
        return;
    c->warned_ms = now;
    tls_material_warn(c->tls, now, &lines);
    log_warnings(buffer_span(&lines));
    buffer_fini(&lines);
}

static bool renew(struct strongbox *c, const struct settings *s)
{
    struct buffer faults = { 0 };
    struct tls_material *m = tls_material_new(s, &faults);

    if (m) {
        replace(c, m);
        log_text(LOG_NOTE, "certificates read again");
    } else if (!span_is(buffer_span(&faults), buffer_span(&c->said))) {
        log_warnings(buffer_span(&faults));
        log_text(LOG_WARNING, "certificates not read again: the old ones stay");
        buffer_fini(&c->said);
        c->said = faults;
        return false;
    }
    buffer_fini(&faults);
    return m != NULL;
}

bool strongbox_look(struct strongbox *c, const struct settings *s)
{
    bool is_new = tls_material_is_stale(c->tls) && renew(c, s);

    warn_of_ends(c);
    return is_new;
}

void strongbox_close(struct strongbox *c)
{
    sasl_desk_close(c->sasl);
    tokens_close(c->tokens);
    srskeys_free(c->srs);
    tls_material_release(c->tls);
    buffer_fini(&c->said);
    *c = (struct strongbox){ 0 };
}

static void put_warnings(struct buffer *out, struct span lines)
{
    while (lines.len) {
        struct span line = span_split(lines, '\n', &lines);

        buffer_printf(out, "warning: %.*s\n", SPAN_FMT(line));
    }
}

/* Of the files that the setting at this place names. */
static void put_faults(struct buffer *out, const struct place *at,
                       struct span lines)
{
    while (lines.len) {
        struct span line = span_split(lines, '\n', &lines);

        if (at->file)
            buffer_printf(out, "%s:%u:%u: ", at->file, at->line, at->column);
        buffer_printf(out, "%.*s\n", SPAN_FMT(line));
    }
}

static void check_tls(const struct settings *s, struct buffer *out_faults,
                      struct buffer *out_warnings)
{
    struct buffer why = { 0 }, lines = { 0 };
    struct tls_material *m = tls_material_new(s, &why);

    put_faults(out_faults, &s->tls.place, buffer_span(&why));
    if (m) {
        tls_material_warn(m, wall_ms(), &lines);
        put_warnings(out_warnings, buffer_span(&lines));
    }
    tls_material_release(m);
    buffer_fini(&lines);
    buffer_fini(&why);
}

static void check_users(const struct settings *s, struct buffer *out_faults)
{
    struct buffer why = { 0 };
    struct sasl_desk *d = NULL;

    if (sasl_desk_open(&d, s, &why) < 0)
        put_faults(out_faults, &s->users.place, buffer_span(&why));
    else
        sasl_desk_close(d);
    buffer_fini(&why);
}

static void check_srs(const struct settings *s, struct buffer *out_faults,
                      struct buffer *out_warnings)
{
    struct srskeys *k = srskeys_new();
    struct buffer why = { 0 };
    bool exposed = false;

    if (srskeys_read(k, s, &exposed, &why) < 0)
        buffer_printf(out_faults, "%s\n", buffer_string(&why));
    if (exposed)
        buffer_printf(out_warnings,
                      "warning: %.*s: others than its owner may read it\n",
                      SPAN_FMT(s->srs.secret_file));
    srskeys_free(k);
    buffer_fini(&why);
}

void strongbox_check(const struct settings *s, struct buffer *out_faults,
                       struct buffer *out_warnings)
{
    check_tls(s, out_faults, out_warnings);
    check_users(s, out_faults);
    tokens_check_files(s, out_faults, out_warnings);
    check_srs(s, out_faults, out_warnings);
}
