/*
 * response - an answer as the server sends it: its headers, its bytes, its stream.
 */
#ifndef WAYPOST_RESPONSE_H
#define WAYPOST_RESPONSE_H

#include "relay/admin/admin_private.h"
#include "relay/admin/endpoints.h"

/* The request is in ANSWERS: what it has to say is on its way. */
enum MHD_Result response_send(struct request *r);

/* "application/json" ... */
const char *response_media(enum endpoint_media media);

#endif
