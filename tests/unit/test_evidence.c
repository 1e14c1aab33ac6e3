/*
 * evidence: what was asked and told, within bounds.
 */
#include "policy/evidence.h"
#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/limits.h"
#include "policy/vocabulary/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static enum evidence_state state_of(const struct evidence *e,
                                    enum evidence_kind kind, const char *key)
{
    struct span answer = { 0 };

    return evidence_find(e, kind, span_of(key), &answer);
}

static void assert_answer(const struct evidence *e, enum evidence_kind kind,
                          const char *key, const char *expected)
{
    struct span answer = { 0 };

    assert_int_equal(evidence_find(e, kind, span_of(key), &answer),
                     EVIDENCE_ANSWERED);
    assert_true(span_is(answer, span_of(expected)));
}

static void put(struct evidence *e, enum evidence_kind kind, const char *key,
                const char *answer)
{
    evidence_put(e, kind, span_of(key), EVIDENCE_ANSWERED, span_of(answer));
}

static void nothing_was_asked_where_there_is_no_evidence(void **state)
{
    (void)state;
    assert_int_equal(state_of(NULL, EVIDENCE_NAME, "k"), EVIDENCE_NOT_ASKED);
}

static void an_answer_is_found_under_its_kind_and_key_alone(void **state)
{
    struct evidence *e = evidence_new();

    (void)state;
    put(e, EVIDENCE_NAME, "192.0.2.1", "a.example");
    put(e, EVIDENCE_ADDRESSES, "192.0.2.1", "");
    put(e, EVIDENCE_NOTE, "", "of no key");
    assert_answer(e, EVIDENCE_NAME, "192.0.2.1", "a.example");
    assert_answer(e, EVIDENCE_ADDRESSES, "192.0.2.1", "");
    assert_answer(e, EVIDENCE_NOTE, "", "of no key");
    assert_int_equal(state_of(e, EVIDENCE_NOTE, "192.0.2.1"),
                     EVIDENCE_NOT_ASKED);
    assert_int_equal(state_of(e, EVIDENCE_NAME, "192.0.2.10"),
                     EVIDENCE_NOT_ASKED);
    evidence_free(e);
}

static void keys_and_answers_are_copied_whatever_is_in_them(void **state)
{
    struct evidence *e = evidence_new();
    char key[] = "a\0b", answer[] = "x\0\xff";
    struct span found = { 0 };

    (void)state;
    evidence_put(e, EVIDENCE_SERVER, span_make(key, 3), EVIDENCE_ANSWERED,
                 span_make(answer, 3));
    key[2] = answer[0] = '?';
    assert_int_equal(
        evidence_find(e, EVIDENCE_SERVER, span_make("a\0b", 3), &found),
        EVIDENCE_ANSWERED);
    assert_int_equal(found.len, 3);
    assert_memory_equal(found.at, "x\0\xff", 3);
    evidence_free(e);
}

static void a_later_answer_replaces_the_first(void **state)
{
    struct evidence *e = evidence_new();
    struct span own = { 0 };

    (void)state;
    put(e, EVIDENCE_BUDGET, "k", "10");
    put(e, EVIDENCE_BUDGET, "k", "9");
    assert_answer(e, EVIDENCE_BUDGET, "k", "9");
    assert_int_equal(evidence_find(e, EVIDENCE_BUDGET, SPAN("k"), &own),
                     EVIDENCE_ANSWERED);
    evidence_put(e, EVIDENCE_BUDGET, SPAN("k"), EVIDENCE_ANSWERED, own);
    assert_answer(e, EVIDENCE_BUDGET, "k", "9");
    evidence_put(e, EVIDENCE_BUDGET, SPAN("k"), EVIDENCE_FAILED, SPAN("text"));
    own = SPAN("untouched");
    assert_int_equal(evidence_find(e, EVIDENCE_BUDGET, SPAN("k"), &own),
                     EVIDENCE_FAILED);
    assert_true(span_is(own, SPAN("untouched")));
    evidence_free(e);
}

