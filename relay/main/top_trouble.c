/*
 * top_trouble - what somebody should do something about, a line each.
 */
#include "relay/main/top_trouble.h"

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/error.h"
#include "relay/admin/listing.h"
#include "relay/main/paper.h"

enum { DAYS_LEFT = 14 };

static void add(json_t *lines, struct buffer *text)
{
    ASSERT(json_array_append_new(lines, listing_text(buffer_span(text))) == 0);
    buffer_clear(text);
}

static void add_disk(json_t *lines, struct buffer *t, const json_t *disk)
{
    int64_t room = paper_number(disk, "free_bytes");
    int64_t reserve = paper_number(disk, "reserve_bytes");

    if (room >= 2 * reserve)
        return;
    buffer_put_string(t, room < reserve ? "the disk is full: " : "disk: ");
    listing_put_size(t, room);
    buffer_put_string(t, " free, ");
    buffer_put_string(t, room < reserve ? "under" : "near");
    buffer_put_string(t, " the reserve of ");
    listing_put_size(t, reserve);
    buffer_put_string(t, room < reserve
                             ? "; no mail is taken (452) until there is room"
                             : ", under which no mail is taken; make room");
    add(lines, t);
}

static void add_certificates(json_t *lines, struct buffer *t, const json_t *all)
{
    const json_t *c;
    size_t i;

    json_array_foreach(all, i, c)
    {
        int64_t days = paper_number(c, "days");

        if (days >= DAYS_LEFT)
            continue;
        buffer_printf(t, "certificate %s ", paper_text(c, "file"));
        if (days < 0)
            buffer_put_string(t, "has ended");
        else
            buffer_printf(t, "ends in %lld day%s", (long long)days,
                          days == 1 ? "" : "s");
        buffer_put_string(t, ": put a new one there, it is read by itself");
        add(lines, t);
    }
}

static void add_webhooks(json_t *lines, struct buffer *t, const json_t *all)
{
    const json_t *w;
    size_t i;

    json_array_foreach(all, i, w)
    {
        if (!paper_number(w, "behind") || !*paper_text(w, "last_error"))
            continue;
        buffer_printf(
            t, "webhook %s is behind by %lld events: %s", paper_text(w, "name"),
            (long long)paper_number(w, "behind"), paper_text(w, "last_error"));
        add(lines, t);
    }
}

json_t *top_trouble_lines(const json_t *system)
{
    json_t *lines = json_array();
    struct buffer t = { 0 };

    if (json_is_object(json_object_get(system, "disk")))
        add_disk(lines, &t, json_object_get(system, "disk"));
    add_certificates(lines, &t, json_object_get(system, "certificates"));
    if (paper_is_so(system, "history_paused")) {
        buffer_put_string(&t, "the history is paused: the disk is low, or it "
                              "cannot be written");
        add(lines, &t);
    }
    add_webhooks(lines, &t, json_object_get(system, "webhooks"));
    buffer_fini(&t);
    return lines;
}
