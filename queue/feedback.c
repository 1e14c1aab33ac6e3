/*
 * feedback - how many connections does this destination bear?
 */
#include "queue/feedback.h"

/* Sums of 1/N miss 1 by rounding. */
static const double whole = 1.0 - 1e-9;

void feedback_start(struct feedback *f, uint32_t most)
{
    *f = (struct feedback){ .most = most ? most : 1 };
    f->window = f->most < FEEDBACK_START ? f->most : FEEDBACK_START;
}

void feedback_limit(struct feedback *f, uint32_t most)
{
    f->most = most ? most : 1;
    if (f->window > f->most)
        f->window = f->most;
    if (f->window == 0)
        f->window = 1;
}

void feedback_delivered(struct feedback *f, uint32_t in_use)
{
    f->cohort = 0;
    f->success += 1.0 / f->window;
    if (f->success < whole)
        return;
    f->success = 0;
    if (in_use >= f->window && f->window < f->most)
        f->window++;
}

void feedback_greeted(struct feedback *f)
{
    f->cohort = 0;
}

bool feedback_failed(struct feedback *f)
{
    f->cohort += 1.0 / f->window;
    f->failure -= 1.0 / f->window;
    if (f->failure < 0) {
        f->failure += 1.0;
        if (f->window > 1)
            f->window--;
    }
    return f->cohort >= whole;
}
