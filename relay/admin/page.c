/*
 * page - finds the file of a path among those that the build put into the program.
 */
#include "relay/admin/page.h"

void page_serve(struct request *r)
{
    const struct page_file *p = page_files;

    while (p->path && !span_is(span_skip(span_of(p->path), 1), r->name))
        p++;
    if (p->path)
        request_answer_file(r, &p->file);
    else
        request_refuse(r, 404, "there is nothing at this path");
}
