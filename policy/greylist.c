/*
 * greylist - should a stranger be asked to knock twice?
 *
 *   pair's note     "FIRST LAST COUNT": when it knocked first, passed last (0: never), and
 *                   how often it passed
 *   client's note   "LAST COUNT": when a new pair of the network passed last, and how many
 *
 *   unknown, or too late      first knock now             wait
 *   knocked, too early        as it was                   wait for the rest
 *   knocked, in the window    it passed                   pass; the network too
 *   passed before             it passed                   pass
 *
 * What is known is written again at most once an hour, since it is the time to live that
 * has to move, not each message. Owns nothing.
 */
#include "policy/greylist.h"

#include "policy/pattern.h"

#include <stdio.h>

enum { V4_BITS = 24, V6_BITS = 64, NUMBERS_MOST = 3 };
static const int64_t fresh_ms = 3600000;

static void put_address(struct buffer *b, const struct address *a)
{
    struct subject s;

    buffer_put_byte(b, ' ');
    if (a->text.len == 0) {
        buffer_put(b, SPAN("<>"));
        return;
    }
    subject_of_address(&s, a);
    subject_fold(&s);
    buffer_put(b, s.mailbox);
}

void greylist_pair_key(struct buffer *b, const struct host_address *client,
                       const struct address *sender,
                       const struct address *recipient)
{
    buffer_put_string(b, "grey\t");
    host_network_print(b, client, V4_BITS, V6_BITS);
    put_address(b, sender);
    put_address(b, recipient);
}

void greylist_client_key(struct buffer *b, const struct host_address *client)
{
    buffer_put_string(b, "greyclient\t");
    host_network_print(b, client, V4_BITS, V6_BITS);
}

/* So many numbers with a space between, no more and no fewer. */
static bool read_numbers(struct span s, int64_t *out, size_t count)
{
    int64_t numbers[NUMBERS_MOST];

    for (size_t i = 0; i < count; i++) {
        uint64_t n;

        if (!span_number(span_split(s, ' ', &s), &n) || n > INT64_MAX)
            return false;
        numbers[i] = (int64_t)n;
    }
    if (s.len)
        return false;
    memcpy(out, numbers, count * sizeof *out);
    return true;
}

/* One more pair of this network has passed. */
static void praise(struct greylist_answer *a, const struct rule *r,
                   int64_t count, int64_t now_ms)
{
    if (r->greylist.clients_after == 0)
        return;
    a->client.is_set = true;
    a->client.expire_ms = now_ms + r->greylist.keep_ms;
    (void)snprintf(a->client.text, sizeof a->client.text, "%lld %lld",
                   (long long)now_ms, (long long)count);
}

static void note_pair(struct greylist_answer *a, int64_t first, int64_t last,
                      int64_t count, int64_t expire_ms)
{
    a->pair.is_set = true;
    a->pair.expire_ms = expire_ms;
    (void)snprintf(a->pair.text, sizeof a->pair.text, "%lld %lld %lld",
                   (long long)first, (long long)last, (long long)count);
}

struct greylist_answer greylist_ask(const struct rule *r, struct span pair,
                                    struct span client, int64_t now_ms)
{
    struct greylist_answer a = { .passes = true };
    int64_t known[2] = { 0 }, of_pair[3] = { 0 };
    bool is_known = read_numbers(client, known, 2);
    int64_t first, last, count;

    if (is_known && r->greylist.clients_after &&
        known[1] >= r->greylist.clients_after) {
        if (now_ms - known[0] >= fresh_ms)
            praise(&a, r, known[1], now_ms);
        return a;
    }
    if (read_numbers(pair, of_pair, 3) && of_pair[0] <= now_ms) {
        first = of_pair[0];
        last = of_pair[1];
        count = of_pair[2];
    } else {
        first = last = count = 0;
    }
    if (last) {
        if (now_ms - last >= fresh_ms)
            note_pair(&a, first, now_ms, count + 1,
                      now_ms + r->greylist.keep_ms);
        return a;
    }
    if (!first || now_ms - first > r->greylist.window_ms) {
        a.passes = false;
        a.wait_ms = r->greylist.delay_ms;
        note_pair(&a, now_ms, 0, 0, now_ms + r->greylist.window_ms);
        return a;
    }
    if (now_ms - first < r->greylist.delay_ms) {
        a.passes = false;
        a.wait_ms = first + r->greylist.delay_ms - now_ms;
        return a;
    }
    note_pair(&a, first, now_ms, 1, now_ms + r->greylist.keep_ms);
    praise(&a, r, known[1] + 1, now_ms);
    return a;
}
