/*
 * privilege - whom the relay becomes when root starts it.
 */
#include "relay/main/privilege.h"

#include "policy/vocabulary/remedy.h"
#include "relay/main/places.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usual_account[] = "waypost";

/* --------------------------------------------------------------- whom ---- */

int privilege_find(struct privilege *out_p, const struct settings *s,
                   struct buffer *out_why)
{
    struct buffer name = { 0 };
    const struct passwd *entry;
    int rc = 0;

    *out_p = (struct privilege){ 0 };
    if (geteuid() != 0)
        return 0;
    buffer_put(&name, s->user.len ? s->user : span_of(usual_account));
    entry = getpwnam(buffer_string(&name));
    if (entry)
        *out_p = (struct privilege){ entry->pw_uid != 0,
                                     span_dup(buffer_span(&name)),
                                     entry->pw_uid, entry->pw_gid };
    else if (s->user.len) {
        buffer_put_string(out_why, "user: this machine has no account ");
        buffer_put_escaped(out_why, s->user);
        rc = ERROR_CONFIG;
    }
    buffer_fini(&name);
    return rc;
}

void privilege_fini(struct privilege *p)
{
    free(p->name);
    *p = (struct privilege){ 0 };
}

/* --------------------------------------------------- what is his to be ---- */

struct preparation {
    const struct privilege *account;
    struct buffer *why;
    int rc;
};

/* Only what has just been made: what was there may be anybody's. */
static int give(const struct privilege *p, const char *path, int flags)
{
    int fd = open(path, flags | O_NOFOLLOW | O_CLOEXEC, 0640);
    int rc = 0;

    if (fd < 0)
        return -errno;
    if (fchown(fd, p->uid, p->gid) < 0)
        rc = -errno;
    (void)close(fd);
    return rc;
}

/* The folders above a file, as far as they are missing. */
static int make_folders(const struct privilege *p, const char *path)
{
    char *copy = span_dup(span_of(path));
    int rc = 0;

    for (char *at = copy; rc == 0 && (at = strchr(at + 1, '/')) != NULL;) {
        *at = '\0';
        if (mkdir(copy, 0700) == 0)
            rc = give(p, copy, O_RDONLY | O_DIRECTORY);
        else if (errno != EEXIST)
            rc = -errno;
        *at = '/';
    }
    free(copy);
    return rc;
}

static int make_log(const struct privilege *p, const char *path)
{
    int rc = give(p, path, O_WRONLY | O_CREAT | O_EXCL);

    return rc == -EEXIST ? 0 : rc;
}

static void prepare(void *user, enum place_kind kind, const char *path)
{
    struct preparation *work = user;
    int rc = 0;

    if (kind == PLACE_STATE || kind == PLACE_LOG)
        rc = make_folders(work->account, path);
    /* without a log there is mail all the same */
    if (rc == 0 && kind == PLACE_LOG)
        (void)make_log(work->account, path);
    if (rc == 0 || work->rc < 0 || kind == PLACE_LOG)
        return;
    work->rc = rc;
    buffer_printf(work->why, "the folder of %s cannot be made for %s", path,
                  work->account->name);
    remedy_put_writing(work->why, rc);
}

int privilege_prepare(const struct privilege *p, const struct settings *s,
                      struct buffer *out_why)
{
    struct preparation work = { p, out_why, 0 };

    if (p->is_given)
        places_each(s, NULL, NULL, prepare, &work);
    return work.rc;
}

/* ----------------------------------------------------------- the drop ---- */

void privilege_close_doors(void)
{
    (void)prctl(PR_SET_DUMPABLE, 0);
    /* what systemd lends for low ports is ours, not our children's */
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

int privilege_drop(const struct privilege *p, struct buffer *out_why)
{
    uid_t ids[3];

    if (!p->is_given)
        return 0;
    if (initgroups(p->name, p->gid) < 0 ||
        setresgid(p->gid, p->gid, p->gid) < 0 ||
        setresuid(p->uid, p->uid, p->uid) < 0) {
        int rc = -errno;

        buffer_printf(out_why, "cannot become the user %s: %s", p->name,
                      error_text(rc));
        return rc;
    }
    /* leaving root takes all capabilities away; the way back must be shut */
    ASSERT(getresuid(&ids[0], &ids[1], &ids[2]) == 0);
    ASSERT(ids[0] == p->uid && ids[1] == p->uid && ids[2] == p->uid);
    ASSERT(setuid(0) < 0);
    return 0;
}

/* ------------------------------------------------- can he do his work ---- */

static void try_folder(void *user, enum place_kind kind, const char *path)
{
    struct preparation *work = user;
    char *folder = span_dup(span_of(path));
    char *slash = strrchr(folder, '/');

    if (kind == PLACE_STATE && slash && slash != folder && work->rc == 0) {
        *slash = '\0';
        if (access(folder, W_OK | X_OK) < 0) {
            work->rc = ERROR_CONFIG;
            buffer_printf(work->why,
                          "the user %s cannot write to %s: %s: chown it and "
                          "what is in it, or set user = NAME",
                          work->account->name, folder, error_text(-errno));
        }
    }
    free(folder);
}

int privilege_try(const struct privilege *p, const struct settings *s,
                  struct buffer *out_why)
{
    struct preparation work = { p, out_why, 0 };

    if (p->is_given)
        places_each(s, NULL, NULL, try_folder, &work);
    return work.rc;
}

/* ---------------------------------------------- what he cannot read ---- */

struct look {
    struct buffer *out;
    const char *name;
};

static void look_at(void *user, enum place_kind kind, const char *path)
{
    const struct look *l = user;

    if (kind != PLACE_READ && kind != PLACE_TABLE && kind != PLACE_KEPT)
        return;
    if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0 || errno == ENOENT)
        return;
    buffer_printf(l->out, "the relay's user %s cannot read %s: %s\n", l->name,
                  path, error_text(-errno));
}

void privilege_look(const struct settings *s, const char *config,
                    const struct sources *sources, struct buffer *out_warnings)
{
    const struct passwd *entry = getpwuid(geteuid());
    char *name = span_dup(span_of(entry ? entry->pw_name : "without a name"));
    struct look l = { out_warnings, name };

    places_each(s, config, sources, look_at, &l);
    free(name);
}

static void put_as_warnings(struct buffer *out, struct span lines)
{
    while (lines.len) {
        struct span line = span_split(lines, '\n', &lines);

        buffer_printf(out, "warning: %.*s\n", SPAN_FMT(line));
    }
}

void privilege_check(const struct settings *s, const char *config,
                     const struct sources *sources, struct buffer *out_faults,
                     struct buffer *out_warnings)
{
    struct buffer lines = { 0 };
    struct privilege p;

    if (privilege_find(&p, s, &lines) < 0) {
        buffer_put(out_faults, buffer_span(&lines));
        buffer_put_byte(out_faults, '\n');
    } else if (p.is_given && initgroups(p.name, p.gid) == 0 &&
               setegid(p.gid) == 0 && seteuid(p.uid) == 0) {
        privilege_look(s, config, sources, &lines);
        put_as_warnings(out_warnings, buffer_span(&lines));
        ASSERT(seteuid(0) == 0 && setegid(0) == 0);
        (void)setgroups(0, NULL);
    }
    privilege_fini(&p);
    buffer_fini(&lines);
}
