/*
 * explains - rules explained over HTTP.
 *
 *   POST /api/v1/explain    a question (relay/main/explain_question.h): what would be said
 *                           to it, and why (relay/main/explain_json.h)
 */
#ifndef WAYPOST_EXPLAINS_H
#define WAYPOST_EXPLAINS_H

#include "relay/admin/request.h"

void explains_ask(struct request *r);

#endif
