/*
 * settings_text - a configuration in a string, for tests.
 *
 * Files that it includes are given as pairs of name and text.
 */
#ifndef WAYPOST_SETTINGS_TEXT_H
#define WAYPOST_SETTINGS_TEXT_H

#include "policy/settings.h"

struct settings_text_file {
    const char *name, *text;
};

/* Ends with a row of NULLs. */
static inline int settings_text_read(void *user, const char *path,
                                     struct buffer *out)
{
    for (const struct settings_text_file *f = user; f->name; f++) {
        if (strcmp(f->name, path) == 0) {
            buffer_put_string(out, f->text);
            return 0;
        }
    }
    return -2; /* ENOENT */
}

/* NULL and out_faults where the text is faulty. */
static inline struct settings *settings_text(const char *text,
                                             struct buffer *out_faults,
                                             struct buffer *out_warnings)
{
    struct settings_text_file files[] = { { "w.conf", text }, { NULL, NULL } };
    struct settings_source source = { .path = "w.conf",
                                      .machine_name = "mx.ok.test",
                                      .state_folder = "/state",
                                      .read_file = settings_text_read,
                                      .user = files };

    return settings_read(&source, out_faults, out_warnings);
}

#endif
