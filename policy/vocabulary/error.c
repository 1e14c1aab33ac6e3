/*
 * error - texts for error numbers, and the end after a broken promise.
 */
#include "policy/vocabulary/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const texts[] = {
#define ERROR_ROW(name, text) [(name) - ERROR_BASE] = (text),
    ERROR_TABLE(ERROR_ROW)
#undef ERROR_ROW
};

const char *error_text(int rc)
{
    if (rc > ERROR_BASE && rc < ERROR_END)
        return texts[rc - ERROR_BASE];
    return rc >= 0 ? "no error" : strerrordesc_np(-rc) ?: "unknown error";
}

noreturn void assert_failed(const char *what, const char *file, int line)
{
    (void)fprintf(stderr, "waypost: %s:%d: broken promise: %s\n", file, line,
                  what);
    abort();
}
