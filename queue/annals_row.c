/*
 * annals_row - one row of the history with all that it says.
 */
#include "queue/annals_private.h"

#define COMMON                                                                 \
    "SELECT id,at_ms,message,received_ms,size,sender,recipient,client,"        \
    "client_name,helo,login,listener,protocol,message_id,reply,host,tls,"      \
    "kind,status,attempts,in_doubt,delay_before,delay_queue,delay_connect,"    \
    "delay_send,trail,dialogue,who,"

/* clang-format off */
static const char *const texts[ANNALS_SOURCES] = {
    [SOURCE_EVENT] = COMMON "ruling FROM event WHERE id=?1",
    [SOURCE_HISTORY] = COMMON "rule,place,held_by,asked_to,asked_from,orig_to"
        " FROM history WHERE id=?1",
    [SOURCE_REFUSAL] = "SELECT id,at_ms,size,sender,recipient,client,client_name,helo,"
        "login,listener,tls,reply,rule,place,stage FROM refusal WHERE id=?1",
};
/* clang-format on */

static void read_left(sqlite3_stmt *st, enum annals_source s,
                      struct queue_told *r)
{
    int64_t status = column_number(st, 18);

    r->message = (uint64_t)column_number(st, 2);
    r->received_ms = column_number(st, 3);
    r->size_bytes = (uint64_t)column_number(st, 4);
    r->sender = column_span(st, 5);
    r->recipient = column_span(st, 6);
    r->client = column_span(st, 7);
    r->client_name = column_span(st, 8);
    r->helo = column_span(st, 9);
    r->login = column_span(st, 10);
    r->listener = column_span(st, 11);
    r->protocol = column_span(st, 12);
    r->message_id = column_span(st, 13);
    r->reply = column_span(st, 14);
    r->host = column_span(st, 15);
    r->tls = column_span(st, 16);
    r->what = annals_what(s, column_number(st, 17), r->reply);
    r->status = STATUS((unsigned char)(status / 1000000),
                       (unsigned short)(status / 1000 % 1000),
                       (unsigned short)(status % 1000));
    r->attempts = (uint32_t)column_number(st, 19);
    r->in_doubt = column_number(st, 20) != 0;
    for (int i = 0; i < 4; i++)
        r->delay_ms[i] = column_number(st, 21 + i);
    r->trail = column_span(st, 25);
    r->dialogue = column_span(st, 26);
    r->who = column_span(st, 27);
    if (s == SOURCE_EVENT)
        queue_ruling_read(column_span(st, 28), &r->ruling);
    else
        r->ruling =
            (struct queue_ruling){ column_span(st, 28), column_span(st, 29),
                                   column_span(st, 30), column_span(st, 31),
                                   column_span(st, 32), column_span(st, 33) };
}

static void read_refusal(sqlite3_stmt *st, struct queue_told *r)
{
    r->size_bytes = (uint64_t)column_number(st, 2);
    r->sender = column_span(st, 3);
    r->recipient = column_span(st, 4);
    r->client = column_span(st, 5);
    r->client_name = column_span(st, 6);
    r->helo = column_span(st, 7);
    r->login = column_span(st, 8);
    r->listener = column_span(st, 9);
    r->tls = column_span(st, 10);
    r->reply = column_span(st, 11);
    r->ruling.rule = column_span(st, 12);
    r->ruling.place = column_span(st, 13);
    r->stage = column_span(st, 14);
    r->what = annals_what(SOURCE_REFUSAL, 0, r->reply);
}

int annals_row(struct annals *a, enum annals_source s, int64_t id,
               struct queue_told *out)
{
    struct database *d = annals_database(a, s);
    int rc = SQLITE_OK;

    if (!a->row[s])
        rc = sqlite3_prepare_v3(d->db, texts[s], -1, SQLITE_PREPARE_PERSISTENT,
                                &a->row[s], NULL);
    if (rc == SQLITE_OK) {
        bind_number(a->row[s], 1, id);
        rc = sqlite3_step(a->row[s]);
    }
    if (rc != SQLITE_ROW) {
        rc = rc == SQLITE_DONE ? ERROR_GONE : database_fail(d, rc);
        annals_row_done(a, s);
        return rc;
    }
    *out = (struct queue_told){
        .place = { column_number(a->row[s], 1), id, s },
    };
    if (s == SOURCE_REFUSAL)
        read_refusal(a->row[s], out);
    else
        read_left(a->row[s], s, out);
    /* what is of an order stands where a client's would */
    if (out->what == WHAT_CHANGED && !out->who.len) {
        out->who = out->login;
        out->login = SPAN("");
    }
    return 0;
}

void annals_row_done(struct annals *a, enum annals_source s)
{
    (void)sqlite3_reset(a->row[s]);
}
