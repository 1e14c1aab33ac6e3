/*
 * configuration - the settings that a call of the program is about.
 *
 * The parser does no I/O; the files (sources.h), the machine's name and the place where
 * state lives by default ($XDG_STATE_HOME/waypost, ~/.local/state/waypost) come
 * from here.
 */
#include "relay/main/configuration.h"

#include "policy/vocabulary/memory.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_MOST = 256 };

/* As Postfix: a name without a domain becomes NAME.localdomain. */
static void put_machine_name(struct buffer *b)
{
    char name[NAME_MOST] = "";

    if (gethostname(name, sizeof(name) - 1) < 0 || !*name)
        (void)snprintf(name, sizeof(name), "localhost");
    buffer_put_string(b, name);
    if (!strchr(name, '.'))
        buffer_put_string(b, ".localdomain");
}

static void put_state_folder(struct buffer *b)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");

    if (state && *state == '/') {
        buffer_printf(b, "%s/waypost", state);
        return;
    }
    if (!home || *home != '/') {
        const struct passwd *p = getpwuid(geteuid());

        home = p ? p->pw_dir : "/";
    }
    buffer_printf(b, "%s/.local/state/waypost", home);
}

/* Who may write it decides who may relay. NULL: there is no file. */
static void doubt_mode(const char *path, struct buffer *warnings)
{
    struct stat st;

    if (path && stat(path, &st) == 0 && st.st_mode & S_IWOTH)
        buffer_printf(warnings,
                      "%s:1:1: warning: anybody on this machine may write this "
                      "file, and open the relay: chmod o-w\n",
                      path);
}

struct settings *configuration_read(const struct verb_call *call,
                                    struct sources *sources,
                                    struct buffer *out_faults,
                                    struct buffer *out_warnings)
{
    struct buffer name = { 0 }, folder = { 0 };
    struct settings *s;

    put_machine_name(&name);
    put_state_folder(&folder);
    s = settings_read(
        &(struct settings_source){ .path = call->config,
                                   .machine_name = buffer_string(&name),
                                   .state_folder = buffer_string(&folder),
                                   .read_file = sources_read_file,
                                   .read_table = sources_read_table,
                                   .read_list = sources_read_list,
                                   .kept_table = sources_kept_table,
                                   .user = sources },
        out_faults, out_warnings);
    doubt_mode(call->config, out_warnings);
    buffer_fini(&name);
    buffer_fini(&folder);
    return s;
}

struct settings *configuration_load(const struct verb_call *call)
{
    struct sources *sources = sources_new(NULL, NULL);
    struct buffer faults = { 0 }, warnings = { 0 };
    struct settings *s = configuration_read(call, sources, &faults, &warnings);

    if (!s)
        (void)fputs(buffer_string(&faults), stderr);
    buffer_fini(&faults);
    buffer_fini(&warnings);
    sources_free(sources);
    return s;
}

/* What its reader may not see is nothing that it needs. */
static int read_what_we_may(void *user, const char *path, struct buffer *out)
{
    int rc = sources_read_file(user, path, out);

    return rc == -EACCES ? 0 : rc;
}

static struct settings *load_brief(const char *path, bool has_users)
{
    struct sources *sources = sources_new(NULL, NULL);
    struct buffer name = { 0 }, folder = { 0 }, faults = { 0 }, warnings = { 0 };
    struct settings *s;

    put_machine_name(&name);
    put_state_folder(&folder);
    if (path && access(path, R_OK) < 0)
        buffer_printf(&faults, "%s: %s\n", path, error_text(-errno));
    s = faults.len ? NULL
                   : settings_read(
                         &(struct settings_source){
                             .path = path,
                             .machine_name = buffer_string(&name),
                             .state_folder = buffer_string(&folder),
                             .read_file = read_what_we_may,
                             .user = sources,
                             .is_brief = true,
                             .has_users = has_users },
                         &faults, &warnings);
    if (!s)
        (void)fputs(buffer_string(&faults), stderr);
    sources_free(sources);
    buffer_fini(&name);
    buffer_fini(&folder);
    buffer_fini(&faults);
    buffer_fini(&warnings);
    return s;
}

struct settings *configuration_load_brief(const char *path)
{
    return load_brief(path, false);
}

struct settings *configuration_load_users(const char *path)
{
    return load_brief(path, true);
}

const char *configuration_usual(void)
{
    static const char path[] = "/etc/waypost/waypost.conf";

    return access(path, F_OK) == 0 ? path : NULL;
}

int configuration_make_folder(struct span path)
{
    char *copy = span_dup(path);
    int rc = 0;

    for (char *p = copy; rc == 0 && (p = strchr(p + 1, '/')) != NULL;) {
        *p = '\0';
        if (mkdir(copy, 0700) < 0 && errno != EEXIST)
            rc = -errno;
        *p = '/';
    }
    free(copy);
    return rc;
}
