/*
 * sendmail_private - what the programs that other mail systems have share.
 *
 * sendmail_verb.c     mail in
 * sendmail_bridge.c   -bs: SMTP by standard input and output
 * mailq_verb.c        what waits, as Postfix lists it; -q
 * newaliases_verb.c   the file of aliases
 */
#ifndef WAYPOST_SENDMAIL_PRIVATE_H
#define WAYPOST_SENDMAIL_PRIVATE_H

#include "policy/settings.h"
#include "relay/main/sendmail_options.h"
#include "relay/main/verbs.h"

/* The file that such a program goes by: given, of the environment, or the usual one. */
const char *sendmail_config(const struct verb_call *call, const char *given);

/* Each answers the exit code. */
int sendmail_speak(const struct settings *s);
int sendmail_list(const struct settings *s);
int sendmail_flush(const struct settings *s, const struct sendmail_options *o);
int sendmail_aliases(const char *config);

#endif
