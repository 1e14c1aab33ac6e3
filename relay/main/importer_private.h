/*
 * importer_private - what the files of the importer share.
 *
 * importer.c       the thread, and when it looks
 * importfolder.c   which files are there, and whose
 * importjob.c      one message
 */
#ifndef WAYPOST_IMPORTER_PRIVATE_H
#define WAYPOST_IMPORTER_PRIVATE_H

#include "relay/main/dropfile.h"
#include "relay/main/importer.h"
#include "relay/main/missive.h"

enum { JOBS_WAITING = 1000 };

/* DROP/jobs/ID-ID-ID.UID */
struct job {
    char name[DROPFILE_JOB_MOST];
    struct dropfile_job is;
};

/* A job that is tried again later. */
struct job_wait {
    char name[DROPFILE_JOB_MOST];
    int64_t due_ms;
    unsigned tries;
};

struct importer {
    pthread_t thread;
    struct queue *queue;
    struct queue_port *port;      /* for reports */
    struct worker *const *workers;
    unsigned worker_count;
    int wake_fd, port_fd;         /* events: something changed; the port has something */
    pthread_mutex_t lock;         /* guards the next two */
    struct settings *next;        /* held; what the next look goes by */
    int talk_fd;                  /* our end of a conversation; -1: none */
    atomic_bool is_stopping;
    /* the thread's own */
    struct settings *settings;
    char *folder;                 /* of these settings */
    int drop, jobs, refused;      /* directories; -1: not open */
    int64_t complained_ms;        /* of what cannot be moved */
    struct job_wait waits[JOBS_WAITING];
    size_t wait_count;
    bool is_put;                  /* a report is under way */
    int put_rc;
};

/* importfolder.c */
/* Opens, and makes where need be. False: it cannot be had, which was logged. */
bool importfolder_open(struct importer *i);
void importfolder_close(struct importer *i);
/* Gives names to what is new, and puts aside what is no message. */
void importfolder_claim(struct importer *i);
typedef void importfolder_fn(struct importer *i, const struct job *j);
void importfolder_each(struct importer *i, importfolder_fn *each);
/* For people to look at; why is for the log. */
void importfolder_set_aside(struct importer *i, int folder, const char *name,
                            const char *why);
/* All of its bytes. False: it is none of ours, and has been put aside, or it is gone. */
bool importfolder_read(struct importer *i, const struct job *j,
                       struct buffer *out, int64_t *out_since_ms);
void importfolder_remove(struct importer *i, const struct job *j);
/* A job of what is left: its message gets the id that was kept for it. */
bool importfolder_split(struct importer *i, const struct job *of,
                        const struct missive *m);

/* importjob.c */
enum import_said { IMPORT_DONE, IMPORT_LATER };
enum import_said importjob_run(struct importer *i, const struct job *j);

#endif
