/*
 * station_enclose - from what the process was when it was started to what it is to be.
 *
 *   keys are read, low ports opened -> folders and log made -> another account
 *   -> no new privileges -> the log's file -> the sandbox -> users, tokens: threads
 *
 * What the relay's user cannot read, though root could, is warned of here and not when a
 * reload fails by it.
 */
#include "relay/main/station_private.h"

#include "relay/main/configuration.h"
#include "relay/main/privilege.h"

#include <stdlib.h>
#include <unistd.h>

/* The history's sorting goes through files of its own; the queue's disk has room, and is
 * within reach. */
static void set_temporary_folder(const struct settings *s)
{
    struct buffer folder = { 0 };

    buffer_put(&folder,
               span_first(s->queue.path, span_find_last(s->queue.path, '/')));
    if (folder.len < s->queue.path.len)
        (void)setenv("SQLITE_TMPDIR", buffer_string(&folder), 0);
    buffer_fini(&folder);
}

static void tell_account(const struct privilege *p, const struct settings *s)
{
    if (p->is_given)
        log_text(LOG_NOTE, "root has started us: we go on as %s", p->name);
    else if (geteuid() == 0 && s->user.len == 0)
        log_text(LOG_WARNING,
                 "running as root: make an account for the relay (waypost, or "
                 "user = NAME), so that a fault in it is not one of all the "
                 "machine");
}

/* For good: what follows is done by somebody who may less. */
static int become(const struct settings *s, struct buffer *out_why)
{
    struct privilege p;
    int rc = privilege_find(&p, s, out_why);

    if (rc == 0)
        rc = privilege_prepare(&p, s, out_why);
    if (rc == 0)
        rc = privilege_drop(&p, out_why);
    if (rc == 0)
        rc = privilege_try(&p, s, out_why);
    if (rc == 0) {
        privilege_close_doors();
        log_open(s->log.form, s->log.tag, s->log.syslog, s->log.file);
        tell_account(&p, s);
    }
    privilege_fini(&p);
    return rc;
}

int station_enclose(struct station *st, const struct sources *sources,
                    struct buffer *out_why)
{
    const struct settings *s = st->settings;
    struct buffer warnings = { 0 };
    int rc;

    if ((rc = strongbox_read(&st->strongbox, s, out_why)) < 0)
        return rc;
    doorstep_open(&st->doorstep, s);
    if ((rc = become(s, out_why)) < 0)
        return rc;
    set_temporary_folder(s);
    /* what cannot be made is said when it is opened */
    (void)!configuration_make_folder(s->queue.path);
    privilege_look(s, st->config, sources, &warnings);
    sandbox_enter(&st->sandbox, s, st->config, sources, &warnings);
    station_log_lines(LOG_WARNING, &warnings);
    buffer_fini(&warnings);
    log_text(LOG_NOTE, "sandbox: %s", st->sandbox.text);
    return strongbox_open(&st->strongbox, s, out_why);
}
