/*
 * probe - why is it stuck? One walk to a destination, told stage by stage.
 *
 * A probe is freed by its tick alone, once it is over and its connection is closed; so no
 * event has to ask whether it is still there.
 */
#include "relay/outbound/probe_private.h"

#include "policy/vocabulary/memory.h"
#include "relay/net/log.h"

#include <stdlib.h>

enum { TIME_MS = 60000 };

static const char *const states[] = { [PROBE_OK] = "ok",
                                      [PROBE_WARNING] = "warning",
                                      [PROBE_BAD] = "bad",
                                      [PROBE_INFO] = "info" };

/* ----------------------------------------------------------------- telling ---- */

json_t *probe_text(struct span s)
{
    struct buffer b = { 0 };
    json_t *text;

    buffer_put_escaped(&b, s);
    text = json_stringn(b.len ? b.at : "", b.len);
    ASSERT(text);
    buffer_fini(&b);
    return text;
}

void probe_put(json_t *o, const char *key, json_t *take_value)
{
    ASSERT(take_value && json_object_set_new(o, key, take_value) == 0);
}

void probe_start_clock(struct probe *p)
{
    p->since_ns = uv_hrtime();
}

static double lap_ms(struct probe *p)
{
    uint64_t now = uv_hrtime(), tenths = (now - p->since_ns) / 100000;

    p->since_ns = now;
    return (double)tenths / 10;
}

/* What was said goes out with the next line, whatever that is about. */
static json_t *with_lines(struct probe *p, json_t *take_detail)
{
    json_t *detail = take_detail;

    if (!p->lines)
        return detail;
    if (!detail)
        detail = json_object();
    probe_put(detail, "lines", p->lines);
    p->lines = NULL;
    return detail;
}

static void tell(struct probe *p, const char *stage, enum probe_state state,
                 json_t *take_detail, struct span text, bool is_over)
{
    json_t *o = json_object(), *detail = with_lines(p, take_detail);
    probe_told_fn *told = p->told;
    char *line;

    probe_put(o, "stage", json_string(stage));
    probe_put(o, "state", json_string(states[state]));
    probe_put(o, "ms", json_real(lap_ms(p)));
    probe_put(o, "text", probe_text(text));
    if (detail)
        probe_put(o, "detail", detail);
    line = json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII |
                             JSON_REAL_PRECISION(9));
    ASSERT(line);
    if (is_over)
        p->told = NULL;
    if (told)
        told(p->user, span_of(line), is_over);
    free(line);
    json_decref(o);
}

void probe_tell(struct probe *p, const char *stage, enum probe_state state,
                json_t *take_detail, const char *format, ...)
{
    struct buffer text = { 0 };
    va_list args;

    va_start(args, format);
    buffer_vprintf(&text, format, args);
    va_end(args);
    tell(p, stage, state, take_detail, buffer_span(&text), false);
    buffer_fini(&text);
}

void probe_fail(struct probe *p, const char *stage, enum failure f,
                json_t *take_detail, const char *format, ...)
{
    struct buffer text = { 0 };
    va_list args;

    va_start(args, format);
    buffer_vprintf(&text, format, args);
    va_end(args);
    tell(p, stage, PROBE_BAD, take_detail, buffer_span(&text), false);
    p->has_failed = true;
    if (f >= p->failure) {
        p->failure = f;
        buffer_clear(&p->trouble);
        buffer_put(&p->trouble, buffer_span(&text));
    }
    buffer_fini(&text);
}

/* ----------------------------------------------------------------- the end ---- */

static void put_sentence(struct buffer *b, struct span s)
{
    buffer_put(b, s);
    if (s.len && !is_one_of(s.at[s.len - 1], ".?!"))
        buffer_put_byte(b, '.');
}

static bool is_suspended(const struct probe *p)
{
    return p->target.is_known && p->target.state == DESTINATION_SUSPENDED;
}

