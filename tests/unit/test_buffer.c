/*
 * Buffers, and the arena beside them: growing, the cap, what is shown.
 */
#include "policy/vocabulary/arena.h"
#include "policy/vocabulary/buffer.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stdlib.h>
#include <cmocka.h>

static void what_is_put_is_there_in_order(void **state)
{
    struct buffer b = { 0 };

    (void)state;
    buffer_put(&b, SPAN("ab"));
    buffer_put(&b, span_make(NULL, 0));
    buffer_put_byte(&b, 'c');
    buffer_put_string(&b, "de");
    buffer_printf(&b, "%d%s", 7, "x");
    assert_string_equal(buffer_string(&b), "abcde7x");
    buffer_drop(&b, 2);
    assert_string_equal(buffer_string(&b), "cde7x");
    buffer_drop(&b, 0);
    buffer_drop(&b, 5);
    assert_int_equal(b.len, 0);
    buffer_fini(&b);
}

static void a_buffer_grows_as_needed(void **state)
{
    struct buffer b = { 0 };
    char *room;

    (void)state;
    assert_string_equal(buffer_string(&b), "");
    for (int i = 0; i < 5000; i++)
        buffer_put_byte(&b, (char)('a' + i % 26));
    assert_int_equal(b.len, 5000);
    assert_int_equal(b.at[4999], 'a' + 4999 % 26);
    room = buffer_room(&b, 10000);
    assert_non_null(room);
    memset(room, 'z', 10000);
    buffer_grew(&b, 10000);
    assert_int_equal(buffer_span(&b).len, 15000);
    buffer_fini(&b);
    assert_null(b.at);
}

static void over_the_cap_nothing_of_a_piece_is_kept(void **state)
{
    struct buffer b = { .cap = 4 };

    (void)state;
    buffer_put_string(&b, "abc");
    buffer_put_string(&b, "de");
    assert_true(b.overflow);
    assert_string_equal(buffer_string(&b), "abc");
    buffer_printf(&b, "%d", 12);
    buffer_put_byte(&b, 'd'); /* fits; what was lost is still told */
    assert_string_equal(buffer_string(&b), "abcd");
    assert_true(b.overflow);
    assert_null(buffer_room(&b, 1));
    buffer_clear(&b);
    assert_false(b.overflow);
    assert_int_equal(b.len, 0);
    buffer_fini(&b);
    assert_int_equal(b.cap, 4);
}

static void bytes_of_strangers_are_shown_harmless(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        { "plain ~text", "plain ~text" },
        { "a\r\nb\t", "a\\x0D\\x0Ab\\x09" },
        { "back\\slash", "back\\x5Cslash" },
        /* once is enough, however many hands it goes through */
        { "\\x1B[2J", "\\x1B[2J" },
        { "\\x1b \\x1 \\xG0", "\\x5Cx1b \\x5Cx1 \\x5CxG0" },
        { "\\\\x1B", "\\x5C\\x1B" },
        { "\xc3\xbc", "\xc3\xbc" },
        { "\xff\xc3", "\\xFF\\xC3" },
        { "\x1b[31m", "\\x1B[31m" },
        { "\xe2\x80\xae", "\\xE2\\x80\\xAE" },
        { "\x7f", "\\x7F" },
    };
    struct buffer b = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        buffer_clear(&b);
        buffer_put_escaped(&b, span_of(rows[i].in));
        assert_string_equal(buffer_string(&b), rows[i].out);
    }
    buffer_fini(&b);
}

static void an_arena_gives_aligned_zeroed_memory(void **state)
{
    struct arena a = { 0 };

    (void)state;
    for (size_t size = 0; size < 3000; size += 37) {
        char *p = arena_take(&a, size);

        assert_int_equal((uintptr_t)p % alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, size);
    }
    assert_true(a.taken_bytes > 100000);
    assert_string_equal(arena_string(&a, SPAN("abc")), "abc");
    assert_true(span_is(arena_copy(&a, SPAN("d\0e")), SPAN("d\0e")));
    assert_int_equal(arena_copy(&a, span_make(NULL, 0)).len, 0);
    arena_reset(&a);
    assert_null(a.blocks);
    assert_int_equal(a.taken_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_is_there_in_order),
        cmocka_unit_test(a_buffer_grows_as_needed),
        cmocka_unit_test(over_the_cap_nothing_of_a_piece_is_kept),
        cmocka_unit_test(bytes_of_strangers_are_shown_harmless),
        cmocka_unit_test(an_arena_gives_aligned_zeroed_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
