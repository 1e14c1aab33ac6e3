/*
 * coverage - does one condition hold wherever another one does?
 */
#ifndef WAYPOST_COVERAGE_H
#define WAYPOST_COVERAGE_H

#include "policy/condition.h"

/*
 * True only where it is sure: 10.0.0.0/8 covers 10.1.0.0/16, *.example.org covers
 * a.example.org and its addresses, "TLSv1.2" covers "TLSv1.3". steps is lessened by what it
 * cost; at 0 only what is the same covers.
 */
bool coverage_has(const struct condition *wide, const struct condition *narrow,
                  size_t *steps);

#endif
