/*
 * herald_check - are the files of all webhooks as they should be?
 */
#include "relay/main/herald.h"
#include "relay/outbound/secret.h"
#include "relay/outbound/weburl.h"

#include <stdlib.h>
#include <unistd.h>

static void put_place(struct buffer *b, const struct webhook_settings *w)
{
    buffer_printf(b, "%s:%u:%u: ", w->place.file ? w->place.file : "",
                  w->place.line, w->place.column);
}

static void check_secret(const struct webhook_settings *w,
                         struct buffer *faults, struct buffer *warnings)
{
    struct buffer secret = { 0 }, why = { 0 };
    bool is_exposed = false;

    if (secret_read(w->secret_file, &secret, &is_exposed, &why) < 0) {
        put_place(faults, w);
        buffer_printf(faults, "secret-file: %s\n", buffer_string(&why));
    } else if (is_exposed) {
        put_place(warnings, w);
        buffer_put_string(warnings, "warning: secret-file: ");
        buffer_put_escaped(warnings, w->secret_file);
        buffer_put_string(warnings, ": others may read it: chmod 600\n");
    }
    secret_wipe(&secret);
    buffer_fini(&why);
}

static void check_rest(const struct webhook_settings *w, struct buffer *faults)
{
    struct buffer why = { 0 };
    char *path = span_dup(w->authorities);

    if (weburl_check(w->url, "url", &why) < 0) {
        put_place(faults, w);
        buffer_printf(faults, "%s\n", buffer_string(&why));
    }
    if (*path && access(path, R_OK) < 0) {
        put_place(faults, w);
        buffer_put_string(faults, "authorities: ");
        buffer_put_escaped(faults, w->authorities);
        buffer_put_string(faults, ": cannot be read\n");
    }
    free(path);
    buffer_fini(&why);
}

void herald_check(const struct settings *s, struct buffer *out_faults,
                  struct buffer *out_warnings)
{
    for (size_t i = 0; i < s->webhook_count; i++) {
        check_secret(&s->webhooks[i], out_faults, out_warnings);
        check_rest(&s->webhooks[i], out_faults);
    }
}
