/*
 * explainer - rules are explained by the running relay.
 *
 *   begin --task--> on a worker: read, step --asks--> inquest --answered--+
 *                                     ^                                  |
 *                                     +----------------------------------+
 *                                      \--has all--> JSON --async--> done
 *
 * A job is owned by the explainer's list from begin to its end; while it is under way its
 * worker alone touches it. Those of a worker that goes home are dropped by a task that is
 * posted before the worker hears of it, so their inquests are gone in time.
 */
#include "relay/main/explainer.h"

#include "policy/vocabulary/memory.h"
#include "relay/admin/demand.h"
#include "relay/admin/listing.h"
#include "relay/inbound/inquest.h"
#include "relay/inbound/srskeys.h"
#include "relay/main/explain_json.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { ROUNDS_MOST = 200, JOBS_MOST = 64, MEMBERS_MOST = 1000 };

struct job {
    struct job *next;
    struct explainer *explainer;
    admin_explained_fn *done;
    void *user;
    uint64_t token;
    struct buffer body;
    int status; /* HTTP's; 0: it is under way */
    struct buffer answer;
    /* the worker's */
    struct worker *worker;
    struct explain_question question;
    struct explanation *explanation; /* NULL: not begun, or over */
    struct inquest inquest;          /* beside it */
    struct evidence_question
        *asked; /* of this round; keys are the explanation's */
    size_t asked_count;
    unsigned rounds;
};

struct explainer {
    uv_async_t async;
    struct worker *const *workers;
    unsigned worker_count, next_worker;
    char *config;         /* its real path; NULL: the built-in one */
    atomic_llong read_ms; /* when it was read */
    bool is_stopping, is_closed;
    uv_mutex_t lock; /* guards the list and each job's status */
    struct job *jobs;
    size_t count;
};

/* ------------------------------------------------------------- the worker ---- */

static void clear(struct job *j)
{
    if (j->explanation)
        inquest_fini(&j->inquest);
    explanation_free(j->explanation);
    j->explanation = NULL;
    explain_question_fini(&j->question);
    free(j->asked);
    j->asked = NULL;
}

/* After this the main loop may take the job at any moment. */
static void end(struct job *j, int status)
{
    struct explainer *e = j->explainer;

    clear(j);
    uv_mutex_lock(&e->lock);
    j->status = status;
    (void)uv_async_send(&e->async);
    uv_mutex_unlock(&e->lock);
}

static void refuse(struct job *j, const char *why)
{
    listing_put_object(&j->answer, json_pack("{s:s}", "error", why));
    end(j, 400);
}

/* Would it be remembered by who is asked? */
static bool is_asking_others(const struct evidence_question *q)
{
    return q->kind == EVIDENCE_SERVER || q->kind == EVIDENCE_MAILBOX;
}

/* The client's name may have been given. */
static bool is_told(struct job *j, const struct evidence_question *q)
{
    if (q->kind != EVIDENCE_NAME || !j->question.client_name.at)
        return false;
    evidence_put(j->explanation->evidence, q->kind, q->key, EVIDENCE_ANSWERED,
                 j->question.client_name);
    return true;
}

/* What is left has to be asked. */
static void sort_out(struct job *j, const struct evidence_question *all,
                     size_t count)
{
    free(j->asked);
    j->asked = NEW_ARRAY(struct evidence_question, count);
    j->asked_count = 0;
    for (size_t i = 0; i < count; i++)
        if (is_told(j, &all[i]))
            continue;
        else if (is_asking_others(&all[i]) && !j->question.may_ask)
            explanation_assume(j->explanation, &all[i]);
        else
            j->asked[j->asked_count++] = all[i];
}

