/*
 * evidence - what the judge has asked and been told.
 *
 * Answers stand in a small hash table and, oldest first, in a list: when there
 * are too many (LIMIT_EVIDENCE_ANSWERS, LIMIT_EVIDENCE_BYTES) the oldest go,
 * and are asked for again should anybody still want them. A question that
 * could never be kept, because its key alone is too long, has failed before it
 * is asked, so that nobody asks it forever; an answer that is too long counts
 * as none.
 *
 * Owns copies of all keys and answers.
 */
#include "policy/evidence.h"

#include "policy/vocabulary/limits.h"
#include "policy/vocabulary/memory.h"

#include <stdlib.h>

enum { HEADS = 64 };

struct item {
    struct item *next_here; /* of the same head */
    struct item *older, *newer;
    uint32_t hash;
    enum evidence_kind kind;
    enum evidence_state state;
    size_t key_len, answer_len;
    char bytes[]; /* the key, then the answer */
};

struct evidence {
    struct item *heads[HEADS];
    struct item *oldest, *newest;
    size_t count, bytes;
};

struct evidence *evidence_new(void)
{
    return NEW(struct evidence);
}

const struct evidence *evidence_none(void)
{
    static const struct evidence none;

    return &none;
}

void evidence_free(struct evidence *e)
{
    if (!e)
        return;
    for (struct item *i = e->oldest, *newer; i; i = newer) {
        newer = i->newer;
        free(i);
    }
    free(e);
}

/* FNV-1a. */
static uint32_t hash_of(enum evidence_kind kind, struct span key)
{
    uint32_t h = (2166136261u ^ kind) * 16777619u;

    for (size_t i = 0; i < key.len; i++)
        h = (h ^ (unsigned char)key.at[i]) * 16777619u;
    return h;
}

static size_t size_of(const struct item *i)
{
    return sizeof *i + i->key_len + i->answer_len;
}

static struct item *find(const struct evidence *e, enum evidence_kind kind,
                         struct span key)
{
    uint32_t hash = hash_of(kind, key);

    for (struct item *i = e->heads[hash % HEADS]; i; i = i->next_here)
        if (i->hash == hash && i->kind == kind &&
            span_is(span_make(i->bytes, i->key_len), key))
            return i;
    return NULL;
}

static void drop(struct evidence *e, struct item *i)
{
    struct item **here = &e->heads[i->hash % HEADS];

    while (*here != i)
        here = &(*here)->next_here;
    *here = i->next_here;
    *(i->older ? &i->older->newer : &e->oldest) = i->newer;
    *(i->newer ? &i->newer->older : &e->newest) = i->older;
    e->count--;
    e->bytes -= size_of(i);
    free(i);
}

static void add(struct evidence *e, struct item *i)
{
    i->next_here = e->heads[i->hash % HEADS];
    e->heads[i->hash % HEADS] = i;
    i->older = e->newest;
    *(e->newest ? &e->newest->newer : &e->oldest) = i;
    e->newest = i;
    e->count++;
    e->bytes += size_of(i);
}

void evidence_put(struct evidence *e, enum evidence_kind kind, struct span key,
                  enum evidence_state state, struct span answer)
{
    struct item *former, *i;

    if (key.len > LIMIT_EVIDENCE_KEY)
        return;
    if (state != EVIDENCE_ANSWERED || answer.len > LIMIT_EVIDENCE_ANSWER) {
        state = EVIDENCE_FAILED;
        answer.len = 0;
    }
    /* Taken first: the new key or answer may be borrowed from what is there. */
    i = memory_take(sizeof *i + key.len + answer.len);
    *i = (struct item){
        .hash = hash_of(kind, key),
        .kind = kind,
        .state = state,
        .key_len = key.len,
        .answer_len = answer.len,
    };
    if (key.len)
        memcpy(i->bytes, key.at, key.len);
    if (answer.len)
        memcpy(i->bytes + key.len, answer.at, answer.len);
    if ((former = find(e, kind, key)) != NULL)
        drop(e, former);
    add(e, i);
    while (e->count > LIMIT_EVIDENCE_ANSWERS || e->bytes > LIMIT_EVIDENCE_BYTES)
        drop(e, e->oldest);
}

void evidence_forget(struct evidence *e, enum evidence_kind kind)
{
    for (struct item *i = e->oldest, *newer; i; i = newer) {
        newer = i->newer;
        if (i->kind == kind)
            drop(e, i);
    }
}

enum evidence_state evidence_find(const struct evidence *e,
                                  enum evidence_kind kind, struct span key,
                                  struct span *out_answer)
{
    const struct item *i;

    if (key.len > LIMIT_EVIDENCE_KEY)
        return EVIDENCE_FAILED;
    i = e ? find(e, kind, key) : NULL;
    if (!i)
        return EVIDENCE_NOT_ASKED;
    if (i->state == EVIDENCE_ANSWERED)
        *out_answer = span_make(i->bytes + i->key_len, i->answer_len);
    return i->state;
}
