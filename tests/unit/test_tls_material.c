/*
 * tls: certificates and keys as they are read, watched, and run out.
 */
#include "tls_scene.h"

#include <sys/stat.h>

static void faults_name_their_file(void **state)
{
    struct buffer faults = { 0 }, wanted = { 0 };
    struct span spare_certificate, spare_key;
    struct scene c;

    (void)state;
    scene_open(&c);
    scene_serve(&c, &(struct tls_order){ .file = "a", .cn = "a" });
    world_order(&c.world, &(struct tls_order){ .file = "b", .cn = "b" },
                &spare_certificate, &spare_key);
    c.certificates[1] = SPAN("/nowhere/cert.pem");
    c.keys[1] = spare_key;
    c.certificates[2] = spare_key;
    c.keys[2] = spare_certificate;
    c.settings->tls.certificate_count = c.settings->tls.key_count = 3;
    c.keys[0] = spare_key;
    assert_null(tls_material_new(c.settings, &faults));
    buffer_printf(&wanted, "%s/b.key: is not the key of %s/a.pem\n",
                  c.world.folder, c.world.folder);
    buffer_printf(&wanted, "/nowhere/cert.pem: No such file or directory: put "
                           "it there, or name another path\n");
    buffer_printf(&wanted, "%s/b.key: there is no certificate in it\n",
                  c.world.folder);
    buffer_printf(&wanted, "%s/b.pem: there is no key in it\n", c.world.folder);
    assert_string_equal(buffer_string(&faults), buffer_string(&wanted));
    buffer_fini(&faults);
    buffer_fini(&wanted);
    scene_close(&c);
}

static void each_end(void *user, struct span file, struct span names,
                     int64_t ends_ms)
{
    (void)file;
    (void)names;
    *(int64_t *)user = ends_ms;
}

static void warnings_come_before_the_end(void **state)
{
    struct buffer said = { 0 };
    struct scene c;
    int64_t end = 0;

    (void)state;
    scene_open(&c);
    scene_serve(
        &c, &(struct tls_order){
                .file = "a", .cn = "a", .begins_day = -1, .ends_day = 100 });
    scene_begin(&c);
    tls_material_each(c.material, each_end, &end);
    tls_material_warn(c.material, end - (int64_t)15 * WORLD_DAY_S * 1000,
                      &said);
    assert_string_equal(buffer_string(&said), "");
    tls_material_warn(c.material, end - (int64_t)5 * WORLD_DAY_S * 1000, &said);
    assert_non_null(
        strstr(buffer_string(&said), "/a.pem: the certificate ends on "));
    assert_non_null(strstr(buffer_string(&said), ", in 5 days\n"));
    buffer_clear(&said);
    tls_material_warn(c.material, end + 1000, &said);
    assert_non_null(
        strstr(buffer_string(&said), ": the certificate ended on "));
    buffer_clear(&said);
    assert_int_equal(chmod(c.world.files[2], 0644), 0);
    tls_material_warn(c.material, end - (int64_t)15 * WORLD_DAY_S * 1000,
                      &said);
    assert_non_null(
        strstr(buffer_string(&said),
               "/a.key: everybody on this machine can read the key\n"));
    buffer_fini(&said);
    scene_close(&c);
}

static void a_changed_file_makes_it_stale(void **state)
{
    struct scene c;
    FILE *f;

    (void)state;
    scene_simple(&c);
    assert_false(tls_material_is_stale(c.material));
    f = fopen(c.world.files[1], "a");
    assert_non_null(f);
    (void)fputs("\n", f);
    (void)fclose(f);
    assert_true(tls_material_is_stale(c.material));
    scene_close(&c);
}

static void conversations_outlive_their_configuration(void **state)
{
    struct side a, b;
    struct scene c;

    (void)state;
    scene_simple(&c);
    pair_open(&c, &a, &b, EDGE, &mx_verified);
    tls_material_release(c.material);
    c.material = NULL;
    assert_int_equal(tls_write(a.tls, SPAN("NOOP\r\n")), 0);
    converse(&a, &b, 65536);
    assert_true(span_is(buffer_span(&b.plain), SPAN("NOOP\r\n")));
    pair_close(&a, &b);
    scene_close(&c);
}

static void a_listener_without_tls_has_none(void **state)
{
    struct scene c;

    (void)state;
    scene_simple(&c);
    assert_null(tls_accept(c.material, CLEAR, NULL));
    scene_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_name_their_file),
        cmocka_unit_test(warnings_come_before_the_end),
        cmocka_unit_test(a_changed_file_makes_it_stale),
        cmocka_unit_test(conversations_outlive_their_configuration),
        cmocka_unit_test(a_listener_without_tls_has_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
