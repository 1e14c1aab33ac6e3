/*
 * delimiters - the multiparts that are open, and whether a line is a delimiter of one.
 *
 * They are compared by hash, so an open multipart costs one comparison for each line that
 * begins with "--". Owns the boundaries of those that are open.
 */
#include "policy/delimiters.h"

#include <stdlib.h>

static uint64_t hash_of(struct span s)
{
    uint64_t hash = 14695981039346656037u;

    for (size_t i = 0; i < s.len; i++)
        hash = (hash ^ (unsigned char)s.at[i]) * 1099511628211u;
    return hash;
}

bool delimiters_open(struct delimiters *d, struct span boundary, bool is_digest,
                     unsigned depth)
{
    if (d->count == LIMIT_MIME_DEPTH)
        return false;
    d->all[d->count++] = (struct delimiter){
        .boundary = span_make(span_dup(boundary), boundary.len),
        .hash = hash_of(boundary),
        .is_digest = is_digest,
        .depth = depth,
    };
    return true;
}

void delimiters_close(struct delimiters *d, size_t kept)
{
    while (d->count > kept)
        free((char *)d->all[--d->count].boundary.at);
}

/* --boundary, perhaps --, perhaps white space. */
size_t delimiters_find(const struct delimiters *d, struct span line,
                       bool *out_opens)
{
    struct span whole, closing;
    uint64_t whole_hash, closing_hash;

    if (d->count == 0 || line.len < 3 || line.at[0] != '-' || line.at[1] != '-')
        return d->count;
    whole = span_skip(line, 2);
    while (whole.len &&
           (whole.at[whole.len - 1] == ' ' || whole.at[whole.len - 1] == '\t'))
        whole.len--;
    closing = span_first(whole, 0);
    if (whole.len > 2 && memcmp(whole.at + whole.len - 2, "--", 2) == 0)
        closing = span_first(whole, whole.len - 2);
    while (closing.len && closing.at[closing.len - 1] == ' ')
        closing.len--;
    whole_hash = hash_of(whole);
    closing_hash = hash_of(closing);
    for (size_t i = d->count; i-- > 0;) {
        const struct delimiter *l = &d->all[i];
        bool opens = l->hash == whole_hash && span_is(l->boundary, whole);

        if (!opens &&
            !(l->hash == closing_hash && span_is(l->boundary, closing)))
            continue;
        *out_opens = opens;
        return i;
    }
    return d->count;
}
