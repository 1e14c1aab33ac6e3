/*
 * page - the page for people who run the relay: files that are part of the program.
 *
 *   GET /           relay/page/index.html
 *   GET /NAME       any other file of relay/page
 *
 * Anyone may have them: they say nothing of this relay, and ask the API for everything. Their
 * content policy lets them load and ask only what is here, and forbids markup and styles
 * that come from strings.
 */
#ifndef WAYPOST_PAGE_H
#define WAYPOST_PAGE_H

#include "relay/admin/request.h"

#define PAGE_POLICY                                                            \
    "default-src 'none'; script-src 'self'; style-src 'self'; "                \
    "connect-src 'self'; img-src 'self'; base-uri 'none'; "                    \
    "form-action 'none'; frame-ancestors 'none'; "                             \
    "require-trusted-types-for 'script'; trusted-types 'none'"

struct page_file {
    const char *path; /* NULL: the end */
    struct request_file file;
};

/* Made by relay/page/embed.py. */
extern const struct page_file page_files[];

void page_serve(struct request *r);

#endif
