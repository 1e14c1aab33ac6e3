/*
 * check - is this configuration good, and the files that it names?
 *
 * Every fault and warning of one run on standard error; exit 78 when there was
 * a fault. The files that hold secrets for next hops are looked at here and not
 * when the relay starts: a missing one only defers what needs it.
 */
#include "policy/table.h"
#include "relay/main/configuration.h"
#include "relay/main/herald.h"
#include "relay/main/privilege.h"
#include "relay/main/strongbox.h"
#include "relay/net/dns.h"

#include <stdio.h>
#include <sysexits.h>

/* Nothing is asked: whether the name server strips signatures is selftest's to say. */
static void tell_validation(const struct settings *s, struct buffer *warnings)
{
    struct span anchor = dns_anchor_file(&s->resolver);
    bool wants = false;

    for (size_t i = 0; i < s->route_count; i++) {
        const struct route *r = &s->routes[i];

        wants |= r->tls == ROUTE_TLS_DANE || r->tls == ROUTE_TLS_DANE_ONLY;
        if (r->tls == ROUTE_TLS_DANE_ONLY && !anchor.at)
            buffer_printf(warnings,
                          "%s:%u:%u: warning: dane-only without DNSSEC: its mail "
                          "would wait for ever; resolver { trust-anchor } or "
                          "mode = recurse\n",
                          r->place.file, r->place.line, r->place.column);
    }
    if (wants && anchor.at)
        (void)printf("DNSSEC: validated by %.*s\n", SPAN_FMT(anchor));
    else if (wants)
        (void)printf("DNSSEC: not validated, DANE is off: resolver { mode = %s } "
                     "has no trust-anchor\n",
                     s->resolver.mode == RESOLVER_SYSTEM    ? "system"
                     : s->resolver.mode == RESOLVER_RECURSE ? "recurse"
                                                            : "forward");
}

static int check(const struct verb_call *call)
{
    struct buffer faults = { 0 }, warnings = { 0 };
    struct sources *sources;
    struct settings *s;
    bool is_good;

    if (call->argc)
        return verbs_usage(call, "check takes no argument \"%s\"",
                           call->argv[0]);
    sources = sources_new(NULL, NULL);
    s = configuration_read(call, sources, &faults, &warnings);
    if (s) {
        privilege_check(s, call->config, sources, &faults, &warnings);
        strongbox_check(s, &faults, &warnings);
        herald_check(s, &faults, &warnings);
        tell_validation(s, &warnings);
    }
    sources_free(sources);
    is_good = s && faults.len == 0;
    (void)fputs(buffer_string(&faults), stderr);
    (void)fputs(buffer_string(&warnings), stderr);
    for (size_t i = 0; s && i < s->table_count; i++)
        (void)printf("table %.*s: %zu entries\n",
                     SPAN_FMT(table_name(s->tables[i])),
                     table_size(s->tables[i]));
    if (is_good)
        (void)printf("%s: good: %zu listener%s, %zu rule%s, %zu route%s\n",
                     call->config ? call->config : "built-in configuration",
                     s->listener_count, s->listener_count == 1 ? "" : "s",
                     s->rule_count, s->rule_count == 1 ? "" : "s",
                     s->route_count, s->route_count == 1 ? "" : "s");
    buffer_fini(&faults);
    buffer_fini(&warnings);
    settings_release(s);
    return is_good ? EX_OK : EX_CONFIG;
}

/* clang-format off */
const struct verb check_verb = {
    .name = "check", .arguments = "", .run = check,
    .help = "read the configuration and print every fault as FILE:LINE:COLUMN: text",
    .more =
        "Reads the files that it names too: certificates with their keys (do they fit, do\n"
        "they end soon?), authorities, users, senders, the passwords and tokens of accounts,\n"
        "secrets and authorities of webhooks (are they there, may others read them?), and\n"
        "tables, with how many entries each has.\n"
        "Run it as the user that the relay runs as, or as root: then it also says which\n"
        "files that user cannot read.\n"
        "It says whether answers of the name service are validated (DNSSEC), without which\n"
        "DANE is off; whether that works is for `waypost selftest` to find out.\n"
        "It does not use the network. A line with \"warning:\" is about something that is\n"
        "allowed, but rarely meant.\n"
        "\n"
        "Exit codes: 0 good, perhaps with warnings; 78 there was a fault.\n",
    .group = GROUP_RUNNING,
    .examples = {
        { "waypost check -c /etc/waypost/waypost.conf",
          "is it good?" },
        { "waypost check -c new.conf && cp new.conf /etc/waypost/waypost.conf",
          "put a new one in place only when it is; then: systemctl reload waypost" },
    },
};
/* clang-format on */
