/*
 * test_pambase - which services ask nobody but pam_unix.
 */
#include "relay/inbound/pambase.h"

#include "policy/vocabulary/buffer.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* after those that it needs */
#include <cmocka.h>

static char folder[] = "/tmp/waypost-pambase-XXXXXX";

static void put(const char *name, const char *text)
{
    struct buffer path = { 0 };
    FILE *f;

    buffer_printf(&path, "%s/%s", folder, name);
    f = fopen(buffer_string(&path), "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    buffer_fini(&path);
}

static void take_away(const char *name)
{
    struct buffer path = { 0 };

    buffer_printf(&path, "%s/%s", folder, name);
    assert_int_equal(unlink(buffer_string(&path)), 0);
    buffer_fini(&path);
}

static void services_whose_passwords_are_the_systems_are_known(void **state)
{
    static const struct {
        const char *text;
        bool is_alone;
    } rows[] = {
        { "auth required pam_unix.so\n", true },
        { "@include common\naccount required pam_ldap.so\n", true },
        { " auth\tinclude\tcommon # all\n", true },
        { "auth substack common\nauth optional pam_env.so x=y\n", true },
        { "-AUTH [success=2 default=ignore] /lib/security/pam_unix.so nullok\n",
          true },
        { "auth [success=1 default=ignore] pam_unix.so\n"
          "auth requisite pam_deny.so\nauth required pam_permit.so\n",
          true },
        { "auth sufficient pam_unix.so\nauth required pam_ldap.so\n", false },
        { "@include common\nauth sufficient pam_sss.so\n", false },
        { "auth required pam_exec.so /bin/true\n", false },
        { "# auth required pam_unix.so\n", false },
        { "account required pam_unix.so\n", false },
        { "auth required pam_permit.so\n", false },
        { "@include mail\n", false }, /* itself, and so on */
        { "@include none\n@include\nauth\nauth [\nauth required\n\n", false },
        { "", false },
    };

    char vendors[sizeof folder + sizeof "/vendor"];
    char both[sizeof folder + sizeof vendors];

    (void)state;
    (void)snprintf(vendors, sizeof vendors, "%s/vendor", folder);
    (void)snprintf(both, sizeof both, "%s:%s", folder, vendors);
    put("common", "auth required pam_unix.so\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put("mail", rows[i].text);
        if (pambase_is_shadow_alone(folder, SPAN("mail")) != rows[i].is_alone)
            fail_msg("row %zu", i);
    }
    take_away("mail");
    assert_false(pambase_is_shadow_alone(folder, SPAN("mail")));
    put("other", "auth required pam_unix.so\n");
    assert_true(pambase_is_shadow_alone(folder, SPAN("mail")));
    assert_int_equal(mkdir(vendors, 0700), 0);
    put("vendor/mail", "auth required pam_ldap.so\n");
    put("vendor/common", "auth required pam_ldap.so\n");
    assert_false(pambase_is_shadow_alone(both, SPAN("mail")));
    put("vendor/mail", "@include common\n"); /* the administrator's */
    assert_true(pambase_is_shadow_alone(both, SPAN("mail")));
    take_away("vendor/mail");
    take_away("vendor/common");
    assert_int_equal(rmdir(vendors), 0);
    take_away("common");
    take_away("other");
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(services_whose_passwords_are_the_systems_are_known),
    };

    if (!mkdtemp(folder))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
