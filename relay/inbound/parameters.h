/*
 * parameters - what follows the path of MAIL and RCPT.
 *
 * Pure grammar, one row for each parameter. Values borrow from the line; xtext
 * was checked and is still encoded. RFC 5321 4.1.1.11; the rows name theirs.
 */
#ifndef WAYPOST_PARAMETERS_H
#define WAYPOST_PARAMETERS_H

#include "policy/vocabulary/envelope.h"
#include "policy/vocabulary/span.h"

enum parameter_fault {
    PARAMETER_OK,
    PARAMETER_SYNTAX,   /* 501 5.5.4 */
    PARAMETER_UNKNOWN,  /* 555 5.5.4: also what is not offered here */
    PARAMETER_TOO_SOON, /* BY: less than we offer */
    PARAMETER_TOO_LATE, /* HOLDFOR, HOLDUNTIL: more than we offer */
};

/* Extensions that not every client is offered. */
enum parameter_offer {
    OFFERS_EXTENSIONS = 1, /* it said EHLO */
    OFFERS_RELEASE = 2,    /* FUTURERELEASE */
    OFFERS_VERP = 4,
};

struct parameter_terms {
    unsigned offers; /* of enum parameter_offer */
    bool smtputf8;   /* RCPT: the transaction's */
    int64_t now_ms;
    int64_t release_most_ms; /* a span: FUTURERELEASE's longest */
};

struct mail_parameters {
    uint64_t size;
    enum body_type body;
    bool smtputf8;
    struct span ret;   /* "", "FULL" or "HDRS"; a literal */
    struct span envid; /* xtext */
    struct span verp;  /* two delimiters, or empty */
    int priority;
    int64_t deliver_by_ms; /* a point in time; 0: none */
    enum deliver_by_mode deliver_by_mode;
    bool deliver_by_trace;
    int64_t release_ms; /* a point in time; 0: at once */
    bool is_unvouched;  /* AUTH was given */
};

struct rcpt_parameters {
    unsigned notify;   /* of enum queue_notify */
    struct span orcpt; /* encoded */
};

enum parameter_fault parameters_of_mail(struct span rest,
                                        const struct parameter_terms *terms,
                                        struct mail_parameters *out_parameters);
enum parameter_fault parameters_of_rcpt(struct span rest,
                                        const struct parameter_terms *terms,
                                        struct rcpt_parameters *out_parameters);

#endif
