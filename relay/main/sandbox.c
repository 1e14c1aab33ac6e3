/*
 * sandbox - the relay keeps itself from what it does not need.
 */
#include "relay/main/sandbox.h"

#include "policy/vocabulary/memory.h"
#include "relay/main/callfilter.h"
#include "relay/main/fence.h"
#include "relay/main/places.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* What C library, resolver, TLS and log read on their own. Secrets among it (/etc/shadow,
 * others' keys) are kept from the relay's user by their mode; their folders must be here,
 * because a file that replaces another, as resolv.conf often is, would be out of reach. In
 * /proc, other processes stay closed to who is fenced. */
static const char *const read_always[] = {
    "/etc",
    "/usr",
    "/lib",
    "/lib64",
    "/proc",
    "/dev/random",
    "/dev/urandom",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/var/lib/sss/mc",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    NULL,
};
static const char *const write_always[] = { "/dev/null", NULL };
static const char *const read_by_environment[] = { "SSL_CERT_DIR",
                                                   "SSL_CERT_FILE", NULL };

/* A path that may be reached, with all beneath it. */
struct sandbox_grant {
    struct sandbox_grant *next;
    bool writes;
    char path[];
};

/* --------------------------------------------------------------- paths ---- */

/* The folder of a path, as it is written. */
static void put_folder(struct buffer *out, const char *path)
{
    struct span s = span_of(path);
    size_t slash = span_find_last(s, '/');

    if (slash == s.len)
        buffer_put_byte(out, '.');
    else
        buffer_put(out, span_first(s, slash ? slash : 1));
}

/* The nearest that is there, without symbolic links. */
static void find_real(const char *path, char out[static PATH_MAX])
{
    struct buffer at = { 0 }, up = { 0 };

    buffer_put_string(&at, path);
    while (!realpath(buffer_string(&at), out)) {
        put_folder(&up, buffer_string(&at));
        if (span_is(buffer_span(&up), buffer_span(&at))) {
            (void)snprintf(out, PATH_MAX, "/");
            break;
        }
        buffer_fini(&at);
        at = up;
        up = (struct buffer){ 0 };
    }
    buffer_fini(&at);
    buffer_fini(&up);
}

static bool is_beneath(const char *path, const char *above)
{
    size_t n = strlen(above);

    return strncmp(path, above, n) == 0 &&
           (path[n] == '\0' || path[n] == '/' || above[n - 1] == '/');
}

/* ---------------------------------------------- what a place comes to ---- */

struct wanted {
    const struct sandbox *sandbox;
    struct sandbox_grant **grants; /* collected, or ... */
    struct buffer *refused;        /* ... held against what there is */
};

static bool has(const struct sandbox_grant *g, const char *path, bool writes)
{
    for (; g; g = g->next)
        if (is_beneath(path, g->path) && (g->writes || !writes))
            return true;
    return false;
}

/* Once: a file's name and where it leads are often in the same folder. */
static void refuse(struct buffer *out_why, const char *name, bool writes)
{
    struct buffer line = { 0 };

    buffer_printf(&line,
                  "%s can be %s only after a restart: it was not named when "
                  "the relay shut itself in (sandbox)\n",
                  name, writes ? "written" : "read");
    if (!strstr(buffer_string(out_why), buffer_string(&line)))
        buffer_put(out_why, buffer_span(&line));
    buffer_fini(&line);
}

static void want(struct wanted *w, const char *folder, bool writes,
                 const char *name)
{
    char real[PATH_MAX];
    struct sandbox_grant *g;

    find_real(folder, real);
    if (w->refused) {
        if (!has(w->sandbox->grants, real, writes))
            refuse(w->refused, name, writes);
        return;
    }
    if (has(*w->grants, real, writes))
        return;
    g = memory_take(sizeof *g + strlen(real) + 1);
    g->next = *w->grants;
    g->writes = writes;
    memcpy(g->path, real, strlen(real) + 1);
    *w->grants = g;
}

/* Where its name is, and, when that is a link, where it leads: both may be replaced. In the
 * root folder the file alone, not all there is. */
static void want_file(struct wanted *w, const char *path)
{
    struct buffer folder = { 0 };
    char real[PATH_MAX];

    put_folder(&folder, path);
    want(w, strcmp(buffer_string(&folder), "/") ? buffer_string(&folder) : path,
         false, path);
    if (realpath(path, real)) {
        buffer_clear(&folder);
        put_folder(&folder, real);
        want(w,
             strcmp(buffer_string(&folder), "/") ? buffer_string(&folder)
                                                 : real,
             false, path);
    }
    buffer_fini(&folder);
}

