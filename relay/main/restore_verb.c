/*
 * restore_verb - a queue out of a backup.
 *
 *   lock -> what is there? -> unpacked beside it, every sum checked -> looked through
 *        -> the old one aside -> the drop folder, history.db, queue.db.content -> queue.db
 *
 * Up to the last arrow the queue is the old one: queue.db is renamed into place at the very
 * end, when all it needs is there under its final name. Until then the old queue has only
 * got files more that it does not name. Nothing old is removed: links of all of it are in a
 * folder aside first.
 */
#include "relay/main/configuration.h"
#include "relay/main/droparchive.h"
#include "relay/main/guise.h"
#include "relay/main/unpacking.h"

#include "queue/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

struct restoring {
    const char *file;
    bool is_forced, is_held, is_json;
    bool is_check; /* nothing but looked at; path is a name of our own */
    char *path;    /* of queue.db */
    char *drop;    /* the drop folder; NULL: there is none */
    int lock_fd;
    int fd; /* of the file */
    struct unpacking unpacking;
    struct queue_restored found;
    struct buffer aside; /* where the old queue is; empty: there was none */
};

static int take_lock(struct restoring *r)
{
    struct buffer why = { 0 };
    int rc = queue_lock_path(r->path, &r->lock_fd, &why);

    if (rc == ERROR_LOCKED)
        return verbs_complain(&why, EX_TEMPFAIL);
    return rc < 0 ? verbs_complain(&why, EX_CANTCREAT) : EX_OK;
}

/* Is there mail that a person should know of? */
static int look_at_old(struct restoring *r)
{
    struct buffer why = { 0 };
    uint64_t messages = 0;
    int rc = queue_settle_files(r->path, &messages, &why);

    if (rc < 0 && !r->is_forced) {
        buffer_put_string(&why, "; --force puts it aside as it is");
        return verbs_complain(&why, EX_CANTCREAT);
    }
    if (rc == 0 && messages > 0 && !r->is_forced) {
        buffer_printf(&why,
                      "%s holds %llu message%s; --force puts that queue "
                      "aside, and what is in it is not sent then",
                      r->path, (unsigned long long)messages,
                      messages == 1 ? "" : "s");
        return verbs_complain(&why, EX_CANTCREAT);
    }
    buffer_fini(&why);
    return EX_OK;
}

static int unpack(struct restoring *r)
{
    struct buffer why = { 0 };
    uint64_t ignored;
    int rc = unpacking_run(&r->unpacking, r->fd, &why);

    if (rc < 0) {
        (void)fprintf(stderr, "waypost: %s: %s\n", r->file,
                      buffer_string(&why));
        buffer_fini(&why);
        return rc == ERROR_DAMAGED ? EX_DATAERR : EX_IOERR;
    }
    rc = queue_restore_prepare(unpacking_queue(&r->unpacking), r->is_held,
                               &r->found, &why);
    if (rc == 0 && r->unpacking.drop_count && !r->drop) {
        buffer_printf(&why,
                      "%s holds mail of a drop folder, and the configuration "
                      "has none: set sendmail { drop = FOLDER }",
                      r->file);
        return verbs_complain(&why, EX_CANTCREAT);
    }
    /* All of it in the one file, the history too: what is renamed is whole. */
    if (rc == 0)
        rc = queue_settle_files(unpacking_queue(&r->unpacking), &ignored, &why);
    return rc < 0 ? verbs_complain(&why, EX_DATAERR) : EX_OK;
}

static int put_in_place(struct restoring *r)
{
    struct buffer why = { 0 };
    int rc = unpacking_put_aside(&r->unpacking, &r->aside, &why);

    /* first, for what would be done twice otherwise has an id, and is known by it */
    if (rc == 0 && r->drop)
        rc = droparchive_restore(buffer_string(&r->unpacking.drop), r->drop,
                                 &why);
    if (rc == 0)
        rc = unpacking_put_in_place(&r->unpacking, &why);
    return rc < 0 ? verbs_complain(&why, EX_CANTCREAT) : EX_OK;
}

