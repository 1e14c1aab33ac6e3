/*
 * intake_receive - a connection whose roles were changed: the peer is the client now.
 *
 * Our side asked a provider for mail (ATRN) and was told 250. The connection goes on, under
 * the same TLS, with a session as any other: it greets, and the rules of the fetch's own
 * listener hold. Who asked is told what came when the connection is closed, once. RFC 2645
 * 5.2.1.
 */
#include "relay/inbound/intake_private.h"

void intake_receive(struct worker *w, struct incoming *take_i)
{
    struct intake *i = w->intake;
    const struct tls *tls = take_i->hand.tls;
    struct visit *v;

    i->count++;
    atomic_fetch_add(&w->sessions, 1);
    v = intake_begin(i, take_i->settings, take_i->listener, &take_i->provider,
                     &(struct session_client){
                         .tls = tls ? tls_facts(tls) : NULL });
    v->receipt = (struct receipt){ take_i->done, take_i->user, take_i->token };
    settings_release(take_i->settings);
    if (conn_take(&v->conn, w, &take_i->hand, &intake_pump_events, v) < 0)
        conn_close(&v->conn);
    intake_set_off(v);
}

/* Did the client say goodbye, and nobody else? */
static bool is_over(const struct session *s)
{
    return session_wants(s) == SESSION_CLOSES &&
           span_is(span_of(session_stage(s)), SPAN("QUIT"));
}

void intake_receive_tell(const struct visit *v)
{
    const struct session *s = v->session;

    if (v->receipt.done)
        v->receipt.done(v->receipt.user, v->receipt.token,
                        &(struct fetch_result){
                            .is_over = is_over(s),
                            .messages = session_messages(s),
                            .refused = session_mails(s) - session_messages(s),
                        });
}
