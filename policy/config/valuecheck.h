/*
 * valuecheck - is the text of a key what it should be?
 *
 * For the rows of key tables (.check): false, and a fault is added, where it is not. *value is
 * the text, or what is kept in its place.
 */
#ifndef WAYPOST_VALUECHECK_H
#define WAYPOST_VALUECHECK_H

#include "policy/config/keys.h"

/* A domain; kept in its folded form. */
key_check_fn valuecheck_domain;
/* A domain or an address literal, as it is said in banner, EHLO and Received. */
key_check_fn valuecheck_hostname;
/* A mail address. */
key_check_fn valuecheck_address;
/* The name of a file. */
key_check_fn valuecheck_path;
/* The path of a unix socket: at most LIMIT_SOCKET_PATH. */
key_check_fn valuecheck_socket;
/* What stands in front of each line of the log. */
key_check_fn valuecheck_tag;
/* An account of the machine; whether there is one is seen when it is needed. */
key_check_fn valuecheck_account;
/* A name server: "127.0.0.1@5301", "2001:db8::53". */
key_check_fn valuecheck_server;

#endif