/* ------------------------------------------------------------ the words -- */

static void print_json(const struct restoring *r)
{
    (void)printf("{\"done\":true,\"messages\":%llu,\"recipients\":%llu,"
                 "\"held\":%llu,\"damaged\":%llu,\"dropped\":%llu}\n",
                 (unsigned long long)r->found.messages,
                 (unsigned long long)r->found.recipients,
                 (unsigned long long)r->found.held,
                 (unsigned long long)r->found.damaged,
                 (unsigned long long)r->unpacking.drop_count);
}

static void print_end(struct restoring *r)
{
    const struct queue_restored *f = &r->found;

    if (r->is_json) {
        print_json(r);
        return;
    }
    (void)printf("%s: %llu message%s for %llu recipient%s %s\n",
                 r->is_check ? r->file : r->path,
                 (unsigned long long)f->messages, f->messages == 1 ? "" : "s",
                 (unsigned long long)f->recipients,
                 f->recipients == 1 ? "" : "s",
                 r->is_check ? "could be restored" : "restored");
    if (f->damaged)
        (void)printf("Of %llu the content was damaged or missing when the "
                     "backup was made; they will be held.\n",
                     (unsigned long long)f->damaged);
    if (r->unpacking.drop_count)
        (void)printf("%llu message%s of the drop folder %s imported when the "
                     "relay starts.\n",
                     (unsigned long long)r->unpacking.drop_count,
                     r->unpacking.drop_count == 1 ? "" : "s",
                     r->unpacking.drop_count == 1 ? "is" : "are");
    if (r->aside.len)
        (void)printf("The queue that was there is in %s.\n",
                     buffer_string(&r->aside));
    if (r->is_check)
        return;
    if (r->is_held)
        (void)puts("All of it is held: look with waypost queue list, let go "
                   "with waypost queue release.");
    else if (f->messages)
        (void)puts("What was delivered after the backup was made is sent a "
                   "second time when the relay starts; restore with --hold "
                   "to decide first.");
}

/* ------------------------------------------------------------- the call -- */

static int replace(struct restoring *r)
{
    int rc = take_lock(r);

    if (rc == EX_OK)
        rc = look_at_old(r);
    if (rc == EX_OK)
        rc = unpack(r);
    return rc == EX_OK ? put_in_place(r) : rc;
}

/* Sums show damage, and not who made the file: it is mail in our name that will be sent from it.
 * Who owns the queue's folder could change the queue anyway. */
