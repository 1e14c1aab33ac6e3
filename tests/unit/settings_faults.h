/*
 * settings_faults - tables of configurations and what is said of them.
 */
#ifndef WAYPOST_SETTINGS_FAULTS_H
#define WAYPOST_SETTINGS_FAULTS_H

#include "tests/unit/settings_text.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

static inline struct settings *read_well(const char *text)
{
    struct buffer faults = { 0 }, warnings = { 0 };
    struct settings *s = settings_text(text, &faults, &warnings);

    if (!s)
        fail_msg("%s", buffer_string(&faults));
    buffer_fini(&faults);
    buffer_fini(&warnings);
    return s;
}

struct fault_row {
    const char *text;
    const char *expected[5]; /* each is in the faults; no other line is */
};

static inline size_t lines_of(const struct buffer *b)
{
    size_t n = 0;

    for (size_t i = 0; i < b->len; i++)
        n += b->at[i] == '\n';
    return n;
}

static inline void check_faults(const struct fault_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct buffer faults = { 0 }, warnings = { 0 };
        struct settings *s = settings_text(rows[i].text, &faults, &warnings);
        size_t expected = 0;

        if (s)
            fail_msg("taken: %s", rows[i].text);
        for (; expected < 5 && rows[i].expected[expected]; expected++)
            if (!strstr(buffer_string(&faults), rows[i].expected[expected]))
                fail_msg("%s\nlacks: %s\nsaid: %s", rows[i].text,
                         rows[i].expected[expected], buffer_string(&faults));
        if (lines_of(&faults) != expected)
            fail_msg("%s\nsaid: %s", rows[i].text, buffer_string(&faults));
        buffer_fini(&faults);
        buffer_fini(&warnings);
    }
}

#define CHECK_FAULTS(rows) check_faults((rows), sizeof(rows) / sizeof(rows)[0])

/* What is good all the same; each expected text is in a warning. */
static inline void check_warnings(const struct fault_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct buffer faults = { 0 }, warnings = { 0 };
        struct settings *s = settings_text(rows[i].text, &faults, &warnings);
        size_t n = 0;

        assert_string_equal(buffer_string(&faults), "");
        for (; n < 5 && rows[i].expected[n]; n++)
            if (!strstr(buffer_string(&warnings), rows[i].expected[n]))
                fail_msg("%s\nlacks %s\nsaid %s", rows[i].text,
                         rows[i].expected[n], buffer_string(&warnings));
        if (lines_of(&warnings) != n)
            fail_msg("%s\nsaid %s", rows[i].text, buffer_string(&warnings));
        settings_release(s);
        buffer_fini(&faults);
        buffer_fini(&warnings);
    }
}

#define CHECK_WARNINGS(rows)                                                   \
    check_warnings(rows, sizeof(rows) / sizeof(rows)[0])

#endif
