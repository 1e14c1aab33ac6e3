/*
 * roll_note - what was committed, noted down for the roll, and read again.
 *
 * Notes own their texts, so that neither job nor queue is needed when they are read. While the
 * roll is filled, what is in front of the walk is passed over: it is on disk as the notes say
 * when the walk comes there.
 */
#include "queue/roll_private.h"

#include "queue/bundle.h"

void roll_note(struct buffer *to, struct roll_note n, const struct span *texts,
               size_t count)
{
    size_t len = sizeof n;
    char *at;

    for (size_t i = 0; i < count; i++) {
        n.lens[i] = (uint32_t)texts[i].len;
        len += texts[i].len;
    }
    len = (len + 7) & ~(size_t)7;
    n.len = (uint32_t)len;
    at = buffer_room(to, len);
    memcpy(at, &n, sizeof n);
    at += sizeof n;
    for (size_t i = 0; i < count; i++) {
        if (texts[i].len)
            memcpy(at, texts[i].at, texts[i].len);
        at += texts[i].len;
    }
    buffer_grew(to, len);
}

void roll_note_message(struct buffer *to, const struct roll_facts *f)
{
    roll_note(to,
              (struct roll_note){ .kind = NOTE_MESSAGE,
                                  .id = f->id,
                                  .size_bytes = f->size_bytes,
                                  .received_ms = f->received_ms },
              f->who, ROLL_LANE);
}

struct span roll_client(struct span client, struct span name, struct buffer *b)
{
    if (name.len == 0)
        return client;
    buffer_clear(b);
    buffer_put(b, client);
    buffer_put_byte(b, '\0');
    buffer_put(b, name);
    return buffer_span(b);
}

bool roll_is_odd(struct span address, struct span lane)
{
    struct span domain = span_first(lane, span_find(lane, '\t'));
    size_t at = span_find(address, '@');

    return at == address.len ||
           !span_is_nocase(span_skip(address, at + 1), domain);
}

/* ------------------------------------------------------------ writing ---- */

static bool is_off(struct roll *r)
{
    return atomic_load_explicit(&r->state, memory_order_relaxed) == ROLL_OFF;
}

void roll_put(struct roll *r, const struct bundle *b)
{
    const struct queue_work *w = &b->work;
    const struct envelope *e = &w->envelope;

    if (is_off(r))
        return;
    roll_note_message(
        &r->news,
        &(struct roll_facts){
            .id = w->message,
            .size_bytes = e->size_bytes,
            .received_ms = e->received_ms,
            .who = { e->sender,
                     roll_client(e->client, e->client_name, &r->client),
                     e->login } });
    for (size_t i = 0; i < w->count; i++) {
        const struct queue_recipient *one = &w->recipients[i];

        roll_note(&r->news,
                  (struct roll_note){
                      .kind = NOTE_RECIPIENT,
                      .number = one->number,
                      .is_held = one->held,
                      .is_odd = roll_is_odd(one->address, one->lane) },
                  &one->lane, 1);
    }
}

static void note_one(struct roll *r, enum roll_note_kind kind, uint64_t message,
                     uint32_t number)
{
    if (!is_off(r))
        roll_note(
            &r->news,
            (struct roll_note){ .kind = kind, .id = message, .number = number },
            NULL, 0);
}

void roll_gone(struct roll *r, uint64_t message, uint32_t number)
{
    note_one(r, NOTE_GONE, message, number);
}

void roll_held(struct roll *r, uint64_t message, uint32_t number, bool is_held)
{
    note_one(r, is_held ? NOTE_HELD : NOTE_FREE, message, number);
}

void roll_moved(struct roll *r, uint64_t message, uint32_t number,
                struct span lane)
{
    if (!is_off(r))
        roll_note(&r->news,
                  (struct roll_note){
                      .kind = NOTE_MOVED, .id = message, .number = number },
                  &lane, 1);
}

void roll_again(struct roll *r, const struct buffer *notes)
{
    if (!is_off(r))
        buffer_put(&r->news, buffer_span(notes));
}

/* ------------------------------------------------------------ reading ---- */

/* What notes of recipients belong to. */
struct context {
    struct roll *roll;
    struct roll_facts facts;
};

static void read_facts(struct context *c, const struct roll_note *n,
                       const char *text)
{
    c->facts.id = n->id;
    c->facts.size_bytes = n->size_bytes;
    c->facts.received_ms = n->received_ms;
    for (int d = 0; d < ROLL_LANE; d++) {
        c->facts.who[d] = span_make(text, n->lens[d]);
        text += n->lens[d];
    }
}

/* The walk has not come to this recipient yet. */
static bool is_ahead(const struct roll *r, uint64_t id, uint32_t number)
{
    return atomic_load_explicit(&r->state, memory_order_relaxed) ==
               ROLL_FILLING &&
           (id > r->walked.message ||
            (id == r->walked.message && number > r->walked.number));
}

static void add(struct context *c, const struct roll_note *n, struct span lane)
{
    uint32_t index;

    if (!n->is_walk && is_ahead(c->roll, c->facts.id, n->number))
        return;
    index = roll_name_take(c->roll, ROLL_LANE, lane);
    if (n->is_odd)
        roll_name_odd(c->roll, index);
    roll_row_add(c->roll, &c->facts, n->number, index, n->is_held);
}

/* A recipient that is there already has changed. */
static void change(struct roll *r, const struct roll_note *n, struct span lane)
{
    if (is_ahead(r, n->id, n->number))
        return;
    if (n->kind == NOTE_GONE)
        roll_row_remove(r, n->id, n->number);
    else if (n->kind == NOTE_MOVED)
        roll_row_move(r, n->id, n->number, roll_name_take(r, ROLL_LANE, lane));
    else
        roll_row_hold(r, n->id, n->number, n->kind == NOTE_HELD);
}

static void read_one(struct context *c, const struct roll_note *n,
                     const char *text)
{
    struct roll *r = c->roll;

    switch ((enum roll_note_kind)n->kind) {
    case NOTE_MESSAGE:
        read_facts(c, n, text);
        break;
    case NOTE_RECIPIENT:
        add(c, n, span_make(text, n->lens[0]));
        break;
    case NOTE_GONE:
    case NOTE_HELD:
    case NOTE_FREE:
    case NOTE_MOVED:
        change(r, n, span_make(text, n->lens[0]));
        break;
    case NOTE_FORGET:
        roll_row_clear(r, n->id);
        break;
    case NOTE_WALKED:
        r->walked = (struct store_cursor){ 0, n->id, n->number };
        break;
    case NOTE_END:
        atomic_store(&r->state, ROLL_COMPLETE);
        break;
    }
}

void roll_apply(struct roll *r, struct span notes)
{
    struct context c = { .roll = r };

    while (notes.len) {
        struct roll_note n;

        ASSERT(notes.len >= sizeof n);
        memcpy(&n, notes.at, sizeof n);
        read_one(&c, &n, notes.at + sizeof n);
        notes = span_skip(notes, n.len);
    }
}
