/*
 * variants - the messages that one draft becomes.
 *
 * Recipients with the same sender after rewriting and the same changes to the
 * header share one message; each other combination is one of its own. Within a
 * message an address stands once, whoever led to it. A copy (archive) is one
 * more recipient, of the message of the first whose rule asked for it: nobody
 * is ever told of it, and an address that gets the mail anyway gets no copy.
 *
 * Bounded: who would be one too many for VARIANTS_MOST is put off at RCPT, so
 * that the client sends him separately. VARIANTS_ADDRESSES in all, and
 * VARIANTS_BYTES of what must be in memory at once, which what only the message
 * brings about might yet run into, are refused with the message.
 */
#ifndef WAYPOST_VARIANTS_H
#define WAYPOST_VARIANTS_H

#include "policy/destinies.h"
#include "relay/inbound/session.h"

enum {
    VARIANTS_MOST = 100,
    VARIANTS_ADDRESSES = 20000,
    VARIANTS_BYTES = VARIANTS_MOST * (LIMIT_HEADER + CONTENT_SMALL + 8192),
};

/* One recipient of one message. */
struct addressee {
    const struct draft_recipient *from; /* who was named to us */
    struct destiny destiny;
    struct span orcpt; /* decoded, or empty */
    unsigned notify;   /* of enum queue_notify */
    bool hold, is_copy;
};

struct variant {
    uint64_t id;        /* the first one's is the draft's */
    struct span sender; /* reverse-path */
    struct span trace;  /* its Received: line; empty: the draft's */
    const struct effect **edits;
    size_t edit_count;
    struct addressee *all;
    size_t count;
    uint64_t size_bytes; /* as stored; set by who puts it */
};

struct variants {
    struct variant *all;
    size_t count; /* 0: everybody was discarded, and nobody gets a copy */
};

/* Does any rule change where the draft goes, or what it says? Else it is one message for its
 * recipients as they stand. */
bool variants_are_needed(const struct draft *d);
/* May a rule that acted, or one that waits, change the header or the sender? Then the header
 * section must be kept apart from the content. */
bool variants_may_edit(const struct draft *d);

/* May this recipient join the draft? False: there are VARIANTS_MOST already, and his would be
 * another. What is learnt is kept in the draft and the arena; asked twice it is the same. */
bool variants_admit(struct draft *d, const struct address *recipient,
                    const struct verdict *v, struct arena *arena);

/* In the arena; ids but the first are still 0. False: too many, or too much. */
MUST bool variants_find(const struct draft *d, const struct settings *s,
                        struct arena *arena, struct variants *out);

/* The whole header section of a variant, our Received: line first. */
void variants_write_head(const struct draft *d, const struct variant *v,
                         struct buffer *out);

/* Of one who is named to us as he is: what a draft without variants consists of. */
struct addressee variants_plain(const struct draft *d, const struct settings *s,
                                const struct draft_recipient *r);

#endif
