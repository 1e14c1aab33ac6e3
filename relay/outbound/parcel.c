/*
 * parcel - the work in hand: who of it goes to this host, who to another, who is done.
 */
#include "relay/outbound/parcel.h"

#include "policy/vocabulary/id.h"
#include "relay/net/log.h"
#include "relay/outbound/verp.h"

enum { HEAD_MOST = 64 * 1024 };

void parcel_init(struct parcel *p, struct delivery *d, parcel_read_fn *on_head,
                 parcel_read_fn *on_part, void *user)
{
    *p = (struct parcel){
        .delivery = d, .on_head = on_head, .on_part = on_part, .user = user
    };
}

/* Its answer will find nobody. */
static void forget_read(struct parcel *p)
{
    if (p->read_token)
        registry_drop(&p->delivery->registry, p->read_token);
    p->read_token = 0;
}

void parcel_fini(struct parcel *p)
{
    ASSERT(!p->is_held);
    forget_read(p);
    buffer_fini(&p->head);
    buffer_fini(&p->verp);
}

void parcel_take(struct parcel *p, struct settings *settings,
                 const struct route *route, struct queue_work *take_work)
{
    ASSERT(!p->is_held);
    ASSERT(take_work->count <= LIMIT_TRANSACTION_RECIPIENTS);
    settlement_begin(&p->settlement, p->delivery->worker, settings, route,
                     take_work);
    p->is_held = true;
    p->here_count = take_work->count;
    for (size_t i = 0; i < p->here_count; i++)
        p->here[i] = i;
    p->shown = p->elsewhere_count = p->settled = p->afresh_from = 0;
    p->sessions = 0;
    p->content_rc = 0;
    p->converts = p->was_taken = false;
}

void parcel_drop(struct parcel *p)
{
    forget_read(p);
    if (!p->is_held)
        return;
    p->is_held = false;
    settlement_end(&p->settlement);
    packing_fini(&p->packing);
    buffer_fini(&p->head);
}

/* ------------------------------------------------------------- content ---- */

bool parcel_is_large(const struct parcel *p)
{
    return !p->settlement.work->content.at;
}

static void on_read(void *user, uint64_t token, int rc, struct span bytes)
{
    struct worker *w = user;
    struct parcel *p = registry_find(&w->delivery->registry, token);

    if (!p)
        return;
    forget_read(p);
    if (rc >= 0 && p->reading == p->on_head) {
        buffer_clear(&p->head);
        buffer_put(&p->head, bytes);
        p->settlement.head = buffer_span(&p->head);
    }
    p->reading(p->user, rc, bytes);
}

static void read_on(struct parcel *p, uint64_t offset, size_t len,
                    parcel_read_fn *done)
{
    if (p->read_token)
        return;
    p->reading = done;
    p->read_token = registry_put(&p->delivery->registry, p);
    queue_read(p->delivery->worker->port, p->settlement.work, offset, len,
               on_read, p->read_token);
}

void parcel_read_head(struct parcel *p)
{
    read_on(p, 0, HEAD_MOST, p->on_head);
}

static bool is_lost(int rc)
{
    return rc == ERROR_GONE || rc == ERROR_CHECKSUM;
}

static void content_failed(struct parcel *p, size_t i)
{
    struct buffer why = { 0 };

    buffer_printf(&why, "content cannot be read: %s",
                  error_text(p->content_rc));
    if (is_lost(p->content_rc))
        settlement_hold(&p->settlement, i, buffer_span(&why));
    else
        settlement_note(&p->settlement, i,
                        &(struct client_outcome){ DIAGNOSIS_LATER,
                                                  STATUS(4, 3, 0),
                                                  buffer_span(&why) },
                        SPAN(""), false);
    buffer_fini(&why);
}

void parcel_content_failed(struct parcel *p, int rc)
{
    p->content_rc = rc;
    log_text(LOG_WARNING, "%s: content cannot be read: %s%s",
             id_print(p->settlement.work->message).at, error_text(rc),
             is_lost(rc) ? "; the message is held" : "");
    for (size_t i = p->shown; i < p->here_count; i++)
        content_failed(p, p->here[i]);
    for (size_t i = 0; i < p->elsewhere_count; i++)
        content_failed(p, p->elsewhere[i]);
    p->here_count = p->shown;
    p->elsewhere_count = 0;
}

