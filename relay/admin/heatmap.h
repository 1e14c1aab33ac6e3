/*
 * heatmap - where mail waits and since when, and the routes there are, over HTTP.
 *
 *   GET /api/v1/queue/heat  {"bounds_min": [5, 10 ... 1280], "rows": [{"domain", "total",
 *       "cells": [10 counts]}], "total", "cells", "at_ms", "complete"}: recipients by domain,
 *       most first, at most limit=50; what is older than one bound and not older than the
 *       next stands in a column. Rows beyond those that are kept apart are one, "domain" null
 *   GET /api/v1/routes      {"title", "to": [...], "via": [...]}, a line each
 */
#ifndef WAYPOST_HEATMAP_H
#define WAYPOST_HEATMAP_H

#include "relay/admin/request.h"

void heatmap_get(struct request *r);
void heatmap_routes(struct request *r);

#endif
