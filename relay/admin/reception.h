/*
 * reception - the server's callbacks: who comes, with what, and may they?
 */
#ifndef WAYPOST_RECEPTION_H
#define WAYPOST_RECEPTION_H

#include "relay/admin/portal.h"

/* user: the portal. Called with the header, then with each part of the body, then at its
 * end, and again after each wait. */
enum MHD_Result reception_access(void *user, struct MHD_Connection *c,
                                 const char *path, const char *method,
                                 const char *version, const char *upload,
                                 size_t *upload_len, void **request);
void reception_completed(void *user, struct MHD_Connection *c, void **request,
                         enum MHD_RequestTerminationCode how);

#endif
