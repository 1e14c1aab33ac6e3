/*
 * probes - "why is it stuck?" over HTTP.
 *
 *   POST /api/v1/probe    {"name": DOMAIN | ADDRESS | DESTINATION, "from": SENDER}
 *
 * The answer is a JSON object a line, each as its stage is over:
 *
 *   {"stage": "route|queue|dns|mx|address|policy|connect|greeting|ehlo|tls|certificate|
 *    login|mail|end", "state": "ok|warning|bad|info", "ms": 12.3, "text": "a sentence",
 *    "detail": {...}}
 *
 * "end" is the last, with the verdict and what can be done. A client that goes away ends the
 * probe with the next line.
 */
#ifndef WAYPOST_PROBES_H
#define WAYPOST_PROBES_H

#include "relay/admin/request.h"

void probes_ask(struct request *r);

#endif
