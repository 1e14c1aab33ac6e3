/*
 * relook - the files of users are read again because somebody asks for it.
 */
#include "relay/main/relook.h"

#include "policy/vocabulary/memory.h"
#include "relay/inbound/sasl.h"
#include "relay/main/station_private.h"

#include <stdlib.h>

struct relook {
    uv_work_t work;
    struct station *station;
    admin_looked_fn *done;
    void *user;
    uint64_t token;
    bool is_good;
};

static void on_work(uv_work_t *work)
{
    struct relook *l = work->data;

    l->is_good = sasl_desk_look(l->station->strongbox.sasl);
}

static void on_worked(uv_work_t *work, int status)
{
    struct relook *l = work->data;

    (void)status; /* never cancelled */
    if (!l->station->is_ending) {
        crew_review(&l->station->crew);
        l->done(l->user, l->token, l->is_good);
    }
    free(l);
}

bool relook_begin(void *user, admin_looked_fn *done, void *done_user,
                  uint64_t token)
{
    struct station *st = user;
    struct relook *l;

    if (st->is_ending)
        return false;
    l = NEW(struct relook);
    *l = (struct relook){
        .station = st, .done = done, .user = done_user, .token = token
    };
    l->work.data = l;
    ASSERT(uv_queue_work(&st->loop, &l->work, on_work, on_worked) == 0);
    return true;
}
