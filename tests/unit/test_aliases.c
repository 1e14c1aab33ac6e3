/*
 * aliases - what a file of aliases(5) says, and where a local name's mail goes.
 */
#include "policy/aliasing.h"

#include "policy/aliases.h"
#include "policy/config/faults.h"
#include "policy/judge.h"
#include "policy/vocabulary/memory.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

static const char base[] =
    "hostname = \"relay.example.org\"  origin = \"example.org\"\n"
    "aliases = \"/etc/aliases\"\n"
    "listener \"a\" { address = \"127.0.0.1:2525\" }\n"
    "rule \"r\" { client = {\"192.0.2.1\"}  action = relay }\n"
    "route \"*\" { via = {\"mx\"} }\n";

struct files {
    const char *config, *aliases;
};

static int read_file(void *user, const char *path, struct buffer *out)
{
    const struct files *f = user;

    if (strcmp(path, "waypost.conf") == 0) {
        buffer_put_string(out, base);
        buffer_put_string(out, f->config);
    } else if (strcmp(path, "/etc/aliases") == 0) {
        buffer_put_string(out, f->aliases);
    } else if (strcmp(path, "/lists/team") == 0) {
        buffer_put_string(out, "# the team\nann@example.com\n"
                               "Bob <bob@example.net>, carl\n");
    } else if (strcmp(path, "/lists/shadow") == 0) { /* a user's link */
        buffer_put_string(out, "root:$y$secret:1 x\n:include:/lists/team\n"
                               "\x1b[2J\nann@example.com\n");
    } else {
        return ERROR_GONE;
    }
    return 0;
}

static struct settings *settings_of(const char *config, const char *aliases,
                                    struct buffer *out_faults,
                                    struct buffer *out_warnings)
{
    struct files f = { config, aliases };

    return settings_read(&(struct settings_source){ .path = "waypost.conf",
                                                    .machine_name = "m.example",
                                                    .state_folder = "/state",
                                                    .read_file = read_file,
                                                    .user = &f },
                         out_faults, out_warnings);
}

/* "a@b c@d" where it leads, "-": it stays, "0": nowhere, "!": it cannot be. */
static void check_leads(const struct settings *s, const char *address,
                        const char *expected)
{
    struct aliasing found = { 0 };
    struct arena arena = { 0 };
    struct buffer b = { 0 };
    struct address a;

    assert_int_equal(address_parse(span_of(address), &a), ADDRESS_OK);
    switch (aliasing_find(s, &a, &arena, &found)) {
    case ALIASING_NONE:
        buffer_put_string(&b, "-");
        break;
    case ALIASING_NOWHERE:
        buffer_put_string(&b, "0");
        break;
    case ALIASING_CANNOT:
        buffer_put_string(&b, "!");
        break;
    case ALIASING_TOO_MANY:
        buffer_put_string(&b, "+");
        break;
    case ALIASING_LATER:
        buffer_put_string(&b, "?");
        break;
    case ALIASING_LEADS:
        for (size_t i = 0; i < found.count; i++) {
            buffer_put_string(&b, i ? " " : "");
            buffer_put(&b, found.all[i]);
        }
        if (found.owner.len) {
            buffer_put_string(&b, " / ");
            buffer_put(&b, found.owner);
        }
        break;
    }
    assert_string_equal(buffer_string(&b), expected);
    buffer_fini(&b);
    arena_reset(&arena);
}

