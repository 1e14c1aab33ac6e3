/*
 * backup_stream - what the queue says of itself, made into an archive.
 *
 *   LINE --"bytes"--> BYTES --all of them--> LINE ... --"end"--> over
 */
#include "relay/main/backup_stream.h"

#include <string.h>

enum { LINE_MOST = 4096 };

void backup_stream_init(struct backup_stream *s, struct archive *a)
{
    *s = (struct backup_stream){ .archive = a, .line.cap = LINE_MOST };
}

void backup_stream_fini(struct backup_stream *s)
{
    buffer_fini(&s->line);
    buffer_fini(&s->why);
}

static uint64_t number(const json_t *o, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(o, key));

    return n < 0 ? 0 : (uint64_t)n;
}

static struct span text(const json_t *o, const char *key)
{
    const char *value = json_string_value(json_object_get(o, key));

    return span_of(value ? value : "");
}

static int failed(struct backup_stream *s, int rc)
{
    if (rc < 0 && s->why.len == 0)
        buffer_printf(&s->why, "the backup cannot be written: %s",
                      error_text(rc));
    return rc;
}

static int end_file(struct backup_stream *s)
{
    s->is_file = false;
    return failed(s, archive_end(s->archive));
}

static int begin_file(struct backup_stream *s, const json_t *o)
{
    int rc;

    s->left = number(o, "size");
    s->is_file = true;
    rc = failed(s, archive_begin(s->archive, text(o, "file"), s->left));
    return rc == 0 && s->left == 0 ? end_file(s) : rc;
}

/* {"error": ...}, and what is none of ours */
static int refuse(struct backup_stream *s, const json_t *o)
{
    struct span why = text(o, "error");

    if (why.len)
        buffer_put_escaped(&s->why, why);
    else
        buffer_put_string(&s->why, "the relay's answer makes no sense");
    return ERROR_PROTOCOL;
}

static int take_object(struct backup_stream *s, const json_t *o)
{
    if (json_object_get(o, "error") || s->is_over)
        return refuse(s, o);
    if (s->is_file) {
        s->bytes = number(o, "bytes");
        return s->bytes && s->bytes <= s->left ? 0 : refuse(s, o);
    }
    if (json_object_get(o, "file"))
        return begin_file(s, o);
    if (json_object_get(o, "link"))
        return failed(s,
                      archive_link(s->archive, text(o, "link"), text(o, "to")));
    if (json_object_get(o, "copied")) {
        if (s->tell)
            s->tell(s->user, true, number(o, "copied"), number(o, "of"));
    } else if (json_object_get(o, "lost")) {
        s->lost++;
    } else if (json_object_get(o, "end")) {
        s->is_over = true;
        s->messages = number(o, "messages");
        s->recipients = number(o, "recipients");
    } else {
        return refuse(s, o);
    }
    return 0;
}

static int take_line(struct backup_stream *s)
{
    json_t *o = json_loadb(s->line.at, s->line.len, 0, NULL);
    int rc = s->line.overflow ? refuse(s, NULL) : take_object(s, o);

    buffer_clear(&s->line);
    json_decref(o);
    return rc;
}

static int take_bytes(struct backup_stream *s, struct span bytes)
{
    int rc = failed(s, archive_put(s->archive, bytes));

    s->bytes -= bytes.len;
    s->left -= bytes.len;
    if (s->tell)
        s->tell(s->user, false, archive_bytes(s->archive), 0);
    return rc == 0 && s->left == 0 ? end_file(s) : rc;
}

int backup_stream_take(struct backup_stream *s, struct span bytes)
{
    int rc = 0;

    while (rc == 0 && bytes.len) {
        struct span part;

        if (s->bytes) {
            part = span_first(bytes, s->bytes < bytes.len ? (size_t)s->bytes
                                                          : bytes.len);
            rc = take_bytes(s, part);
            bytes = span_skip(bytes, part.len);
            continue;
        }
        part = span_first(bytes, span_find(bytes, '\n'));
        buffer_put(&s->line, part);
        bytes = span_skip(bytes, part.len);
        if (bytes.len) {
            bytes = span_skip(bytes, 1);
            rc = take_line(s);
        }
    }
    return rc;
}
