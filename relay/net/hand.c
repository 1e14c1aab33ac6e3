/*
 * hand - a connection that goes from one side of a worker to the other.
 */
#include "relay/net/hand.h"

#include "policy/vocabulary/memory.h"

#include <stdlib.h>
#include <unistd.h>

void hand_drop(struct hand *h)
{
    if (h->fd >= 0)
        (void)close(h->fd);
    tls_free(h->tls);
    if (h->waiting.at)
        explicit_bzero(h->waiting.at, h->waiting.size);
    buffer_fini(&h->waiting);
    *h = HAND_NONE;
}

struct turn *turn_new(void)
{
    struct turn *t = NEW(struct turn);

    t->hand = HAND_NONE;
    return t;
}

void turn_free(struct turn *take_t)
{
    if (!take_t)
        return;
    for (size_t i = 0; i < take_t->count; i++)
        if (take_t->slots[i])
            queue_slot_close(take_t->slots[i]);
    hand_drop(&take_t->hand);
    if (take_t->settings)
        settings_release(take_t->settings);
    free((char *)take_t->client_name.at);
    free((char *)take_t->login.at);
    free(take_t);
}
