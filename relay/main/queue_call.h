/*
 * queue_call - one call of waypost queue, between the files that read it and carry it out.
 *
 * queue_verb.c fills it in; the sub verb that is wanted asks and prints, and answers the exit
 * code.
 */
#ifndef WAYPOST_QUEUE_CALL_H
#define WAYPOST_QUEUE_CALL_H

#include "relay/main/ask.h"
#include "relay/main/idlist.h"
#include "relay/main/paper.h"
#include "relay/main/verbs.h"

struct queue_call {
    const struct verb_call *call;
    int sub;          /* row of the sub verb ... */
    const char *name; /* ... its name ... */
    const char *done; /* ... and what it does; NULL: it only looks */
    struct ask *ask;
    json_t *filters;   /* key -> value, as given; id: of one alone */
    struct idlist ids; /* that were given */
    const char *route,
        *why; /* route: of move; why: of bounce, hold, delete; or NULL */
    const char *by, *limit; /* of top; or NULL */
    bool json, yes, all, only_header, is_coloured;
    bool has_bar;     /* progress is drawn on standard error */
    json_t *answer;   /* of a change, its last line; or NULL */
    int64_t expected; /* messages that it is about; 0: not known */
    size_t width;     /* of the terminal; 0: not one */
    uint64_t rows;    /* printed so far */
};

typedef int queue_call_fn(struct queue_call *o);

/* The object, to be laid out as this call wants it. */
static inline struct paper queue_call_paper(const struct queue_call *o,
                                            struct buffer *b,
                                            const json_t *object)
{
    return (struct paper){
        .b = b, .o = object, .is_coloured = o->is_coloured, .width = o->width
    };
}

queue_call_fn queue_look_list, queue_look_show, queue_look_cat,
    queue_look_count, queue_look_top, queue_look_shape, queue_act;

/* Are there several ids, or none came from standard input? */
static inline bool queue_call_is_many(const struct queue_call *o)
{
    return o->ids.is_given && o->ids.count != 1;
}

/* The i-th id is the one that is meant from now on. */
void queue_many_choose(struct queue_call *o, size_t i);
/* Looks at each in turn: the exit code; EX_NOINPUT when any of them is not there. */
int queue_many_look(struct queue_call *o, queue_call_fn *one);
/* Orders body for each; o->answer is the sum, also of what came before a failure. */
int queue_many_order(struct queue_call *o, const char *path, json_t *body);
/* Which were not concerned. */
void queue_many_print_unmatched(const struct queue_call *o);
/* "[######      ] 3400 of 10000", drawn over the one before. */
void queue_act_draw_bar(const struct queue_call *o, int64_t done);

#endif