static json_t *answer_of(const struct job *j)
{
    struct explainer *e = j->explainer;
    json_t *o = explain_json(j->explanation, j->worker->queue);

    ASSERT(json_object_set_new(o, "config",
                               e->config ? json_string(e->config)
                                         : json_null()) == 0);
    ASSERT(json_object_set_new(
               o, "read", json_integer(atomic_load(&e->read_ms) / 1000)) == 0);
    ASSERT(json_object_set_new(
               o, "now", json_integer(j->question.facts.now_ms / 1000)) == 0);
    return o;
}

static void go_on(struct job *j)
{
    struct explanation *x = j->explanation;
    const struct evidence_question *all;
    size_t count;

    while (!explanation_step(x, &all, &count)) {
        if (++j->rounds > ROUNDS_MOST) {
            refuse(j, "the rules ask for too much");
            return;
        }
        sort_out(j, all, count);
        if (j->asked_count &&
            inquest_begin(&j->inquest, x->settings, j->asked, j->asked_count))
            return;
        explanation_asked(x, j->asked, j->asked_count);
    }
    listing_put_object(&j->answer, answer_of(j));
    end(j, 200);
}

static struct evidence *job_evidence(struct inquest *n)
{
    return ((struct job *)n->user)->explanation->evidence;
}

static void job_answered(struct inquest *n)
{
    struct job *j = n->user;

    explanation_asked(j->explanation, j->asked, j->asked_count);
    go_on(j);
}

static bool is_full(void *user, struct span lane, uint64_t bytes,
                    uint64_t quota_bytes)
{
    struct job *j = user;

    return queue_is_over_quota(j->worker->queue, lane, bytes, quota_bytes);
}

static struct explanation *explanation_of(const struct explain_question *q,
                                          struct settings *s)
{
    struct explanation *x = explanation_new(s, &q->facts);

    if (q->has_message)
        explanation_message(x, buffer_span(&q->message));
    return x;
}

/* Few members, whatever their size: to take a million apart holds up a worker. */
static bool is_modest(struct span json)
{
    bool is_text = false;
    size_t members = 0;

    for (size_t i = 0; i < json.len; i++) {
        if (json.at[i] == '"')
            is_text = !is_text;
        else if (is_text && json.at[i] == '\\')
            i++;
        else if (!is_text && is_one_of(json.at[i], ",[{"))
            members++;
    }
    return members <= MEMBERS_MOST;
}

/* False: why begins with the path of the fault. */
static bool read_question(struct job *j, const struct settings *s,
                          struct buffer *why)
{
    struct span body = buffer_span(&j->body);
    struct buffer fault = { 0 };
    json_error_t error;
    json_t *o = is_modest(body) ? json_loadb(body.len ? body.at : "", body.len,
                                             JSON_REJECT_DUPLICATES, &error)
                                : NULL;
    bool is_good =
        o && explain_question_read(&j->question, s, o, wall_ms(), &fault);

    if (!json_is_object(o)) {
        buffer_put_string(why, "$: the question should be a JSON object");
    } else if (!is_good) {
        demand_put_path(why, j->question.member);
        buffer_put_string(why, ": ");
        buffer_put(why, buffer_span(&fault));
    }
    json_decref(o);
    buffer_fini(&fault);
    buffer_fini(&j->body);
    return is_good;
}

static void task_begin(struct worker *w, void *arg)
{
    struct job *j = arg;
    struct buffer why = { 0 };

    j->worker = w;
    if (!read_question(j, w->settings, &why)) {
        refuse(j, buffer_string(&why));
        buffer_fini(&why);
        return;
    }
    j->question.facts.srs_secrets = srskeys_now(w->srs);
    j->explanation = explanation_of(&j->question, w->settings);
    j->explanation->is_full = is_full;
    j->explanation->user = j;
    j->inquest = (struct inquest){ .worker = w,
                                   .evidence = job_evidence,
                                   .answered = job_answered,
                                   .user = j };
    inquest_init(&j->inquest);
    go_on(j);
}

