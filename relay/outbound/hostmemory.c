/*
 * hostmemory - next hops that did not answer lately.
 *
 * A hash by address and port. uthash keeps entries in the order of their insertion, and
 * an entry that changes is put in anew, so the first is the one to forget.
 */
#include "relay/outbound/hostmemory.h"

#include "policy/vocabulary/memory.h"

#include <stdlib.h>

#include <uthash.h>

/* The 16 bytes of the address, then the port. */
struct host_key {
    unsigned char bytes[18];
};

struct entry {
    struct host_key key;
    uint32_t failures;
    int64_t rest_until_ms;
    UT_hash_handle hh;
};

struct hostmemory {
    struct entry *entries;
    size_t most;
};

struct hostmemory *hostmemory_new(size_t most)
{
    struct hostmemory *m = NEW(struct hostmemory);

    ASSERT(most > 0);
    m->most = most;
    return m;
}

static void entry_forget(struct hostmemory *m, struct entry *e)
{
    HASH_DEL(m->entries, e);
    free(e);
}

void hostmemory_free(struct hostmemory *take_m)
{
    if (!take_m)
        return;
    while (take_m->entries)
        entry_forget(take_m, take_m->entries);
    free(take_m);
}

static struct host_key key_of(const struct race_target *host)
{
    struct host_key key;

    memcpy(key.bytes, host->address.bytes, 16);
    key.bytes[16] = (unsigned char)(host->port >> 8);
    key.bytes[17] = (unsigned char)(host->port & 0xff);
    return key;
}

/* NOLINTBEGIN(readability-function-size, clang-analyzer-unix.Malloc): the size is
 * uthash's, and the analyzer does not follow an entry out of the hash. */
static struct entry *entry_find(const struct hostmemory *m,
                                const struct race_target *host)
{
    struct host_key key = key_of(host);
    struct entry *e;

    HASH_FIND(hh, m->entries, &key, sizeof key, e);
    return e;
}

static void entry_put(struct hostmemory *m, const struct race_target *host,
                      uint32_t failures, int64_t rest_until_ms)
{
    struct entry *e = entry_find(m, host);

    if (e)
        entry_forget(m, e);
    else if (HASH_COUNT(m->entries) >= m->most)
        entry_forget(m, m->entries);
    e = NEW(struct entry);
    e->key = key_of(host);
    e->failures = failures;
    e->rest_until_ms = rest_until_ms;
    HASH_ADD(hh, m->entries, key, sizeof e->key, e);
}

/* NOLINTEND(readability-function-size, clang-analyzer-unix.Malloc) */

/* 1, 2, 4, 8 and then 15 minutes. */
static int64_t rest_ms(uint32_t failures)
{
    int64_t ms = HOSTMEMORY_FIRST_MS;

    for (uint32_t i = 1; i < failures && ms < HOSTMEMORY_MOST_MS; i++)
        ms *= 2;
    return ms < HOSTMEMORY_MOST_MS ? ms : HOSTMEMORY_MOST_MS;
}

bool hostmemory_failed(struct hostmemory *m, const struct race_target *host,
                       int64_t now_ms)
{
    const struct entry *e = entry_find(m, host);
    uint32_t failures = e ? e->failures : 0;

    if (e && e->rest_until_ms > now_ms)
        return false;
    if (failures < UINT32_MAX)
        failures++;
    entry_put(m, host, failures, now_ms + rest_ms(failures));
    return true;
}

bool hostmemory_worked(struct hostmemory *m, const struct race_target *host)
{
    struct entry *e = entry_find(m, host);

    if (!e)
        return false;
    entry_forget(m, e);
    return true;
}

bool hostmemory_is_resting(const struct hostmemory *m,
                           const struct race_target *host, int64_t now_ms)
{
    const struct entry *e = entry_find(m, host);

    return e && e->rest_until_ms > now_ms;
}

uint32_t hostmemory_failures(const struct hostmemory *m,
                             const struct race_target *host)
{
    const struct entry *e = entry_find(m, host);

    return e ? e->failures : 0;
}

size_t hostmemory_order(const struct hostmemory *m, struct race_target *hosts,
                        size_t count, int64_t now_ms)
{
    struct race_target *resting = NEW_ARRAY(struct race_target, count);
    size_t awake = 0;

    for (size_t i = 0; i < count; i++) {
        if (hostmemory_is_resting(m, &hosts[i], now_ms))
            resting[i - awake] = hosts[i];
        else
            hosts[awake++] = hosts[i];
    }
    for (size_t i = awake; i < count; i++)
        hosts[i] = resting[i - awake];
    free(resting);
    return awake;
}

bool hostmemory_print(const struct hostmemory *m,
                      const struct race_target *host, struct buffer *out_key,
                      struct buffer *out_value)
{
    const struct entry *e = entry_find(m, host);

    if (!e)
        return false;
    host_address_print(out_key, &host->address);
    buffer_printf(out_key, " %u", host->port);
    buffer_printf(out_value, "%u %lld", e->failures,
                  (long long)e->rest_until_ms);
    return true;
}

bool hostmemory_read(struct hostmemory *m, struct span key, struct span value,
                     int64_t now_ms)
{
    struct race_target host = { 0 };
    struct span port, until;
    struct span address = span_split(key, ' ', &port);
    struct span failures = span_split(value, ' ', &until);
    uint64_t port_number, count, until_ms;
    int64_t latest_ms;

    if (!host_address_parse(address, &host.address) ||
        !span_number(port, &port_number) || port_number > UINT16_MAX ||
        !span_number(failures, &count) || count == 0 || count > UINT32_MAX ||
        !span_number(until, &until_ms) || until_ms > INT64_MAX)
        return false;
    host.port = (uint16_t)port_number;
    latest_ms = now_ms + rest_ms((uint32_t)count);
    entry_put(m, &host, (uint32_t)count,
              (int64_t)until_ms < latest_ms ? (int64_t)until_ms : latest_ms);
    return true;
}