/* What waits goes now; says what became of it. */
static void let_go(struct probe *p, struct buffer *b)
{
    struct queue *q = p->delivery->worker->queue;
    const struct probe_target *t = &p->target;

    if (is_suspended(p)) {
        buffer_put_string(b, " But a person has suspended this destination: "
                             "its mail goes after `waypost dest resume`.");
    } else if (t->is_known && queue_release(q, t->destination)) {
        if (t->waiting)
            buffer_printf(b, " What waits for it (%llu recipient%s) goes %s.",
                          (unsigned long long)t->waiting,
                          t->waiting == 1 ? "" : "s",
                          t->has_rate ? "as its rate allows" : "now");
    } else {
        buffer_put_string(b, " Nothing waits for it.");
    }
}

/* Who was asked for nobody may let us in, and put off whatever comes. */
static bool puts_off(const struct probe *p, struct acquaintance_row *row)
{
    return !p->has_asked && p->target.waiting &&
           acquaintance_find(p->delivery->worker->acquaintances,
                             p->target.destination, row) &&
           row->reply[0] == '4';
}

/* A host let us in, and refused nothing that matters. */
static enum probe_state welcome(struct probe *p, struct buffer *b)
{
    struct acquaintance_row row;
    bool is_later = puts_off(p, &row);

    buffer_put_string(b, is_later ? "The host lets us in: " : "It works: ");
    buffer_put(b, buffer_span(&p->worked));
    if (is_later)
        buffer_printf(b, ". But it put off the last mail: %s.", row.reply);
    else
        buffer_put_string(b, " takes mail.");
    let_go(p, b);
    if (is_later)
        buffer_put_string(b, " Probe one of its addresses to see what it says "
                             "to that.");
    return is_later || is_suspended(p) ? PROBE_WARNING : PROBE_OK;
}

static enum probe_state judge(struct probe *p, struct buffer *b)
{
    if (p->has_worked && p->failure < FAILURE_SENDER) {
        enum probe_state state = welcome(p, b);

        if (!p->failure)
            return state;
        buffer_put_string(b, " Not all is well, though: ");
        put_sentence(b, buffer_span(&p->trouble));
        return PROBE_WARNING;
    }
    if (p->is_fetched && !p->failure) {
        buffer_put_string(b, "There is nowhere to deliver it to: this mail "
                             "waits until it is fetched.");
        return PROBE_WARNING;
    }
    buffer_put_string(b, p->has_worked ? "The host can be reached, but: "
                                       : "It does not work: ");
    put_sentence(b, p->trouble.len ? buffer_span(&p->trouble)
                                   : SPAN("no host is left to try"));
    if (*advice_words(p->failure))
        buffer_printf(b, " %s", advice_words(p->failure));
    if (p->has_worked)
        let_go(p, b);
    return PROBE_BAD;
}

/* Whatever is under way: nothing comes of it any more. */
static void halt(struct probe *p)
{
    p->told = NULL;
    if (p->has_itinerary)
        itinerary_fini(&p->itinerary);
    p->has_itinerary = false;
    probe_folder_forget(p);
    talk_close(&p->talk);
}

static void end(struct probe *p)
{
    struct buffer text = { 0 };
    json_t *detail = json_object();
    enum probe_state state;

    if (!p->told)
        return;
    state = judge(p, &text);
    if (p->target.destination.len)
        probe_put(detail, "destination", probe_text(p->target.destination));
    probe_put(detail, "waiting", json_integer((json_int_t)p->target.waiting));
    tell(p, "end", state, detail, buffer_span(&text), true);
    buffer_fini(&text);
    halt(p);
}

static bool may_free(const struct probe *p)
{
    return !p->told && p->talk.state == TALK_NONE;
}

static void probe_free(struct probe *p)
{
    struct delivery *d = p->delivery;

    *p->here = p->next;
    if (p->next)
        p->next->here = p->here;
    settings_release(p->settings);
    tls_material_release(p->tls);
    json_decref(p->lines);
    buffer_fini(&p->mechanism);
    buffer_fini(&p->worked);
    buffer_fini(&p->trouble);
    arena_reset(&p->arena);
    free(p);
    delivery_left(d);
}

