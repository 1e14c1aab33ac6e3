/*
 * logins - the files of users and tokens, read again at once.
 *
 *   POST /api/v1/logins    {"done": true} when what the files say now is what counts; false:
 *                          one of them has a fault, and the former logins stay
 *
 * They are looked at by themselves within a second. Who has just changed one asks for it, so that
 * what comes next finds the change. Only over the socket.
 */
#ifndef WAYPOST_LOGINS_H
#define WAYPOST_LOGINS_H

#include "relay/admin/endpoints.h"

endpoint_fn logins_look;

#endif