static void names_are_looked_up_until_addresses_are_left(void **state)
{
    static const char file[] = "# people\n"
                               "postmaster: root\n"
                               "Root: Admin@example.com,\n"
                               "# between\n"
                               "   \"night watch\"@example.com\n"
                               "\n"
                               "list: ann@example.com, root, ann@example.com\n"
                               "owner-list: boss\n"
                               "boss: chief@example.com\r\n"
                               "team: :include:/lists/team\n"
                               "carl: /dev/null\n"
                               "carla: \\root\n"
                               "prog: \"|/bin/cat, -n\"\n"
                               "mixed: |/bin/cat, x@example.com\n"
                               "\"two words\": y@example.com\n"
                               "bob: bob, bob@other.example\n"
                               "a: b\n"
                               "b: a\n"
                               "here: root@localhost, list@relay.example.org\n";
    static const struct {
        const char *address, *leads;
    } rows[] = {
        { "root@example.org", "Admin@example.com \"night watch\"@example.com" },
        { "ROOT@Relay.Example.org",
          "Admin@example.com \"night watch\"@example.com" },
        { "root@localhost", "Admin@example.com \"night watch\"@example.com" },
        { "root@example.com", "-" },
        { "nobody@example.org", "-" },
        { "nobody@localhost", "nobody@example.org" },
        { "list@example.org", "ann@example.com Admin@example.com \"night "
                              "watch\"@example.com / chief@example.com" },
        { "team@localhost", "ann@example.com bob@example.net" },
        { "carl@example.org", "0" },
        { "carla@example.org", "root@example.org" },
        { "prog@example.org", "!" },
        { "mixed@example.org", "x@example.com" },
        { "\"two words\"@example.org", "y@example.com" },
        { "bob@example.org", "bob@example.org bob@other.example" },
        { "a@example.org", "a@example.org" },
        { "here@example.org", "Admin@example.com \"night watch\"@example.com "
                              "ann@example.com" },
    };
    struct buffer faults = { 0 }, warnings = { 0 };
    struct settings *s = settings_of("", file, &faults, &warnings);

    (void)state;
    assert_string_equal(buffer_string(&faults), "");
    assert_non_null(s);
    assert_non_null(strstr(buffer_string(&warnings), "/etc/aliases:13:1: "));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_leads(s, rows[i].address, rows[i].leads);
    settings_release(s);
    buffer_fini(&faults);
    buffer_fini(&warnings);
}

static void postmaster_has_what_root_and_others_have_no_alias_for(void **state)
{
    struct buffer faults = { 0 }, warnings = { 0 };
    struct settings *s =
        settings_of("postmaster = \"ops@example.net\"\n",
                    "ann: a@example.com\nx: postmaster\n", &faults, &warnings);

    (void)state;
    assert_non_null(s);
    check_leads(s, "root@example.org", "ops@example.net");
    check_leads(s, "Mailer-Daemon@localhost", "ops@example.net");
    check_leads(s, "x@example.org", "ops@example.net");
    check_leads(s, "ann@example.org", "a@example.com");
    settings_release(s);
    s = settings_of("postmaster = \"root@example.org\"\n", "root: postmaster\n",
                    &faults, &warnings);
    assert_non_null(s);
    check_leads(s, "root@example.org", "root@example.org");
    settings_release(s);
    buffer_fini(&faults);
    buffer_fini(&warnings);
}

