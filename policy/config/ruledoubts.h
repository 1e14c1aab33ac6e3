/*
 * ruledoubts - rules that cannot do what whoever wrote them meant.
 */
#ifndef WAYPOST_RULEDOUBTS_H
#define WAYPOST_RULEDOUBTS_H

#include "policy/config/keys.h"

/* Only warns; after all was read. */
void ruledoubts_find(struct reading *r);

#endif