/* A list that aliases include may be nowhere: what is above a missing folder is not given away
 * in its place. */
static void want_table(struct wanted *w, const char *path)
{
    struct buffer folder = { 0 };

    put_folder(&folder, path);
    if (access(buffer_string(&folder), F_OK) == 0)
        want_file(w, path);
    buffer_fini(&folder);
}

static void want_place(void *user, enum place_kind kind, const char *path)
{
    struct buffer folder = { 0 };

    switch (kind) {
    case PLACE_READ:
        want_file(user, path);
        break;
    case PLACE_TABLE:
        want_table(user, path);
        break;
    case PLACE_KEPT:
    case PLACE_STATE:
    case PLACE_LOG:
        put_folder(&folder, path);
        want(user, buffer_string(&folder), true, path);
        break;
    case PLACE_FOLDER:
        want(user, path, true, path);
        break;
    }
    buffer_fini(&folder);
}

static void want_always(struct wanted *w)
{
    for (size_t i = 0; read_always[i]; i++)
        if (access(read_always[i], F_OK) == 0)
            want(w, read_always[i], false, read_always[i]);
    for (size_t i = 0; write_always[i]; i++)
        want(w, write_always[i], true, write_always[i]);
    for (size_t i = 0; read_by_environment[i]; i++)
        if (getenv(read_by_environment[i]))
            want(w, getenv(read_by_environment[i]), false,
                 read_by_environment[i]);
    want_file(w, "/etc/resolv.conf");
    want_file(w, "/etc/localtime");
}

/* --------------------------------------------------------------- entry ---- */

static int build(const struct sandbox *b)
{
    struct fence f;
    int rc = fence_open(&f);

    for (const struct sandbox_grant *g = b->grants; rc == 0 && g; g = g->next)
        rc = fence_allow(&f, g->path, g->writes);
    if (rc == 0)
        return fence_close(&f);
    fence_fini(&f);
    return rc;
}

static void describe(struct sandbox *b, const char *program)
{
    if (!b->is_fenced && !b->is_filtered)
        (void)snprintf(b->text, sizeof b->text, "none");
    else
        (void)snprintf(b->text, sizeof b->text, "%s; %s; %s%s",
                       b->is_fenced ? "files of the settings alone"
                                    : "all files of its user",
                       b->is_filtered ? "no calls that mail does not need"
                                      : "all system calls",
                       program ? "programs, because of " : "no programs",
                       program ? program : "");
}

void sandbox_enter(struct sandbox *b, const struct settings *s,
                   const char *config, const struct sources *sources,
                   struct buffer *out_warnings)
{
    const char *program = places_program(s);
    struct wanted w = { b, &b->grants, NULL };
    int rc = 0;

    *b = (struct sandbox){ .runs_programs = program != NULL };
    if (s->sandbox && !program) {
        want_always(&w);
        places_each(s, config, sources, want_place, &w);
        rc = build(b);
        b->is_fenced = rc == 0;
    }
    if (rc < 0)
        buffer_printf(out_warnings,
                      "sandbox: files cannot be limited: %s (Landlock)\n",
                      error_text(rc));
    if (s->sandbox) {
        rc = callfilter_enter(program != NULL);
        b->is_filtered = rc == 0;
        if (rc < 0)
            buffer_printf(out_warnings,
                          "sandbox: calls cannot be limited: %s (seccomp)\n",
                          error_text(rc));
    } else {
        buffer_put_string(out_warnings,
                          "sandbox = false: whoever finds a fault in the relay "
                          "can do all that its user may\n");
    }
    describe(b, program);
}

bool sandbox_permits(const struct sandbox *b, const struct settings *s,
                     const char *config, const struct sources *sources,
                     struct buffer *out_why)
{
    struct wanted w = { b, NULL, out_why };
    size_t before = out_why->len;
    const char *program = places_program(s);

    if (program && b->is_filtered && !b->runs_programs)
        buffer_printf(out_why,
                      "%s needs a restart: the relay has shut itself "
                      "in where no program can be run (sandbox)\n",
                      program);
    if (b->is_fenced)
        places_each(s, config, sources, want_place, &w);
    return out_why->len == before;
}

void sandbox_fini(struct sandbox *b)
{
    struct sandbox_grant *g = b->grants;

    while (g) {
        struct sandbox_grant *next = g->next;

        free(g);
        g = next;
    }
    *b = (struct sandbox){ 0 };
}
