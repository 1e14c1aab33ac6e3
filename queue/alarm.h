/*
 * alarm - delay notices and expiry, whatever the lane's state. The reader's thread.
 */
#ifndef WAYPOST_ALARM_H
#define WAYPOST_ALARM_H

#include "queue/reader.h"

/* Hands out a page of messages whose alarm has come; false: none was left. */
bool alarm_page(struct reader *r);

#endif
