/*
 * timetable - when mail is fetched from the providers that the settings name.
 *
 * Each shortly after the start and then every so often, never twice at once; what went
 * wrong is tried again when it is due the next time. Anybody may ask for one in between and
 * wait for what comes of it. Main loop only; the work is done by a worker. RFC 2645.
 */
#ifndef WAYPOST_TIMETABLE_H
#define WAYPOST_TIMETABLE_H

#include "policy/settings.h"
#include "relay/admin/admin.h"
#include "relay/net/worker.h"

struct timetable;

/* Workers are borrowed, and know the settings already. */
struct timetable *timetable_open(uv_loop_t *loop, struct worker *const *workers,
                             unsigned worker_count,
                             const struct settings *settings);
/* The workers have been given these settings before. */
void timetable_reload(struct timetable *f, const struct settings *settings);
/* Nothing begins any more. */
void timetable_stop(struct timetable *f);
/* When the workers have been joined: lets go of the loop; nobody is told of anything any
 * more. */
void timetable_close(struct timetable *f);
/* After the loop has ended. NULL is nothing. */
void timetable_free(struct timetable *f);

/* For admin_options; user: the timetable. */
extern const struct admin_fetches timetable_admin;

#endif
