/*
 * backups - all that the queue holds, over the socket.
 *
 * A part is asked of the queue when the one before has left: who reads slowly slows nobody
 * but the backup.
 */
#include "relay/admin/backups.h"

#include "relay/admin/demand.h"
#include "relay/admin/listing.h"

static void put_error(struct request *r, struct span why)
{
    listing_put_object(&r->answer,
                       json_pack("{s:o}", "error", listing_text(why)));
}

static void ask_more(struct request *r)
{
    request_wait(r);
    queue_backup_next(request_queue(r));
}

static void on_part(void *admin, uint64_t token, int rc, struct span bytes,
                    bool is_end)
{
    struct request *r = request_find(admin, token);

    if (!r)
        return;
    if (is_end)
        r->gone = NULL;
    if (rc < 0 && !r->is_stream) {
        request_refuse(r, 503, "%.*s", SPAN_FMT(bytes));
        return;
    }
    if (rc < 0)
        put_error(r, bytes);
    else
        buffer_put(&r->answer, bytes);
    r->more = is_end ? NULL : ask_more;
    request_go_on(r);
}

static void on_gone(struct request *r, void *user)
{
    (void)user;
    queue_backup_cancel(request_queue(r), r->token);
}

void backups_make(struct request *r)
{
    static const char *const keys[] = { "history", NULL };
    json_t *body = demand_read(r);
    bool has_history = true;

    if (!body || !demand_is_only(r, body, keys) ||
        !demand_switch(r, body, "history", &has_history))
        goto done;
    if (!queue_backup_begin(request_port(r), has_history, on_part, r->token)) {
        request_refuse(r, 503, "a backup is being made already");
    } else {
        r->gone = on_gone;
        request_wait(r);
    }
done:
    json_decref(body);
}
