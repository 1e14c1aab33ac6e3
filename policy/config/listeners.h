/*
 * listeners - where clients may connect.
 */
#ifndef WAYPOST_LISTENERS_H
#define WAYPOST_LISTENERS_H

#include "policy/config/keys.h"

void listeners_read(struct reading *r, const struct syntax_entry *first,
                    size_t count);

#endif
