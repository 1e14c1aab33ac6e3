/*
 * explain_json - an explanation as one JSON object.
 *
 *   {"source": "relay" or "file", "question": {...},
 *    "verdict": {"kind": "accept", "reject", "defer" or "discard", "hold", "stage", "by",
 *                "rule", "place", "reply", "conditional"},
 *    "rules": [{"name", "place", "action", "shadow", "fate", "condition", "fact", "stage",
 *               "effects": [text]}],
 *    "evidence": [{"kind", "question", "rule", "how": "asked", "assumed" or "failed",
 *                  "answer"}],
 *    "effects": [{"rule", "kind", "text"}],
 *    "budgets": [{"rule", "per", "left", "limit", "period", "free"}],
 *    "destinations": [{"address", "sender", "route", "place", "via": [text], "tls", "name",
 *                      "state", "waiting", "reason", "quota"}]}
 *
 * Times in seconds. "conditional": it rests on answers that were assumed.
 */
#ifndef WAYPOST_EXPLAIN_JSON_H
#define WAYPOST_EXPLAIN_JSON_H

#include "policy/explanation.h"
#include "queue/queue.h"

#include <jansson.h>

/* q may be NULL: what is in its memory is not known. */
json_t *explain_json(const struct explanation *x, struct queue *q);

#endif