/* Tasks run in their order, so none of this worker's has still to begin. */
static void task_drop(struct worker *w, void *arg)
{
    struct explainer *e = arg;

    uv_mutex_lock(&e->lock);
    for (struct job *j = e->jobs; j; j = j->next)
        if (j->worker == w && !j->status)
            clear(j);
    uv_mutex_unlock(&e->lock);
}

/* ----------------------------------------------------------- the main loop ---- */

static void job_free(struct job *j)
{
    buffer_fini(&j->body);
    buffer_fini(&j->answer);
    free(j);
}

static struct job *take_ended(struct explainer *e)
{
    struct job **at = &e->jobs, *j;

    uv_mutex_lock(&e->lock);
    while (*at && !(*at)->status)
        at = &(*at)->next;
    j = *at;
    if (j) {
        *at = j->next;
        e->count--;
    }
    uv_mutex_unlock(&e->lock);
    return j;
}

static void on_async(uv_async_t *handle)
{
    struct explainer *e = handle->data;
    struct job *j;

    while ((j = take_ended(e))) {
        if (!e->is_closed)
            j->done(j->user, j->token, j->status, buffer_span(&j->answer));
        job_free(j);
    }
}

static bool begin(void *user, struct span question, admin_explained_fn *done,
                  void *done_user, uint64_t token)
{
    struct explainer *e = user;
    struct job *j;

    if (e->is_stopping || e->worker_count == 0 || e->count >= JOBS_MOST)
        return false;
    j = NEW(struct job);
    j->explainer = e;
    j->done = done;
    j->user = done_user;
    j->token = token;
    buffer_put(&j->body, question);
    uv_mutex_lock(&e->lock);
    j->next = e->jobs;
    e->jobs = j;
    e->count++;
    uv_mutex_unlock(&e->lock);
    worker_post(e->workers[e->next_worker++ % e->worker_count], task_begin, j);
    return true;
}

const struct admin_explains explainer_admin = { .begin = begin };

struct explainer *explainer_open(uv_loop_t *loop, struct worker *const *workers,
                                 unsigned worker_count, const char *config)
{
    struct explainer *e = NEW(struct explainer);

    e->config = config ? realpath(config, NULL) : NULL;
    explainer_reload(e);
    e->workers = workers;
    e->worker_count = worker_count;
    ASSERT(uv_mutex_init(&e->lock) == 0);
    ASSERT(uv_async_init(loop, &e->async, on_async) == 0);
    e->async.data = e;
    return e;
}

void explainer_reload(struct explainer *e)
{
    atomic_store(&e->read_ms, wall_ms());
}

void explainer_stop(struct explainer *e)
{
    e->is_stopping = true;
    for (unsigned i = 0; i < e->worker_count; i++)
        worker_post(e->workers[i], task_drop, e);
}

void explainer_close(struct explainer *e)
{
    e->is_closed = true;
    uv_close((uv_handle_t *)&e->async, NULL);
}

void explainer_free(struct explainer *e)
{
    if (!e)
        return;
    for (struct job *j = e->jobs, *next; j; j = next) {
        next = j->next;
        job_free(j);
    }
    uv_mutex_destroy(&e->lock);
    free(e->config);
    free(e);
}

/* ------------------------------------------------------------ without one ---- */

json_t *explainer_alone(const struct explain_question *q, struct settings *s)
{
    struct explanation *x = explanation_of(q, s);
    const struct evidence_question *all;
    size_t count;
    json_t *o;

    for (unsigned n = 0; n < ROUNDS_MOST && !explanation_step(x, &all, &count);
         n++)
        for (size_t i = 0; i < count; i++)
            if (all[i].kind == EVIDENCE_NAME && q->client_name.at)
                evidence_put(x->evidence, all[i].kind, all[i].key,
                             EVIDENCE_ANSWERED, q->client_name);
            else
                explanation_assume(x, &all[i]);
    o = explain_json(x, NULL);
    explanation_free(x);
    return o;
}
