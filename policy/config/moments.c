/*
 * moments - times of the week, as a rule's `time` says them.
 *
 * Owns nothing.
 */
#include "policy/config/moments.h"

#include "policy/config/value.h"

enum { WEEK = 7, EVERY_DAY = (1 << WEEK) - 1, DAY_MINUTES = 24 * 60 };

static bool read_day(struct span s, unsigned *out_day)
{
    static const char *const days[WEEK] = { "sun", "mon", "tue", "wed",
                                            "thu", "fri", "sat" };

    for (unsigned i = 0; i < WEEK; i++) {
        if (span_is_nocase(s, span_of(days[i]))) {
            *out_day = i;
            return true;
        }
    }
    return false;
}

static bool read_days(struct span s, unsigned char *out_days)
{
    struct span end, start = span_split(s, '-', &end);
    unsigned day, last;
    unsigned set;

    if (!read_day(start, &day) || !read_day(end.at ? end : start, &last))
        return false;
    for (set = 1u << day; day != last; set |= 1u << day)
        day = (day + 1) % WEEK;
    *out_days = (unsigned char)set;
    return true;
}

static bool read_moment(struct span s, struct moment *out)
{
    struct span hours, days = span_split(span_trim(s), ' ', &hours);
    struct moment m = { .days = EVERY_DAY, .from = 0, .to = DAY_MINUTES };

    if (!hours.at && span_find(days, ':') < days.len) {
        hours = days;
        days = span_make(NULL, 0);
    }
    if ((days.len && !read_days(days, &m.days)) ||
        (hours.at && !value_day_span(span_trim(hours), &m.from, &m.to)))
        return false;
    if (!days.len && !hours.at)
        return false;
    *out = m;
    return true;
}

void moments_read(struct reading *r, const struct syntax_entry *e,
                  struct condition *c)
{
    c->moments = arena_take(r->arena, e->value_count * sizeof *c->moments);
    for (size_t i = 0; i < e->value_count; i++) {
        if (read_moment(e->values[i].text, &c->moments[c->moment_count]))
            c->moment_count++;
        else
            faults_add(&r->faults, e->values[i].place,
                       "%s is not a time such as \"22:00-06:00\", \"sat-sun\" "
                       "or \"mon-fri 08:00-18:00\"",
                       faults_quote(&r->faults, e->values[i].text));
    }
}
