/*
 * witness - who looks on while a host is met.
 *
 * What is said and heard on a connection, line by line, for people; what is secret is left
 * out before it gets here. Nothing may be done to the client or its connection from within.
 */
#ifndef WAYPOST_WITNESS_H
#define WAYPOST_WITNESS_H

#include "relay/outbound/diagnosis.h"

struct witness {
    void *user;
    /* A line of ours leaves, without its end. */
    void (*said)(void *user, struct span line);
    /* What was asked at this stage is answered; lines have '\n' between them. */
    void (*heard)(void *user, enum client_stage stage, const struct reply *r);
    /* What is waited for now; STAGE_IDLE: nothing, or the connection is over. */
    void (*awaits)(void *user, enum client_stage stage);
};

/* Commands that are about to leave, any number of lines. is_login: of a login, so that only
 * its mechanism may be seen. */
void witness_show(const struct witness *w, struct span out, bool is_login);

#endif
