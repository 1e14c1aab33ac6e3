/*
 * parties - figures of those whom something goes to: destinations and webhooks.
 *
 * A family for each column of a small table; of destinations the busiest only.
 */
#include "relay/admin/exposition.h"
#include "relay/admin/metrics.h"

/* --------------------------------------------------------- destinations ---- */

static const char *const standings[QUEUE_DESTINATION_STATES] = {
    [DESTINATION_UP] = "up",
    [DESTINATION_RESTING] = "backing-off",
    [DESTINATION_OFFLINE] = "offline",
    [DESTINATION_SUSPENDED] = "suspended",
};

struct column {
    struct buffer *to;
    const char *name;
    double (*value)(const struct queue_destination_row *row);
};

static double state_of(const struct queue_destination_row *row)
{
    return row->state;
}

static double window_of(const struct queue_destination_row *row)
{
    return row->window;
}

static double connections_of(const struct queue_destination_row *row)
{
    return row->slots;
}

static double queued_of(const struct queue_destination_row *row)
{
    return (double)row->waiting;
}

static double held_of(const struct queue_destination_row *row)
{
    return row->held_ms != 0;
}

static void put_cell(void *user, const struct queue_destination_row *row)
{
    const struct column *c = user;

    exposition_sample(c->to, c->name, LABELS({ "destination", row->name }),
                      c->value(row));
}

static void put_destinations(struct buffer *b, struct request *r,
                             const struct queue_figures *f)
{
    const struct {
        struct column column;
        const char *help;
    } columns[] = {
        { { b, "waypost_destination_state", state_of },
          "0 up, 1 backing off, 2 offline, 3 suspended." },
        { { b, "waypost_destination_window", window_of },
          "Connections allowed now." },
        { { b, "waypost_destination_connections", connections_of },
          "Connections open or being opened." },
        { { b, "waypost_destination_queued", queued_of },
          "Recipients that wait for it." },
        { { b, "waypost_destination_rate_limited", held_of },
          "1 while mail waits for the rate of its route alone." },
    };

    exposition_family(b, "waypost_destinations", EXPOSITION_GAUGE,
                      "Destinations that are known, by state.");
    for (int i = 0; i < QUEUE_DESTINATION_STATES; i++)
        exposition_sample(b, "waypost_destinations",
                          LABELS(LABEL("state", standings[i])),
                          (double)f->destinations[i]);
    request_look(r);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        struct column c = columns[i].column;

        exposition_family(b, c.name, EXPOSITION_GAUGE, columns[i].help);
        queue_busy_each(request_busy(r), put_cell, &c);
    }
}

/* -------------------------------------------------------------- webhooks ---- */

struct webhook_column {
    struct buffer *to;
    const char *name;
    uint64_t (*value)(const struct admin_webhook *w);
};

static uint64_t behind_of(const struct admin_webhook *w)
{
    return w->behind;
}

static uint64_t failures_of(const struct admin_webhook *w)
{
    return w->failures;
}

static uint64_t sent_of(const struct admin_webhook *w)
{
    return w->sent;
}

static uint64_t lost_of(const struct admin_webhook *w)
{
    return w->lost;
}

static void put_webhook(void *user, const struct admin_webhook *w)
{
    const struct webhook_column *c = user;

    exposition_sample(c->to, c->name, LABELS({ "webhook", w->name }),
                      (double)c->value(w));
}

static void put_webhooks(struct buffer *b, struct request *r)
{
    const struct admin_webhooks *all = request_webhooks(r);
    const struct {
        struct webhook_column column;
        enum exposition_kind kind;
        const char *help;
    } columns[] = {
        { { b, "waypost_webhook_behind", behind_of },
          EXPOSITION_GAUGE,
          "Events that the receiver was not told of yet." },
        { { b, "waypost_webhook_failures", failures_of },
          EXPOSITION_GAUGE,
          "Requests that failed, in a row." },
        { { b, "waypost_webhook_sent_total", sent_of },
          EXPOSITION_COUNTER,
          "Events told." },
        { { b, "waypost_webhook_lost_total", lost_of },
          EXPOSITION_COUNTER,
          "Events that the history removed before they were told, about." },
    };

    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        struct webhook_column c = columns[i].column;

        exposition_family(b, c.name, columns[i].kind, columns[i].help);
        if (all)
            all->list(all->user, put_webhook, &c);
    }
}

void parties_put(struct buffer *b, struct request *r,
                 const struct queue_figures *f)
{
    put_destinations(b, r, f);
    put_webhooks(b, r);
}
