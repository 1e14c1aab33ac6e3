/*
 * backups - all that the queue holds, over the socket.
 *
 *   POST /api/v1/backup {"history": true}    what queue_backup_begin says, as it comes; should
 *                                            it fail midway, the last line is {"error": "..."}
 *
 * The one who asks writes the file: it is in his folder and his own, which the relay, in its
 * sandbox and with an account of its own, could not do. Only over the socket: it is all mail.
 */
#ifndef WAYPOST_BACKUPS_H
#define WAYPOST_BACKUPS_H

#include "relay/admin/endpoints.h"

endpoint_fn backups_make;

#endif
