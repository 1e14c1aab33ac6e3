/*
 * refresh - a running relay knows at once of a file that was just changed.
 *
 * The change stands, whatever comes of this: so it is never a failure.
 */
#include "relay/main/refresh.h"

#include "relay/main/ask.h"

#include <stdio.h>
#include <sysexits.h>

void refresh_logins(struct span socket)
{
    struct ask *a = ask_new(socket);
    json_t *body = json_object(), *answer = NULL;

    if (ask_is_there(a)) {
        if (ask_one(a, "/logins", body, &answer) != EX_OK)
            (void)fputs("waypost: it is done; the relay finds it by itself, "
                        "within a second\n",
                        stderr);
        else if (!json_is_true(json_object_get(answer, "done")))
            (void)fputs("waypost: the relay cannot read its files of users, "
                        "and goes on with the former ones: its log says why\n",
                        stderr);
    }
    json_decref(answer);
    json_decref(body);
    ask_free(a);
}
