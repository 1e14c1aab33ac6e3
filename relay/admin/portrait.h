/*
 * portrait - all about one message that waits, over HTTP, and its bytes.
 *
 *   GET /api/v1/queue/ID          what a list says of it, and "client", "client_name", "helo",
 *       "login", "listener", "protocol", "message_id", "tls", "expire_time", "header" (its own
 *       text, escaped); of each recipient "destination", "route", "why", "tries", "rule",
 *       "place", "held_by"; "dialogues": [{"at", "host", "lines"}], latest first
 *   GET /api/v1/queue/ID/content  the message as it will be sent; part=header: its header
 *
 * The bytes are held against the checksum that was made when they came: where they do not
 * match, the answer breaks off.
 */
#ifndef WAYPOST_PORTRAIT_H
#define WAYPOST_PORTRAIT_H

#include "relay/admin/request.h"

void portrait_show(struct request *r);
void portrait_content(struct request *r);

#endif
