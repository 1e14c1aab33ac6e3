/*
 * story - all about one message, for a person who looks at it.
 *
 * Read in one transaction on the reader's thread. The header of a large message is read from
 * its file there, too: it is short, and somebody waits for it. What cannot be read is left
 * out, since the rest may tell why.
 */
#include "policy/vocabulary/arena.h"
#include "policy/vocabulary/id.h"
#include "policy/vocabulary/memory.h"
#include "queue/core.h"
#include "queue/rows.h"
#include "queue/view.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct story {
    struct inquiry inquiry; /* first */
    struct arena arena;
    struct queue_row row;
    bool is_there;
    struct queue_story told;
    struct buffer header;
    int rc;
    queue_story_fn *done;
    uint64_t token;
};

static void each_row(void *user, const struct queue_row *row)
{
    struct story *s = user;

    rows_copy(&s->arena, row, &s->row);
    s->is_there = true;
}

static void read_file(struct queue *q, struct story *s,
                      const struct store_content *c, size_t len)
{
    bool has_head = c->head_bytes != 0;
    size_t of_head = c->head_bytes < len ? c->head_bytes : len;
    size_t first = has_head ? of_head : len;
    int fd = openat(q->bodies.folder_fd, id_print(s->told.id).at,
                    O_RDONLY | O_CLOEXEC);
    char *to = buffer_room(&s->header, len);
    ssize_t n;

    if (fd < 0)
        return;
    n = pread(fd, to, first, has_head ? (off_t)c->head_at : 0);
    if (n > 0)
        buffer_grew(&s->header, (size_t)n);
    if (n == (ssize_t)first && len > first) {
        n = pread(fd, to + first, len - first, 0);
        if (n > 0)
            buffer_grew(&s->header, (size_t)n);
    }
    close(fd);
}

static void read_header(struct reader *r, struct story *s,
                        const struct store_content *c)
{
    size_t len = s->told.envelope.header_bytes;

    if (len > STORY_HEADER)
        len = STORY_HEADER;
    if (c->has_file)
        read_file(r->queue, s, c, len);
    else if (store_read_content(r->db, s->told.id, c->checksum, &s->header) < 0)
        buffer_clear(&s->header);
    s->told.header = span_first(buffer_span(&s->header), len);
}

/* What the store does not know. */
static void look_around(struct queue *q, struct story *s)
{
    struct queue_story_recipient *to =
        (struct queue_story_recipient *)s->told.recipients;
    struct store_view view = view_of(q);

    for (size_t i = 0; i < s->told.count; i++) {
        struct buffer name = { 0 };

        if (i < s->row.count)
            to[i].row = s->row.recipients[i];
        view.destination(view.user, to[i].lane, &name);
        to[i].destination = arena_copy(&s->arena, buffer_span(&name));
        buffer_fini(&name);
    }
    s->told.state = s->row.state;
}

static bool step(struct reader *r, struct inquiry *i)
{
    struct story *s = (struct story *)i;
    struct queue_filter one = { .id = s->told.id, .states = ~0U };
    struct store_view view = view_of(r->queue);
    struct store_content c;
    uint64_t next;

    if ((s->rc = store_read_begin(r->db)) < 0)
        return true;
    s->rc = store_list(r->db, &one, 0, 1, queue_now_ms(r->queue), &view,
                       each_row, s, &next);
    if (s->rc == 0 && s->is_there)
        s->rc = store_read_story(r->db, s->told.id, &s->arena, &s->told, &c);
    if (s->rc == 0 && s->is_there) {
        read_header(r, s, &c);
        look_around(r->queue, s);
    }
    store_read_end(r->db);
    return true;
}

static void open_letter(struct letter *take_l, bool is_dropped)
{
    struct story *s = (struct story *)take_l;

    if (!is_dropped)
        s->done(take_l->port->user, s->token, s->rc,
                s->rc == 0 && s->is_there ? &s->told : NULL);
    buffer_fini(&s->header);
    arena_reset(&s->arena);
    free(s);
}

void queue_story(struct queue_port *p, uint64_t id, queue_story_fn *done,
                 uint64_t token)
{
    struct story *s = NEW(struct story);

    s->inquiry.letter.port = p;
    s->inquiry.letter.open = open_letter;
    s->inquiry.step = step;
    s->told.id = id;
    s->done = done;
    s->token = token;
    reader_inquire(&p->queue->reader, &s->inquiry);
}
