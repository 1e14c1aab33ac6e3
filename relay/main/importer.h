/*
 * importer - what programs left in the drop folder while no relay ran becomes mail, once.
 *
 *   DROP/new.RANDOM  --claimed-->  DROP/jobs/ID-ID-ID.UID  --accepted-->  gone
 *                                        |                 --refused--->  a report, gone
 *                                        |                 --later----->  tried again
 *                                        +--- no message -------------->  DROP/refused/
 *
 * The three ids are those that its message, a report about it, and what is left of it when it
 * must be sent in two will have. They are part of the name before anything is done, and what is
 * done is first looked for in queue and history, so that a crash at any point neither loses nor
 * doubles a message. A session as any other, of the user whose file it is, decides; a thread of
 * its own is its client. It looks when something comes, and every few seconds.
 *
 * Owned by the main loop.
 */
#ifndef WAYPOST_IMPORTER_H
#define WAYPOST_IMPORTER_H

#include "policy/settings.h"
#include "relay/net/worker.h"

struct importer;

/* Makes the folder where there is none, and begins. What is wrong with it is logged and looked
 * at again later. */
struct importer *importer_open(struct queue *q, struct worker *const *workers,
                               unsigned worker_count,
                               struct settings *settings);
/* Other settings, held. */
void importer_reload(struct importer *i, struct settings *settings);
/* No new work, before the workers go down. */
void importer_stop(struct importer *i);
/* Waits for its end, and frees it; before the queue is closed. NULL is none. */
void importer_close(struct importer *i);

#endif
