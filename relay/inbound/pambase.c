/*
 * pambase - can PAM read the passwords that it is to judge by?
 *
 * pam_unix needs /etc/shadow, or a helper that tells nobody but root of others' passwords. Who
 * is neither gets "wrong" for each password, from PAM too: there is no telling it from a real
 * one but by looking at the service. Where another module may say yes (LDAP, sssd) nothing is
 * said here, since that one may know everybody.
 *
 * What is read is what pam.d(5) has: type, control, module; include, substack and @include.
 */
#include "relay/inbound/pambase.h"

#include "policy/vocabulary/buffer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DEPTH_MOST = 8, LINE_MOST = 1024 };

/* What is asked of a password. */
struct stack {
    struct span folders; /* with ':' between */
    bool has_unix, has_others;
};

/* They let in nobody who is not let in by another. */
static const char *const followers[] = {
    "pam_access.so",     "pam_cap.so",       "pam_deny.so",
    "pam_env.so",        "pam_faildelay.so", "pam_faillock.so",
    "pam_limits.so",     "pam_listfile.so",  "pam_nologin.so",
    "pam_permit.so",     "pam_securetty.so", "pam_shells.so",
    "pam_succeed_if.so", "pam_tally2.so",    "pam_time.so",
    "pam_warn.so",
};

static struct span word(struct span *line)
{
    struct span s = span_trim(*line);
    size_t end = 0;

    while (end < s.len && s.at[end] != ' ' && s.at[end] != '\t')
        end++;
    *line = span_skip(s, end);
    return span_first(s, end);
}

/* "[success=1 default=ignore]" has spaces. */
static struct span control(struct span *line)
{
    struct span s = span_trim(*line);
    size_t end = span_find(s, ']');

    if (!s.len || *s.at != '[' || end == s.len)
        return word(line);
    *line = span_skip(s, end + 1);
    return span_first(s, end + 1);
}

static void add_module(struct stack *k, struct span path)
{
    size_t slash = span_find_last(path, '/');
    struct span name = slash < path.len ? span_skip(path, slash + 1) : path;

    if (span_is(name, SPAN("pam_unix.so"))) {
        k->has_unix = true;
        return;
    }
    for (size_t i = 0; i < sizeof followers / sizeof *followers; i++)
        if (span_is(name, span_of(followers[i])))
            return;
    k->has_others = true;
}

static bool add_file(struct stack *k, struct span name, unsigned depth);

static void add_line(struct stack *k, struct span line, unsigned depth)
{
    struct span type = word(&line), how;

    if (span_is(type, SPAN("@include"))) {
        (void)add_file(k, word(&line), depth + 1);
        return;
    }
    if (!span_is_nocase(type, SPAN("auth")) &&
        !span_is_nocase(type, SPAN("-auth")))
        return;
    how = control(&line);
    if (span_is(how, SPAN("include")) || span_is(how, SPAN("substack")))
        (void)add_file(k, word(&line), depth + 1);
    else
        add_module(k, word(&line));
}

/* The first that there is. */
static FILE *open_file(const struct stack *k, struct span name)
{
    struct span folder, rest = k->folders;
    struct buffer path = { 0 };
    FILE *f = NULL;

    while (!f && rest.len) {
        folder = span_split(rest, ':', &rest);
        buffer_clear(&path);
        if (*name.at != '/')
            buffer_printf(&path, "%.*s/", SPAN_FMT(folder));
        buffer_put(&path, name);
        f = fopen(buffer_string(&path), "re");
    }
    buffer_fini(&path);
    return f;
}

static bool add_file(struct stack *k, struct span name, unsigned depth)
{
    char line[LINE_MOST];
    FILE *f;

    if (depth > DEPTH_MOST || !name.len || !(f = open_file(k, name)))
        return false;
    while (fgets(line, sizeof line, f)) {
        struct span s = span_of(line);

        s = span_first(s, span_find(s, '#'));
        add_line(k, span_trim(span_first(s, span_find(s, '\n'))), depth);
    }
    (void)fclose(f);
    return true;
}

bool pambase_is_shadow_alone(const char *folders, struct span service)
{
    struct stack k = { .folders = folders ? span_of(folders)
                                          : SPAN("/etc/pam.d:/usr/lib/pam.d") };

    /* where it has no file, "other" is its */
    if (!add_file(&k, service, 0))
        (void)add_file(&k, SPAN("other"), 0);
    return k.has_unix && !k.has_others;
}

bool pambase_is_out_of_reach(const char *folders, struct span service,
                             const char *shadow)
{
    return euidaccess(shadow, R_OK) < 0 && errno == EACCES &&
           pambase_is_shadow_alone(folders, service);
}
