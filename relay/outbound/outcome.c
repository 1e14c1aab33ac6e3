/*
 * outcome - what became of a recipient, put in words.
 *
 * The words are read by people in logs, queue listings and reports, so a peer's
 * bytes pass buffer_put_escaped. A long reply loses its end, never the words
 * that say to what it was the reply.
 */
#include "relay/outbound/outcome.h"

/* The lines of a peer's text as one, in at most `most` bytes. */
static void put_text(struct buffer *b, struct span text, size_t most)
{
    struct span rest = span_first(text, most);
    size_t cap = b->cap;

    b->cap = b->len + most;
    while (rest.at) {
        struct span line = span_split(rest, '\n', &rest);

        buffer_put_byte(b, ' ');
        buffer_put_escaped(b, span_trim(line));
    }
    b->overflow = false;
    b->cap = cap;
}

static void put_reply(struct buffer *b, const char *words,
                      const struct reply *r)
{
    size_t around = b->len + strlen(words) + sizeof "250 255.65535.65535 ";

    buffer_printf(b, "%03d", r->code);
    if (r->status.class) {
        buffer_put_byte(b, ' ');
        status_print(b, r->status);
    }
    if (r->text.len)
        put_text(b, r->text, LIMIT_REPLY_STORED - around);
    if (*words)
        buffer_put_byte(b, ' ');
    buffer_put_string(b, words);
}

/* Takes the words over into the arena. */
static struct client_outcome finish(struct arena *a, enum diagnosis diagnosis,
                                    struct status status, struct buffer *words)
{
    struct client_outcome o = { diagnosis, status, { NULL, 0 } };

    /* what will be tried again is not final, whatever number the peer gave it
     */
    if (diagnosis != DIAGNOSIS_FAILED && diagnosis != DIAGNOSIS_DELIVERED)
        o.status.class = 4;
    o.reply = arena_copy(a, span_first(buffer_span(words), LIMIT_REPLY_STORED));
    buffer_fini(words);
    return o;
}

struct client_outcome outcome_of_reply(struct arena *a, enum client_stage stage,
                                       const struct reply *r,
                                       size_t accepted_before)
{
    enum diagnosis d = diagnose(stage, r, accepted_before);
    struct buffer words = { 0 };

    /* a yes needs no explanation, and people's tools know it without one */
    put_reply(&words, d == DIAGNOSIS_DELIVERED ? "" : stage_words(stage), r);
    return finish(a, d, diagnose_status(stage, r), &words);
}

struct client_outcome outcome_of_misplaced(struct arena *a,
                                           enum client_stage stage,
                                           const struct reply *r)
{
    struct buffer words = { 0 };

    buffer_put_string(&words, "peer broke the protocol: ");
    put_reply(&words, stage_words(stage), r);
    return finish(a, diagnose_trouble(stage), STATUS(4, 5, 0), &words);
}

struct client_outcome outcome_of_nonsense(struct arena *a,
                                          enum client_stage stage,
                                          struct span what)
{
    struct buffer words = { 0 };

    buffer_put_string(&words, "peer broke the protocol: ");
    buffer_put(&words, span_first(what, LIMIT_REPLY_STORED / 2));
    buffer_put_byte(&words, ' ');
    buffer_put_string(&words, stage_words(stage));
    return finish(a, diagnose_trouble(stage), STATUS(4, 5, 0), &words);
}

struct client_outcome outcome_of_loss(struct arena *a, enum client_stage stage,
                                      struct span reason)
{
    struct status status = STATUS(4, 4, 2);
    struct buffer words = { 0 };

    if (stage == STAGE_CONNECT) {
        status = STATUS(4, 4, 1);
    } else {
        buffer_put_string(&words, "lost connection with peer while ");
        buffer_put_string(&words, stage_doing(stage));
        if (reason.len)
            buffer_put_string(&words, ": ");
    }
    buffer_put_escaped(&words, span_first(reason, LIMIT_REPLY_STORED / 8));
    return finish(a, diagnose_trouble(stage), status, &words);
}

struct client_outcome outcome_of_timeout(struct arena *a,
                                         enum client_stage stage)
{
    struct buffer words = { 0 };

    buffer_put_string(&words, "conversation with peer timed out while ");
    buffer_put_string(&words, stage_doing(stage));
    return finish(a, diagnose_trouble(stage), STATUS(4, 4, 2), &words);
}

struct client_outcome outcome_of_ours(enum diagnosis diagnosis,
                                      struct status status, struct span words)
{
    return (struct client_outcome){ diagnosis, status, words };
}
