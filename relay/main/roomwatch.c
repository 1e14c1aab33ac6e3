/*
 * roomwatch - the log hears when the disk is too full for new mail, and when it no longer is.
 */
#include "relay/main/roomwatch.h"

#include "relay/admin/listing.h"
#include "relay/net/log.h"

void roomwatch_look(struct roomwatch *w, struct queue *q)
{
    struct queue_figures figures;
    struct queue_stats stats;
    struct buffer room = { 0 }, reserve = { 0 };
    bool is_full;

    queue_stats(q, &stats);
    queue_figures(q, &figures);
    is_full = stats.disk_free_bytes < figures.reserve_bytes;
    if (is_full == w->is_full)
        return;
    w->is_full = is_full;
    listing_put_size(&room, (int64_t)stats.disk_free_bytes);
    listing_put_size(&reserve, (int64_t)figures.reserve_bytes);
    if (is_full)
        log_text(LOG_WARNING,
                 "the disk of the queue is full: %s free, under the reserve of "
                 "%s; no mail is taken (452) until there is room, what waits "
                 "is delivered",
                 buffer_string(&room), buffer_string(&reserve));
    else
        log_text(LOG_NOTE,
                 "the disk of the queue has room again: %s free; mail is taken",
                 buffer_string(&room));
    buffer_fini(&room);
    buffer_fini(&reserve);
}
