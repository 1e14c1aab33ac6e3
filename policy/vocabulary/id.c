/*
 * id - the name of a message for its whole life, and after it.
 */
#include "policy/vocabulary/id.h"

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

enum { ID_COUNT_BITS = 8 };

struct id_text id_print(uint64_t id)
{
    struct id_text t;

    for (int i = ID_LENGTH - 1; i >= 0; i--) {
        t.at[i] = digits[id & 31];
        id >>= 5;
    }
    t.at[ID_LENGTH] = '\0';
    return t;
}

static int digit_value(char c)
{
    const char *hit;

    if (c >= 'a' && c <= 'z')
        c = (char)(c & ~0x20);
    hit = c ? strchr(digits, c) : NULL;
    return hit ? (int)(hit - digits) : -1;
}

bool id_parse(struct span s, uint64_t *out_id)
{
    uint64_t id = 0;

    if (s.len != ID_LENGTH || digit_value(s.at[0]) > 7)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        int v = digit_value(s.at[i]);

        if (v < 0)
            return false;
        id = id << 5 | (unsigned)v;
    }
    *out_id = id;
    return true;
}

uint64_t id_next(uint64_t last, int64_t now_us)
{
    uint64_t id = (uint64_t)now_us << ID_COUNT_BITS;

    return id > last ? id : last + 1;
}
