/*
 * userfile: the files of users { }, what is kept instead of a password, and how a line is
 * changed.
 */
#include "sasl_bench.h"

#include "relay/inbound/userfile.h"
#include "relay/net/linefile.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define V256                                                                   \
    "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,"                            \
    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"                            \
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define V1                                                                     \
    "{SCRAM-SHA-1}4096,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,"         \
    "D+CSWLOshSulAsxiupA+qs2/fTE="
#define HASH                                                                   \
    "$5$rounds=1000$sa1tsa1tsa1t$1EjL6sOiTYs5PbXsI/sqLSakJvx6frAbQ4hhNQ7YG/9"
#define PRINT "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define LOGIN_255                                                              \
    "0123456789012345678901234567890123456789012345678901234567890123456789"   \
    "0123456789012345678901234567890123456789012345678901234567890123456789"   \
    "0123456789012345678901234567890123456789012345678901234567890123456789"   \
    "012345678901234567890123456789012345678901234"

static const char *read_file(const char *name)
{
    static char text[8192];
    FILE *f = fopen(bench_path(name), "r");

    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    (void)fclose(f);
    return text;
}

static struct userfile *file_of(enum userfile_kind kind, const char *text,
                                struct buffer *why)
{
    struct stat st;

    bench_write("file", text);
    return userfile_read(kind, bench_path("file"), &st, why);
}

/* clang-format off */
static const struct {
    enum userfile_kind kind;    const char *text;   const char *fault;
} faulty[] = {
    { USERFILE_VERIFIERS, "a", ":1: should be LOGIN:VERIFIER" },
    { USERFILE_VERIFIERS, "a:" HASH "\n#\n\n:" HASH, ":4: has a login that cannot be one" },
    { USERFILE_VERIFIERS, "a b:" HASH, ":1: has a login that cannot be one" },
    { USERFILE_VERIFIERS, "a\x7f:" HASH, ":1: has a login that cannot be one" },
    { USERFILE_VERIFIERS, "\xff:" HASH, ":1: has a login that cannot be one" },
    { USERFILE_VERIFIERS, LOGIN_255 "6:" HASH, ":1: has a login that cannot be one" },
    { USERFILE_VERIFIERS, "a:" HASH "\nb:" HASH "\na:" HASH, ":3: is there twice, first in line 1" },
    { USERFILE_VERIFIERS, "a:" HASH ":" HASH, ":1: has two verifiers of one kind" },
    { USERFILE_VERIFIERS, "a:" V1 ":" V1, ":1: has two verifiers of one kind" },
    { USERFILE_VERIFIERS, "a:", ":1: has a verifier that is neither" },
    { USERFILE_VERIFIERS, "a:secret", ":1: has a verifier that is neither" },
    { USERFILE_VERIFIERS, "a:{PLAIN}secret", ":1: has a verifier that is neither" },
    { USERFILE_VERIFIERS, "a:{CRYPT}{PLAIN}x", ":1: has a verifier that is neither" },
    { USERFILE_VERIFIERS, "a:{SCRAM-SHA-256}4096,AA==,AA==,AA==", ":1: has a SCRAM verifier" },
    { USERFILE_VERIFIERS, "a:{SCRAM-SHA-256}0,W22ZaJ0SNY7soEsUEjb6gQ==,x,y", ":1: has a SCRAM verifier" },
    { USERFILE_VERIFIERS, "a:" V256 ",x", ":1: has a SCRAM verifier" },
    { USERFILE_VERIFIERS, "a:{SCRAM-SHA-256}", ":1: has a SCRAM verifier" },
    { USERFILE_CRAM, "a", ":1: should be LOGIN:PASSWORD" },
    { USERFILE_CRAM, "a:", ":1: should be LOGIN:PASSWORD" },
    { USERFILE_CRAM, "a:x\na:y", ":2: is there twice" },
    { USERFILE_CERTIFICATES, "sha256:" PRINT, ":1: should be sha256:FINGERPRINT LOGIN" },
    { USERFILE_CERTIFICATES, "sha256:0123 a", ":1: has a fingerprint that is not" },
    { USERFILE_CERTIFICATES, "sha256:" PRINT "0 a", ":1: has a fingerprint that is not" },
    { USERFILE_CERTIFICATES, "a.example b:c", ":1: has a login that cannot be one" },
};
/* clang-format on */

static void each_fault_is_told_with_its_line(void **state)
{
    struct buffer why = { 0 };
    char expected[256];

    (void)state;
    for (size_t i = 0; i < sizeof faulty / sizeof *faulty; i++) {
        struct userfile *f = file_of(faulty[i].kind, faulty[i].text, &why);

        (void)snprintf(expected, sizeof expected, "%s%s", bench_path("file"),
                       faulty[i].fault);
        if (f || !strstr(buffer_string(&why), expected))
            print_error("row %zu: %s\n", i, buffer_string(&why));
        assert_null(f);
        assert_non_null(strstr(buffer_string(&why), expected));
        buffer_clear(&why);
    }
    buffer_fini(&why);
}

