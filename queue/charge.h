/*
 * charge - all or nothing of several budgets.
 */
#ifndef WAYPOST_CHARGE_H
#define WAYPOST_CHARGE_H

#include "queue/budget.h"

/* What a charge waited for has come, or failed. The table's lock is held. */
void charge_go_on(struct queue *q, struct budget_wait *take_w, int rc);

#endif