bool parcel_pack(struct parcel *p, enum client_form form, struct span *bytes,
                 bool *out_last, struct client_outcome *out_why)
{
    const struct envelope *e = &p->settlement.work->envelope;

    if (p->offset == 0)
        packing_begin(&p->packing, p->settlement.route, e, form);
    p->offset += bytes->len;
    *out_last = p->offset >= e->size_bytes;
    return packing_put(&p->packing, *bytes, *out_last, bytes, out_why);
}

/* The next bytes, in the form that this host takes. */
static void hand_over(struct parcel *p, struct client *client, struct span bytes)
{
    struct client_outcome why;
    bool last;

    if (parcel_pack(p, client_form(client), &bytes, &last, &why))
        client_content(client, bytes, last, wall_ms());
    else
        client_content_refused(client, &why, wall_ms());
}

void parcel_rewind(struct parcel *p, size_t i)
{
    p->shown = i;
    p->offset = 0;
}

void parcel_read_part(struct parcel *p)
{
    read_on(p, p->offset, CONTENT_PART, p->on_part);
}

void parcel_send(struct parcel *p, struct client *client)
{
    if (parcel_is_large(p))
        parcel_read_part(p);
    else
        hand_over(p, client, p->settlement.work->content);
}

void parcel_send_part(struct parcel *p, struct client *client, int rc,
                      struct span bytes)
{
    if (rc < 0) {
        parcel_content_failed(p, rc);
        client_content_failed(client, wall_ms());
        return;
    }
    hand_over(p, client, bytes);
}

/* ---------------------------------------------------------- recipients ---- */

void parcel_judge(struct parcel *p, const struct client_outcome *o)
{
    parcel_moves(p);
    for (size_t i = 0; i < p->here_count; i++)
        settlement_note(&p->settlement, p->here[i], o, SPAN(""), false);
    p->here_count = 0;
}

void parcel_meet(struct parcel *p, uint32_t conn_use, int64_t connect_ms)
{
    p->sessions++;
    p->settlement.conn_use = conn_use;
    p->settlement.connect_ms = conn_use == 1 ? connect_ms : 0;
}

static size_t fit(struct parcel *p, const struct client *client)
{
    size_t most = client_recipients_most(client);

    if (verp_is_asked(&p->settlement.work->envelope))
        return 1;
    return client_recipients_fit(client, p->to,
                                 p->here_count < most ? p->here_count : most);
}

void parcel_start(struct parcel *p, struct client *client)
{
    ASSERT(p->is_held && p->here_count && !p->read_token);
    for (size_t i = 0; i < p->here_count; i++) {
        const struct queue_recipient *to =
            &p->settlement.work->recipients[p->here[i]];

        p->to[i] = (struct client_recipient){ .address = to->address,
                                              .notify = to->notify,
                                              .orcpt = to->orcpt };
    }
    p->shown = fit(p, client);
    p->offset = 0;
    p->transaction =
        (struct client_transaction){ .envelope = &p->settlement.work->envelope,
                                     .recipients = p->to,
                                     .count = p->shown,
                                     .may_convert = p->converts };
    if (verp_is_asked(&p->settlement.work->envelope)) {
        buffer_clear(&p->verp);
        verp_put(&p->verp, &p->settlement.work->envelope, p->to[0].address);
        p->transaction.sender = buffer_span(&p->verp);
    }
    client_start(client, &p->transaction, wall_ms());
}

/* The host does not take such content; nothing of it was sent. */
static bool is_about_content(const struct client_outcome *o)
{
    return o->diagnosis == DIAGNOSIS_OTHER_HOST && o->status.class == 5 &&
           o->status.subject == 6 && o->status.detail == 3;
}

/* There is no other host: shall it be re-encoded? */
static bool may_convert(const struct parcel *p, struct client_outcome *out_why)
{
    const struct queue_work *work = p->settlement.work;

    return packing_allows(p->settlement.route, &work->envelope, work->content,
                          out_why);
}

/* What is worth another try at once? */
static bool is_other_hosts(const struct client_outcome *o)
{
    return o->diagnosis == DIAGNOSIS_LATER ||
           o->diagnosis == DIAGNOSIS_OTHER_HOST ||
           o->diagnosis == DIAGNOSIS_AGAIN_NOW;
}

/* One recipient's outcome; answers whether it stays here. Noted in any case, so that it
 * keeps these words when no other host can be reached. */
