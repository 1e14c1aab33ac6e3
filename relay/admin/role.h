/*
 * role - who may ask.
 *
 * In order: each may what those before it may.
 */
#ifndef WAYPOST_ROLE_H
#define WAYPOST_ROLE_H

enum role {
    ROLE_ANYONE,   /* no token */
    ROLE_READ,     /* looks at everything, changes nothing */
    ROLE_OPERATOR, /* changes it too */
    ROLE_LOCAL,    /* an operator over the unix socket */
};

#endif