static void a_file_is_a_table_of_logins(void **state)
{
    static const char text[] = "# comment\n"
                               "  \n"
                               "b:" V256 ":{CRYPT}" HASH ":" V1 "\r\n"
                               "c:" HASH "\n"
                               "d:!" HASH ":*\n"
                               "a:{sha256-crypt}" HASH "\n"
                               "gr\xc3\xbcn@example.org:" V1;
    struct buffer why = { 0 };
    struct password_work work = { 0 };
    struct userfile *f = file_of(USERFILE_VERIFIERS, text, &why);
    const struct userfile_entry *e;

    (void)state;
    assert_non_null(f);
    assert_int_equal(userfile_count(f), 5);
    e = userfile_at(f, 0);
    assert_true(span_is(e->key, SPAN("a")));
    assert_string_equal(e->crypt, HASH);
    e = userfile_find(f, SPAN("b"));
    assert_int_equal(e->scram[PASSWORD_SHA_256].iterations, 4096);
    assert_int_equal(e->scram[PASSWORD_SHA_256].salt_len, 16);
    assert_int_equal(e->scram[PASSWORD_SHA_1].salt_len, 12);
    assert_string_equal(e->crypt, HASH);
    e = userfile_find(f, SPAN("d"));
    assert_non_null(e);
    assert_false(e->crypt || sasl_entry_has(e, PASSWORD_HASHES));
    assert_non_null(userfile_find(f, SPAN("gr\xc3\xbcn@example.org")));
    assert_null(userfile_find(f, SPAN("A")));
    assert_null(userfile_find(f, SPAN("")));
    assert_null(userfile_find(f, SPAN("# comment")));
    assert_false(userfile_all_have(f, PASSWORD_SHA_256));
    /* by SCRAM-SHA-256 alone where it is there, though the hash is of another password */
    e = userfile_find(f, SPAN("b"));
    assert_true(userfile_entry_is(e, SPAN("pencil"), &work));
    assert_false(userfile_entry_is(e, SPAN("secret"), &work));
    e = userfile_find(f, SPAN("c"));
    assert_true(userfile_entry_is(e, SPAN("secret"), &work));
    assert_false(userfile_entry_is(e, SPAN("secret\0x"), &work));
    e = userfile_find(f, SPAN("gr\xc3\xbcn@example.org"));
    assert_true(userfile_entry_is(e, SPAN("pencil"), &work));
    assert_int_equal(work.derivations, 3);
    assert_int_equal(work.crypts, 1);
    userfile_free(f);
    buffer_fini(&why);
}

static void certificates_are_found_in_any_spelling(void **state)
{
    struct buffer why = { 0 };
    struct userfile *f = file_of(USERFILE_CERTIFICATES,
                                 "SHA256:01:23:45:67:89:AB:CD:EF:"
                                 "0123456789abcdef0123456789abcdef"
                                 "0123456789abcdef   a\n"
                                 " The Printer\tb \n",
                                 &why);

    (void)state;
    assert_non_null(f);
    assert_true(
        span_is(userfile_find(f, SPAN("sha256:" PRINT))->value, SPAN("a")));
    assert_true(
        span_is(userfile_find(f, SPAN("THE PRINTER"))->value, SPAN("b")));
    assert_null(userfile_find(f, SPAN("printer")));
    userfile_free(f);
    buffer_fini(&why);
}

static void passwords_in_the_clear_are_for_their_owner_alone(void **state)
{
    struct buffer why = { 0 };
    struct userfile *f = file_of(USERFILE_CRAM, "a:x:y z \n", &why);
    struct stat st;

    (void)state;
    assert_true(span_is(userfile_find(f, SPAN("a"))->value, SPAN("x:y z ")));
    userfile_free(f);
    assert_int_equal(chmod(bench_path("file"), 0640), 0);
    assert_null(userfile_read(USERFILE_CRAM, bench_path("file"), &st, &why));
    assert_non_null(strstr(buffer_string(&why), "chmod 600"));
    buffer_fini(&why);
}

static void base64(const char *text, unsigned char *out, int most)
{
    unsigned char all[64];
    int n =
        EVP_DecodeBlock(all, (const unsigned char *)text, (int)strlen(text));

    assert_true(n >= most);
    memcpy(out, all, (size_t)most);
}