static bool collect_one(struct parcel *p, size_t i, struct client_outcome one,
                        struct span host, bool can_move, bool may_stay)
{
    bool stays = may_stay && one.diagnosis == DIAGNOSIS_AGAIN_NOW;
    bool moves = !stays && can_move && is_other_hosts(&one);

    /* What no host can take is refused by the last one for good. */
    if (!moves && one.diagnosis == DIAGNOSIS_OTHER_HOST &&
        one.status.class == 5)
        one.diagnosis = DIAGNOSIS_FAILED;
    if (p->content_rc < 0 && one.diagnosis != DIAGNOSIS_FAILED)
        content_failed(p, i);
    else
        settlement_note(&p->settlement, i, &one, host, true);
    if (moves && p->content_rc == 0)
        p->elsewhere[p->elsewhere_count++] = i;
    else if (!stays)
        p->settled++;
    return stays;
}

/* Said by nobody: the connection went, or was about to. */
static bool is_cut_off(const struct parcel *p, const struct client *client,
                    const struct client_outcome *o)
{
    const struct client_outcome *trouble = client_trouble(client);
    bool is_over = trouble->status.class == 4 && trouble->status.subject == 4 &&
                   trouble->status.detail == 2;

    return p->frees_lost && o->diagnosis != DIAGNOSIS_IN_DOUBT &&
           (is_over || span_starts_nocase(trouble->reply, SPAN("421"))) &&
           span_is(trouble->reply, o->reply);
}

/* Only where somebody was not delivered is a text made of it. */
static void keep_dialogue(struct parcel *p, const struct client *client,
                          const struct client_outcome *o)
{
    struct buffer text = { 0 };
    bool has_failed = false;

    for (size_t i = 0; i < p->shown; i++)
        has_failed |= o[i].diagnosis != DIAGNOSIS_DELIVERED;
    p->settlement.dialogue = (struct span){ 0 };
    if (!has_failed)
        return;
    client_dialogue(client, &text);
    p->settlement.dialogue =
        arena_copy(&p->settlement.texts, buffer_span(&text));
    buffer_fini(&text);
}

enum parcel_fate parcel_collect(struct parcel *p, struct client *client,
                                struct span host, bool has_other_host)
{
    const struct client_outcome *o = client_outcomes(client);
    /* The first recipient is never one too many: all of it is asked for again, since a
     * kept connection was closed by the peer meanwhile. */
    bool is_stale = o[0].diagnosis == DIAGNOSIS_AGAIN_NOW;
    bool can_move = has_other_host && p->sessions < PARCEL_SESSIONS_MOST;
    size_t shown = p->shown, kept = 0;
    struct client_outcome refused = { 0 };

    forget_read(p);
    keep_dialogue(p, client, o);
    p->shown = 0;
    if (is_stale && parcel_may_go_afresh(p))
        return PARCEL_STALE;
    if (!can_move && is_about_content(&o[0]) && !p->converts) {
        if ((p->converts = may_convert(p, &refused)))
            return PARCEL_STAYS;
    }
    for (size_t i = 0; i < shown; i++) {
        if (is_cut_off(p, client, &o[i]))
            continue;
        p->was_taken |= o[i].diagnosis == DIAGNOSIS_DELIVERED;
        if (collect_one(p, p->here[i], refused.status.class ? refused : o[i],
                        host, can_move, !is_stale))
            p->here[kept++] = p->here[i];
    }
    for (size_t i = shown; i < p->here_count; i++)
        p->here[kept++] = p->here[i];
    p->here_count = kept;
    p->settlement.dialogue = (struct span){ 0 };
    if (kept)
        return PARCEL_STAYS;
    return p->elsewhere_count ? PARCEL_MOVES : PARCEL_DONE;
}

bool parcel_was_taken(const struct parcel *p)
{
    return p->was_taken;
}

bool parcel_may_go_afresh(const struct parcel *p)
{
    return p->is_held && p->here_count && p->settled >= p->afresh_from;
}

void parcel_goes_afresh(struct parcel *p)
{
    p->afresh_from = p->settled + 1;
    if (p->sessions)
        p->sessions--;
}

void parcel_moves(struct parcel *p)
{
    for (size_t i = 0; i < p->elsewhere_count; i++)
        p->here[p->here_count++] = p->elsewhere[i];
    p->elsewhere_count = 0;
}