static void one_kind_is_forgotten_and_the_others_stay(void **state)
{
    struct evidence *e = evidence_new();
    char key[16];

    (void)state;
    for (int i = 0; i < 300; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        put(e, i % 2 ? EVIDENCE_NOTE : EVIDENCE_NAME, key, key);
    }
    evidence_forget(e, EVIDENCE_NOTE);
    for (int i = 0; i < 300; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        if (i % 2)
            assert_int_equal(state_of(e, EVIDENCE_NOTE, key),
                             EVIDENCE_NOT_ASKED);
        else
            assert_answer(e, EVIDENCE_NAME, key, key);
    }
    evidence_forget(e, EVIDENCE_NAME);
    evidence_forget(e, EVIDENCE_NAME);
    put(e, EVIDENCE_NAME, "k0", "again");
    assert_answer(e, EVIDENCE_NAME, "k0", "again");
    evidence_free(e);
}

static void over_the_count_the_oldest_go(void **state)
{
    struct evidence *e = evidence_new();
    char key[16];

    (void)state;
    for (int i = 0; i < LIMIT_EVIDENCE_ANSWERS; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        put(e, EVIDENCE_NOTE, key, "");
    }
    put(e, EVIDENCE_NOTE, "k0", "renewed");
    assert_answer(e, EVIDENCE_NOTE, "k1", "");
    put(e, EVIDENCE_NOTE, "one more", "");
    assert_int_equal(state_of(e, EVIDENCE_NOTE, "k1"), EVIDENCE_NOT_ASKED);
    assert_answer(e, EVIDENCE_NOTE, "k0", "renewed");
    assert_answer(e, EVIDENCE_NOTE, "k2", "");
    assert_answer(e, EVIDENCE_NOTE, "one more", "");
    evidence_free(e);
}

static void over_the_bytes_the_oldest_go(void **state)
{
    struct evidence *e = evidence_new();
    char *large = NEW_ARRAY(char, LIMIT_EVIDENCE_ANSWER);
    char key[16];
    int kept = 0;

    (void)state;
    for (int i = 0; i < 100; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        evidence_put(e, EVIDENCE_NOTE, span_of(key), EVIDENCE_ANSWERED,
                     span_make(large, LIMIT_EVIDENCE_ANSWER));
        assert_int_equal(state_of(e, EVIDENCE_NOTE, key), EVIDENCE_ANSWERED);
    }
    for (int i = 0; i < 100; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        kept += state_of(e, EVIDENCE_NOTE, key) == EVIDENCE_ANSWERED;
    }
    assert_true(kept > 8);
    assert_true(kept * LIMIT_EVIDENCE_ANSWER <= LIMIT_EVIDENCE_BYTES);
    evidence_free(e);
    free(large);
}

static void what_is_too_long_has_failed(void **state)
{
    struct evidence *e = evidence_new();
    char *large = NEW_ARRAY(char, LIMIT_EVIDENCE_KEY + 1);
    struct span key = span_make(large, LIMIT_EVIDENCE_KEY + 1), answer = { 0 };

    (void)state;
    assert_int_equal(evidence_find(NULL, EVIDENCE_SERVER, key, &answer),
                     EVIDENCE_FAILED);
    evidence_put(e, EVIDENCE_SERVER, key, EVIDENCE_ANSWERED, SPAN("DUNNO"));
    assert_int_equal(evidence_find(e, EVIDENCE_SERVER, key, &answer),
                     EVIDENCE_FAILED);
    key.len--;
    evidence_put(e, EVIDENCE_SERVER, key, EVIDENCE_ANSWERED, SPAN("DUNNO"));
    assert_int_equal(evidence_find(e, EVIDENCE_SERVER, key, &answer),
                     EVIDENCE_ANSWERED);
    evidence_put(e, EVIDENCE_SERVER, SPAN("k"), EVIDENCE_ANSWERED,
                 span_make(large, LIMIT_EVIDENCE_ANSWER + 1));
    assert_int_equal(state_of(e, EVIDENCE_SERVER, "k"), EVIDENCE_FAILED);
    evidence_free(e);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_was_asked_where_there_is_no_evidence),
        cmocka_unit_test(an_answer_is_found_under_its_kind_and_key_alone),
        cmocka_unit_test(keys_and_answers_are_copied_whatever_is_in_them),
        cmocka_unit_test(a_later_answer_replaces_the_first),
        cmocka_unit_test(one_kind_is_forgotten_and_the_others_stay),
        cmocka_unit_test(over_the_count_the_oldest_go),
        cmocka_unit_test(over_the_bytes_the_oldest_go),
        cmocka_unit_test(what_is_too_long_has_failed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
