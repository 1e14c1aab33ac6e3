/*
 * optionwords - is a call written as the verb's table says?
 */
#ifndef WAYPOST_OPTIONWORDS_H
#define WAYPOST_OPTIONWORDS_H

#include "relay/main/verbs.h"

/* EX_OK; EX_USAGE: one that the table knows has no value, an empty one, one it does not take,
 * or is there twice; or an argument is empty. That has been complained of. */
int optionwords_check(const struct verb_call *call);

#endif