static void what_is_wrong_is_told_with_its_line(void **state)
{
    static const struct {
        const char *file, *fault;
    } rows[] = {
        { "a: b\nno colon here\n", "/etc/aliases:2:1: " },
        { "a: b\nA: c\n", "\"a\" stands more than once" },
        { "x@y: b\n", "is no local name" },
        { "a: b c\n", "is no address and no name" },
        { "a: :include:relative\n", "is no file with its whole path" },
        { ": b\n", "is no local name" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buffer faults = { 0 }, warnings = { 0 };

        assert_null(settings_of("", rows[i].file, &faults, &warnings));
        if (!strstr(buffer_string(&faults), rows[i].fault))
            fail_msg("%s: %s", rows[i].file, buffer_string(&faults));
        buffer_fini(&faults);
        buffer_fini(&warnings);
    }
}

static void a_users_list_stops_nothing_and_is_not_quoted(void **state)
{
    struct buffer faults = { 0 }, warnings = { 0 };
    struct settings *s = settings_of("", "all: :include:/lists/shadow\n",
                                     &faults, &warnings);

    (void)state;
    assert_non_null(s);
    assert_string_equal(buffer_string(&faults), "");
    assert_non_null(strstr(buffer_string(&warnings), "/lists/shadow:1:1: "));
    assert_null(strstr(buffer_string(&warnings), "secret"));
    assert_null(strstr(buffer_string(&warnings), "\x1b"));
    assert_int_equal(aliases_find(s->aliases, SPAN("all"))->count, 1);
    settings_release(s);
    buffer_fini(&faults);
    buffer_fini(&warnings);
}

static void a_list_that_cannot_be_read_puts_off_those_who_need_it(void **state)
{
    static const struct {
        const char *address, *leads;
    } rows[] = {
        { "all@example.org", "?" },
        { "boss@example.org", "?" }, /* by way of all */
        { "team@example.org", "ann@example.com bob@example.net carl@example.org" },
        { "joe@example.org", "joe@example.com" },
    };
    struct buffer faults = { 0 }, warnings = { 0 };
    struct settings *s =
        settings_of("",
                    "joe: joe@example.com\n"
                    "all: joe, :include:/missing\n"
                    "boss: all\n"
                    "team: :include:/lists/team\n",
                    &faults, &warnings);
    struct arena arena = { 0 };
    struct address to, from;
    struct verdict v;

    (void)state;
    assert_non_null(s);
    assert_string_equal(buffer_string(&faults), "");
    assert_non_null(strstr(buffer_string(&warnings),
                           "/etc/aliases:2:1: warning: \"/missing\" cannot be "
                           "included now"));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_leads(s, rows[i].address, rows[i].leads);
    assert_int_equal(address_parse(SPAN("all@example.org"), &to), ADDRESS_OK);
    assert_int_equal(address_parse(SPAN("x@example.com"), &from), ADDRESS_OK);
    v = judge_ourselves(s,
                        &(struct facts){ .stage = STAGE_RECIPIENT,
                                         .recipient = &to,
                                         .sender = &from },
                        &arena, NULL);
    assert_int_equal(v.kind, VERDICT_DEFER);
    assert_int_equal(v.reply.code, 451);
    arena_reset(&arena);
    settings_release(s);
    buffer_fini(&faults);
    buffer_fini(&warnings);
}

static struct facts facts_of(const char *listener, const char *login,
                             const struct address *to)
{
    return (struct facts){ .listener = span_of(listener),
                           .login = span_of(login),
                           .sender = to,
                           .recipient = to };
}

static void only_users_that_are_named_are_granted_on_their_socket(void **state)
{
    static const struct {
        const char *listener, *login, *to;
        enum verdict_kind kind;
    } rows[] = {
        { "sendmail", "joe", "x@example.com", VERDICT_RELAY },
        { "sendmail", "ann", "x@example.com", VERDICT_REJECT },
        { "sendmail", "", "x@example.com", VERDICT_REJECT },
        { "a", "joe", "x@example.com", VERDICT_REJECT },
        { "sendmail", "joe", "x@bad.example", VERDICT_REJECT },
        { "sendmail", "joe", "trash@example.org", VERDICT_DISCARD },
    };
    struct buffer faults = { 0 }, warnings = { 0 };
    struct settings *s =
        settings_of("sendmail { users = {\"joe\"} }\n"
                    "rule \"bad\" { to = {\"bad.example\"} action = reject }\n",
                    "trash: /dev/null\n", &faults, &warnings);

    (void)state;
    assert_non_null(s);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena = { 0 };
        struct address to;
        struct facts facts;

        assert_int_equal(address_parse(span_of(rows[i].to), &to), ADDRESS_OK);
        facts = facts_of(rows[i].listener, rows[i].login, &to);
        assert_int_equal(judge(s, &facts, &arena, NULL).kind, rows[i].kind);
        arena_reset(&arena);
    }
    settings_release(s);
    buffer_fini(&faults);
    buffer_fini(&warnings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_looked_up_until_addresses_are_left),
        cmocka_unit_test(postmaster_has_what_root_and_others_have_no_alias_for),
        cmocka_unit_test(what_is_wrong_is_told_with_its_line),
        cmocka_unit_test(a_users_list_stops_nothing_and_is_not_quoted),
        cmocka_unit_test(
            a_list_that_cannot_be_read_puts_off_those_who_need_it),
        cmocka_unit_test(only_users_that_are_named_are_granted_on_their_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
