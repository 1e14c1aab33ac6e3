/*
 * settlement_report - who is told of what a settlement says.
 *
 *   kind              recipients that              and NOTIFY
 *   failed            failed, expired, returned    FAILURE, or not given
 *   delayed           were warned of               DELAY, or not given
 *   success           were delivered, where the    SUCCESS; or not NEVER, where
 *                     next hop does not report     DELIVERBY asked for a trace or the
 *                                                  hop does not know it
 *   double            failed or expired, of <>     any, of a report of ours;
 *                                                  else as failed
 *
 * One report for each kind, however many recipients; with VERP one for each of them, to the
 * reverse-path that is its own. A double bounce goes to the
 * postmaster, if there is one, as a notice; of a notice nobody is told, so
 * that this ends. RFC 3461 5.2, 6; RFC 2852 4.2, 5; RFC 5321 6.1.
 */
#ifndef WAYPOST_SETTLEMENT_REPORT_H
#define WAYPOST_SETTLEMENT_REPORT_H

#include "relay/outbound/report.h"
#include "relay/outbound/settlement.h"

struct settlement_reports {
    struct queue_message *messages;
    struct queue_recipient *to; /* one for each message */
    struct buffer *lanes;
    size_t count, room;
};

/* Composes and logs what is owed. The contents of messages are the queue's to take. */
void settlement_report_make(struct settlement *s, struct settlement_reports *out);
void settlement_report_fini(struct settlement_reports *reports);

#endif