/* The exchanges of RFC 5802 section 5 and RFC 7677 section 3. */
static void verifiers_are_those_of_the_rfcs(void **state)
{
    static const struct {
        enum password_hash hash;
        const char *verifier, *bare, *first, *last, *proof, *signature;
    } rows[] = {
        { PASSWORD_SHA_1, V1, "n=user,r=fyko+d2lbbFgONRv9qkxdawL",
          "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,"
          "i=4096",
          "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j",
          "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "rmF9pqV8S7suAoZWja4dJRkFsKQ=" },
        { PASSWORD_SHA_256, V256, "n=user,r=rOprNGfwEbeRWgbNEkqO",
          "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
          "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
          "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
          "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
          "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" },
    };
    struct password_work work = { 0 };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const EVP_MD *md = i ? EVP_sha256() : EVP_sha1();
        size_t n = password_hash_size(rows[i].hash);
        unsigned char mine[32], theirs[32], key[32];
        struct password_scram v;
        char message[512];
        struct span text = span_of(rows[i].verifier);

        assert_true(password_scram_parse(
            rows[i].hash, span_skip(text, span_find(text, '}') + 1), &v));
        assert_true(password_scram_is(rows[i].hash, &v, SPAN("pencil"), &work));
        (void)snprintf(message, sizeof message, "%s,%s,%s", rows[i].bare,
                       rows[i].first, rows[i].last);
        assert_non_null(HMAC(md, v.server_key, (int)n,
                             (const unsigned char *)message, strlen(message),
                             mine, NULL));
        base64(rows[i].signature, theirs, (int)n);
        assert_memory_equal(mine, theirs, n);
        assert_non_null(HMAC(md, v.stored_key, (int)n,
                             (const unsigned char *)message, strlen(message),
                             mine, NULL));
        base64(rows[i].proof, theirs, (int)n);
        for (size_t k = 0; k < n; k++)
            mine[k] ^= theirs[k];
        assert_int_equal(EVP_Digest(mine, n, key, NULL, md, NULL), 1);
        assert_memory_equal(key, v.stored_key, n);
    }
}

static void what_is_made_is_read_back(void **state)
{
    struct password_work work = { 0 };
    struct password_scram v, again;
    struct buffer b = { 0 };

    (void)state;
    for (enum password_hash h = 0; h < PASSWORD_HASHES; h++) {
        assert_int_equal(password_scram_make(h, SPAN("x"), &v), 0);
        assert_int_equal(v.iterations, PASSWORD_ITERATIONS);
        password_scram_print(&b, h, &v);
        assert_true(password_scram_parse(h, buffer_span(&b), &again));
        assert_true(password_scram_is(h, &again, SPAN("x"), &work));
        assert_false(password_scram_is(h, &again, SPAN("y"), &work));
        assert_false(password_scram_is(h, &again, SPAN(""), &work));
        buffer_clear(&b);
    }
    assert_int_equal(password_crypt_make("x", &b), 0);
    assert_memory_equal(b.at, "$y$", 3);
    assert_true(password_crypt_knows(buffer_string(&b)));
    assert_true(password_crypt_is(buffer_string(&b), "x", &work));
    assert_false(password_crypt_is(buffer_string(&b), "y", &work));
    buffer_fini(&b);
}

static void a_line_is_changed_and_the_others_stay(void **state)
{
    static const struct {
        const char *login, *rest; /* NULL: taken out */
        int said;
        const char *text;
    } rows[] = {
        { "b", NULL, LINEFILE_ABSENT, NULL },
        { "a", "1", LINEFILE_ADDED, "a:1\n" },
        { "b", "2:x", LINEFILE_ADDED, "a:1\nb:2:x\n" },
        { "a", "3", LINEFILE_REPLACED, "a:3\nb:2:x\n" },
        { "a", NULL, LINEFILE_REMOVED, "b:2:x\n" },
        { "2", NULL, LINEFILE_ABSENT, "b:2:x\n" },
        { "b", NULL, LINEFILE_REMOVED, "" },
    };
    struct buffer why = { 0 };
    struct stat st;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct span rest = span_of(rows[i].rest);

        assert_int_equal(linefile_change(bench_path("changed"),
                                         span_of(rows[i].login),
                                         rows[i].rest ? &rest : NULL, &why),
                         rows[i].said);
        if (rows[i].text)
            assert_string_equal(read_file("changed"), rows[i].text);
    }
    assert_int_equal(stat(bench_path("changed"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_true(linefile_change("/nowhere/users", SPAN("a"), NULL, &why) < 0);
    assert_memory_equal(why.at, "/nowhere/users: ", 16);
    buffer_fini(&why);
}

static void comments_mode_and_links_stay(void **state)
{
    struct buffer why = { 0 };
    struct span rest = SPAN("new");
    struct stat st;

    (void)state;
    bench_write("target", "# b:1\n\na:1\n#\nlast:1");
    assert_int_equal(chmod(bench_path("target"), 0640), 0);
    assert_int_equal(symlink("target", bench_path("link")), 0);
    assert_int_equal(
        linefile_change(bench_path("link"), SPAN("a"), &rest, &why),
        LINEFILE_REPLACED);
    assert_string_equal(read_file("target"), "# b:1\n\na:new\n#\nlast:1\n");
    assert_int_equal(lstat(bench_path("link"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(stat(bench_path("target"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    buffer_fini(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fault_is_told_with_its_line),
        cmocka_unit_test(a_file_is_a_table_of_logins),
        cmocka_unit_test(certificates_are_found_in_any_spelling),
        cmocka_unit_test(passwords_in_the_clear_are_for_their_owner_alone),
        cmocka_unit_test(verifiers_are_those_of_the_rfcs),
        cmocka_unit_test(what_is_made_is_read_back),
        cmocka_unit_test(a_line_is_changed_and_the_others_stay),
        cmocka_unit_test(comments_mode_and_links_stay),
    };

    return cmocka_run_group_tests(tests, bench_setup, bench_teardown);
}
