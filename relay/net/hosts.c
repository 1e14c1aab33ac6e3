/*
 * hosts - reads the table, sorts it by name and by address, finds in it.
 *
 * Entries borrow from one copy of the text. RFC 952's file, as hosts(5) has it
 * now: an address, then names, a comment after #.
 */
#include "relay/net/hosts.h"

#include "policy/vocabulary/memory.h"

#include <stdio.h>
#include <stdlib.h>

enum { MOST_BYTES = 4 * 1024 * 1024 };

struct entry {
    struct span name;
    struct host_address address;
    size_t order; /* in the file; qsort is not stable */
};

struct hosts {
    char *text;
    struct entry *entries;
    size_t count, size;
    const struct entry **by_address; /* of the same entries */
};

static struct span without_dot(struct span name)
{
    if (name.len > 1 && name.at[name.len - 1] == '.')
        name.len--;
    return name;
}

static int name_compare(struct span a, struct span b)
{
    for (size_t i = 0; i < a.len && i < b.len; i++) {
        int d = ascii_lower(a.at[i]) - ascii_lower(b.at[i]);

        if (d != 0)
            return d;
    }
    return (a.len > b.len) - (a.len < b.len);
}

static int entry_compare(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int d = name_compare(a->name, b->name);

    return d != 0 ? d : (a->order > b->order) - (a->order < b->order);
}

static int address_compare(const void *left, const void *right)
{
    const struct entry *a = *(const struct entry *const *)left;
    const struct entry *b = *(const struct entry *const *)right;
    int d = memcmp(&a->address, &b->address, sizeof a->address);

    return d != 0 ? d : (a->order > b->order) - (a->order < b->order);
}

static struct span next_word(struct span *line)
{
    size_t start = 0, end;

    while (start < line->len && strchr(" \t\r", line->at[start]))
        start++;
    end = start;
    while (end < line->len && !strchr(" \t\r", line->at[end]))
        end++;

    struct span word = span_make(line->at + start, end - start);

    *line = span_skip(*line, end);
    return word;
}

static void hosts_add_line(struct hosts *h, struct span line)
{
    struct host_address address;
    struct span name;

    line = span_first(line, span_find(line, '#'));
    if (span_find(line, '\0') < line.len ||
        !host_address_parse(next_word(&line), &address))
        return;
    while ((name = next_word(&line)).len > 0) {
        if (h->count == h->size) {
            h->size = h->size ? 2 * h->size : 32;
            h->entries = memory_grow(h->entries, h->size * sizeof *h->entries);
        }
        h->entries[h->count] = (struct entry){ .name = without_dot(name),
                                               .address = address,
                                               .order = h->count };
        h->count++;
    }
}

struct hosts *hosts_new(struct span text)
{
    struct hosts *h = NEW(struct hosts);
    struct span rest;

    h->text = span_dup(text);
    rest = span_make(h->text, text.len);
    while (rest.len > 0)
        hosts_add_line(h, span_split(rest, '\n', &rest));
    if (h->count == 0)
        return h;
    qsort(h->entries, h->count, sizeof *h->entries, entry_compare);
    h->by_address = NEW_ARRAY(const struct entry *, h->count);
    for (size_t i = 0; i < h->count; i++)
        h->by_address[i] = &h->entries[i];
    qsort(h->by_address, h->count, sizeof(struct entry *), address_compare);
    return h;
}

struct hosts *hosts_read(const char *path)
{
    FILE *file = fopen(path, "re");
    struct buffer text = { .cap = MOST_BYTES };
    struct hosts *h;
    char block[4096];
    size_t n;

    while (file && !text.overflow &&
           (n = fread(block, 1, sizeof block, file)) > 0)
        buffer_put(&text, span_make(block, n));
    if (file)
        (void)fclose(file);
    h = hosts_new(text.overflow ? SPAN("") : buffer_span(&text));
    buffer_fini(&text);
    return h;
}

void hosts_free(struct hosts *take_h)
{
    if (!take_h)
        return;
    free(take_h->text);
    free(take_h->entries);
    free(take_h->by_address);
    free(take_h);
}

size_t hosts_find(const struct hosts *h, struct span name,
                  struct host_address *out_addresses, size_t most)
{
    size_t low = 0, high = h->count, n = 0;

    name = without_dot(name);
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (name_compare(h->entries[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < h->count && n < most; low++) {
        if (name_compare(h->entries[low].name, name) != 0)
            break;
        out_addresses[n++] = h->entries[low].address;
    }
    return n;
}

struct span hosts_find_name(const struct hosts *h,
                            const struct host_address *address)
{
    size_t low = 0, high = h->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct entry *e = h->by_address[middle];

        if (memcmp(&e->address, address, sizeof *address) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == h->count ||
        !host_address_is(&h->by_address[low]->address, address))
        return SPAN("");
    return h->by_address[low]->name;
}
