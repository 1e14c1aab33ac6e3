/*
 * logline_json - one event as a JSON object.
 *
 * Each field that is not left out is a member; figures are numbers, all else is text.
 */
#include "relay/net/logline_private.h"

void logline_put_json_string(struct buffer *b, struct span s)
{
    struct buffer clean = { 0 };

    logline_put_clean(&clean, s);
    for (size_t i = 0; i < clean.len; i++) {
        if (clean.at[i] == '"' || clean.at[i] == '\\')
            buffer_put_byte(b, '\\');
        buffer_put_byte(b, clean.at[i]);
    }
    buffer_fini(&clean);
}

static void put_json_value(struct buffer *b, const struct log_line *line,
                           const struct logline_row *f)
{
    const int64_t *delay = (const void *)((const char *)line + f->at);
    struct buffer value = { 0 };

    switch (f->kind) {
    case K_NUMBER:
    case K_USE:
        logline_put_value(b, line, f);
        return;
    case K_BITS:
        buffer_printf(b, "%d", logline_facts_of(delay)->bits);
        return;
    case K_RESUMED:
        buffer_put_string(b, "true");
        return;
    case K_DELAY:
        buffer_printf(b, "%.3f", (double)logline_sum_of(delay) / 1000);
        return;
    case K_DELAYS:
        buffer_printf(b, "[%.3f,%.3f,%.3f,%.3f]", (double)delay[0] / 1000,
                      (double)delay[1] / 1000, (double)delay[2] / 1000,
                      (double)delay[3] / 1000);
        return;
    case K_SPAN:
    case K_MESSAGE_ID:
        buffer_put_byte(b, '"');
        logline_put_json_string(
            b, *(const struct span *)((const char *)line + f->at));
        buffer_put_byte(b, '"');
        return;
    case K_ID:
    case K_PEER:
    case K_PEER_PORT:
    case K_PLACE:
    case K_STATUS:
    case K_TRUST:
    case K_PROTOCOL:
    case K_CIPHER:
    case K_TLS_POLICY:
        break;
    }
    logline_put_value(&value, line, f);
    buffer_put_byte(b, '"');
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] == '"' || value.at[i] == '\\')
            buffer_put_byte(b, '\\');
        buffer_put_byte(b, value.at[i]);
    }
    buffer_put_byte(b, '"');
    buffer_fini(&value);
}

void logline_put_json(struct buffer *b, const struct log_line *line)
{
    const struct logline_event *row = &logline_events[line->event];

    buffer_printf(b, "\"daemon\":\"%s\",\"event\":\"%s\"", row->daemon,
                  row->name);
    for (const struct logline_piece *p = row->pieces;
         p < row->pieces + LOGLINE_PIECES && p->before; p++) {
        const struct logline_row *f = &logline_fields[p->field];

        if (logline_is_left_out(line, p))
            continue;
        buffer_printf(b, ",\"%s\":", f->name);
        put_json_value(b, line, f);
    }
}