/* ----------------------------------------------------------------- members ---- */

/* Who may fetch it, and when it was here last. */
static void tell_pickup(struct probe *p)
{
    const struct names *who = &p->leg.offline.logins;
    json_t *detail = json_object(), *logins = json_array();

    p->is_fetched = true;
    for (size_t i = 0; i < who->exact_count; i++)
        ASSERT(json_array_append_new(logins, probe_text(who->exact[i])) == 0);
    for (size_t i = 0; i < who->glob_count; i++)
        ASSERT(json_array_append_new(logins, probe_text(who->globs[i])) == 0);
    probe_put(detail, "logins", logins);
    if (p->target.last_good_ms)
        probe_put(detail, "last_good",
                  json_integer(p->target.last_good_ms / 1000));
    if (p->target.last_good_ms)
        probe_tell(p, "connect", PROBE_INFO, detail,
                   "%.*s: the customer fetches this mail, and was last here "
                   "%lld minutes ago",
                   SPAN_FMT(p->leg.via[0].text),
                   (long long)((wall_ms() - p->target.last_good_ms) / 60000));
    else
        probe_tell(p, "connect", PROBE_INFO, detail,
                   "%.*s: the customer fetches this mail, and has not been "
                   "seen yet",
                   SPAN_FMT(p->leg.via[0].text));
}

static void visit(struct probe *p)
{
    const struct route *r = p->target.route;
    const struct hop *hop = itinerary_member(r, p->member);

    p->leg = *r;
    p->leg.via = &r->via[p->member];
    p->leg.via_count = 1;
    p->has_failed = false;
    if (hop->kind == HOP_MAILDIR) {
        probe_folder_begin(p);
    } else if (hop->kind == HOP_PICKUP) {
        tell_pickup(p);
        probe_go_on(p);
    } else {
        probe_session_begin(p);
    }
}

void probe_go_on(struct probe *p)
{
    if (!p->told)
        return;
    if (p->has_itinerary)
        itinerary_fini(&p->itinerary);
    p->has_itinerary = false;
    if (++p->member < p->target.route->via_count)
        visit(p);
    else
        end(p);
}

/* ----------------------------------------------------- beginning and time ---- */

struct probe *probe_open(struct worker *w, struct span name, struct span sender,
                         probe_told_fn *told, void *user)
{
    struct delivery *d = w->delivery;
    struct probe *p = NEW(struct probe);

    p->delivery = d;
    p->settings = settings_hold(w->settings);
    p->tls = tls_material_hold(w->tls);
    p->told = told;
    p->user = user;
    p->sender =
        sender.at ? arena_copy(&p->arena, sender) : ((struct span){ NULL, 0 });
    p->envelope.sender = p->sender;
    p->began_ms = wall_ms();
    p->next = d->probes;
    p->here = &d->probes;
    if (p->next)
        p->next->here = &p->next;
    d->probes = p;
    d->count++;
    probe_start_clock(p);
    if (d->cut_ms) {
        probe_cut(p);
    } else if (probe_target_find(p, arena_copy(&p->arena, name))) {
        visit(p);
    } else {
        end(p);
    }
    return p->told ? p : NULL;
}

void probe_cancel(struct probe *p)
{
    halt(p);
}

static void cut(struct probe *p, enum failure f, const char *why)
{
    if (!p->told)
        return;
    p->has_worked = false;
    p->failure = f;
    buffer_clear(&p->trouble);
    buffer_put_string(&p->trouble, why);
    end(p);
}

void probe_cut(struct probe *p)
{
    cut(p, FAILURE_NONE, "the relay is going down");
}

void probe_tick(struct probe *p, int64_t now_ms)
{
    talk_tick(&p->talk, now_ms);
    if (p->told && now_ms >= p->began_ms + TIME_MS)
        cut(p, FAILURE_TIME, "there is no answer after a minute");
    if (may_free(p))
        probe_free(p);
}

struct probe *probe_next(const struct probe *p)
{
    return p->next;
}