static bool is_trustworthy(const struct restoring *r)
{
    char *copy = span_dup(span_of(r->path));
    struct stat st, folder;
    const char *why = NULL;

    if (fstat(r->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        free(copy);
        return true; /* a pipe is what the caller has made of it */
    }
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        why = "others than its owner may write it: see that it is what "
              "waypost backup made, then chmod go-w";
    else if (st.st_uid != 0 && st.st_uid != geteuid() &&
             (stat(dirname(copy), &folder) < 0 || st.st_uid != folder.st_uid))
        why = "it belongs neither to you, nor to root, nor to the relay's "
              "user: see that it is what waypost backup made, then chown it";
    if (why)
        (void)fprintf(stderr, "waypost: %s: %s\n", r->file, why);
    free(copy);
    return !why;
}

static int restore(struct restoring *r, const char *queue)
{
    struct guise guise;
    int rc;

    r->fd = open(r->file, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0) {
        (void)fprintf(stderr, "waypost: %s: %s\n", r->file, error_text(-errno));
        return EX_NOINPUT;
    }
    if (!is_trustworthy(r))
        return EX_NOPERM;
    guise_put_on(&guise, r->path);
    unpacking_sweep(queue);
    unpacking_init(&r->unpacking, r->path);
    rc = r->is_check ? unpack(r) : replace(r);
    /* Another's, who has the lock, is left alone. */
    if (r->lock_fd >= 0 || r->is_check)
        unpacking_clean(&r->unpacking);
    unpacking_fini(&r->unpacking);
    guise_take_off(&guise);
    if (rc == EX_OK)
        print_end(r);
    return rc;
}

/* A check has a name of its own beside the queue, which a relay may use meanwhile. */
static char *path_of(struct span queue, bool is_check)
{
    struct buffer path = { 0 };
    char *copy;

    if (is_check)
        unpacking_check_path(queue, &path);
    else
        buffer_put(&path, queue);
    copy = span_dup(buffer_span(&path));
    buffer_fini(&path);
    return copy;
}

static int run_restore(const struct verb_call *call)
{
    struct restoring r = { .lock_fd = -1, .fd = -1 };
    char *queue;
    struct settings *s;
    int rc;

    for (int i = 0; i < call->argc; i++) {
        const char *word = call->argv[i];

        if (strcmp(word, "--force") == 0)
            r.is_forced = true;
        else if (strcmp(word, "--hold") == 0)
            r.is_held = true;
        else if (strcmp(word, "--check") == 0)
            r.is_check = true;
        else if (strcmp(word, "--json") == 0)
            r.is_json = true;
        else if (*word == '-' || r.file)
            return verbs_usage(call, "restore does not take \"%s\"", word);
        else
            r.file = word;
    }
    if (!r.file)
        return verbs_usage(call, "restore needs the file of a backup");
    s = configuration_load_brief(call->config);
    if (!s)
        return EX_CONFIG;
    r.path = path_of(s->queue.path, r.is_check);
    queue = span_dup(s->queue.path);
    r.drop = s->sendmail.drops ? span_dup(s->sendmail.drop) : NULL;
    rc = configuration_make_folder(s->queue.path);
    settings_release(s);
    if (rc < 0) {
        (void)fprintf(stderr, "waypost: %s: %s\n", r.path, error_text(rc));
        rc = EX_CANTCREAT;
    } else {
        rc = restore(&r, queue);
    }
    if (r.fd >= 0)
        (void)close(r.fd);
    if (r.lock_fd >= 0)
        (void)close(r.lock_fd);
    buffer_fini(&r.aside);
    free(r.path);
    free(r.drop);
    free(queue);
    return rc;
}

/* clang-format off */
static const struct verb_option options[] = {
    { "--hold",  NULL, "all that waits is held, so that a person can decide", VALUE_WORD },
    { "--force", NULL, "also where there is a queue with mail: it is put aside", VALUE_WORD },
    { "--check", NULL, "only look: could FILE be restored? The relay may run", VALUE_WORD },
    { "--json",  NULL, "the end as a JSON object", VALUE_WORD },
    { NULL, NULL, NULL, VALUE_WORD },
};

const struct verb restore_verb = {
    .name = "restore", .group = GROUP_SERVICE, .value = VALUE_FILE, .arguments = "[--check] [--hold] [--force] [--json] FILE", .run = run_restore,
    .help = "put a backup in the queue's place; the relay must not run", .options = options,
    .more =
        "All of FILE is unpacked beside the queue and checked, its sums and every message's\n"
        "content, before anything is changed; a damaged FILE changes nothing. The queue that\n"
        "is there is never deleted: it is put aside, in a folder whose name is printed.\n"
        "A message that left after the backup was made is in the restored queue too and is\n"
        "sent a second time, unless --hold lets you look first.\n"
        "\n"
        "Exit codes: 0 done; 64 a wrong call; 65 FILE is damaged or no backup; 66 it is not\n"
        "there; 73 there is mail in the queue, or its folder cannot be written; 74 the disk;\n"
        "75 a relay runs on this queue; 77 others may have written FILE; 78 configuration.\n",
    .examples = {
        { "waypost restore --hold /var/backups/waypost.tar",
          "put it in place, and look at it before anything is sent" },
        { "waypost restore --force /var/backups/waypost.tar",
          "also where there is mail in the queue, which is put aside" },
    },
};
/* clang-format on */
