/*
 * intake_login - handshakes and logins of the sessions that want them.
 *
 * Material and desk are the worker's of this moment, so a reload serves the next
 * handshake and the next login; the sessions that had theirs go on.
 */
#include "relay/inbound/intake_private.h"
#include "relay/inbound/srskeys.h"

#include "relay/net/gauge.h"
#include "relay/net/log.h"

/* ---------------------------------------------------------------- TLS ---- */

/* The material is that of the worker's settings, which may be newer than ours. */
static bool find_index(const struct visit *v, size_t *out_index)
{
    const struct settings *now = v->intake->worker->settings;

    for (size_t i = 0; i < now->listener_count; i++)
        if (span_is(now->listeners[i].title, v->listener->title)) {
            *out_index = i;
            return true;
        }
    return false;
}

void intake_login_offer(const struct visit *v, struct session_client *c)
{
    const struct worker *w = v->intake->worker;

    c->has_tls = w->tls && v->listener->tls != LISTENER_TLS_NONE;
    c->mechanisms = w->sasl ? sasl_mechanisms(w->sasl) : 0;
    c->srs_secrets = srskeys_now(w->srs);
}

void intake_login_secure(struct visit *v)
{
    struct worker *w = v->intake->worker;
    struct tls *t = NULL;
    size_t index;

    if (w->tls && find_index(v, &index))
        t = tls_accept(w->tls, index, &v->client);
    v->is_securing = true;
    if (!t)
        v->trouble = SPAN("this listener has no certificate any more");
    else if (conn_start_tls(&v->conn, t))
        return;
    session_end_of_input(v->session, wall_ms());
    conn_close(&v->conn);
}

static void tell(const struct visit *v, const struct tls_facts *facts)
{
    struct buffer client = { 0 };

    gauge_tls(v->intake->worker->gauge, GAUGE_IN, facts->protocol,
              facts->trust);
    host_address_print(&client, session_client(v->session));
    log_put(&(struct log_line){ .event = LOG_TLS_IN,
                                .host = session_client_name(v->session),
                                .address = buffer_span(&client),
                                .tls = facts });
    buffer_fini(&client);
}

void intake_login_secured(struct visit *v)
{
    const struct tls_facts *facts = tls_facts(conn_tls(&v->conn));

    v->is_securing = false;
    tell(v, facts);
    if (session_wants(v->session) == SESSION_STARTS_TLS)
        session_secured(v->session, facts, wall_ms());
    intake_pump_attend(v);
}

void intake_login_trouble(struct visit *v, int rc)
{
    if (rc == ERROR_TLS)
        v->trouble = tls_trouble(conn_tls(&v->conn));
    else if (rc == ERROR_PROTOCOL)
        v->trouble = SPAN("more was sent in clear behind STARTTLS");
    else if (v->is_securing)
        v->trouble = span_of(error_text(rc));
}

/* -------------------------------------------------------------- logins ---- */

/* True: what it logged in by is no longer so, and it ends. */
static bool review(struct visit *v)
{
    struct sasl_desk *desk = v->intake->worker->sasl;
    struct span login = buffer_span(&v->login);

    if (!v->stamp || intake_pump_is_over(v) ||
        (desk && sasl_stamp(desk, login) == v->stamp))
        return false;
    log_text(LOG_NOTE,
             "a session of %.*s ends: the login was deleted, or its password "
             "changed",
             SPAN_FMT(login));
    v->stamp = 0;
    session_shut_down(v->session, SESSION_LOGIN_OVER, wall_ms());
    return true;
}

static void on_step(void *user, uint64_t token, const struct sasl_result *r)
{
    struct worker *w = user;
    struct visit *v = registry_find(&w->intake->registry, token);

    if (!v || !v->is_asking)
        return;
    v->is_asking = false;
    if (r->said != SASL_MORE)
        intake_login_drop(v);
    if (r->said == SASL_OK) {
        buffer_clear(&v->login);
        buffer_put(&v->login, r->login);
        v->stamp = r->stamp;
    }
    if (session_wants(v->session) == SESSION_AUTHENTICATES)
        session_authenticated(v->session, r, wall_ms());
    (void)review(v); /* the files may have changed while it was checked */
    intake_pump_go_on(v);
}

static void begin(struct visit *v, const struct session_login *l)
{
    struct worker *w = v->intake->worker;
    const struct tls *t = conn_tls(&v->conn);

    intake_login_drop(v);
    v->exchange = sasl_begin(
        w->sasl, w,
        &(struct sasl_question){ .mechanism = l->mechanism,
                                 .tls = t ? tls_facts(t) : NULL,
                                 .offered = l->offered,
                                 .client = *session_client(v->session),
                                 .hostname = v->settings->hostname },
        on_step, v->token);
}

void intake_login_ask(struct visit *v)
{
    const struct session_login *l = session_login(v->session);

    if (l->begins)
        begin(v, l);
    v->is_asking = true;
    sasl_step(v->exchange, l->has_response, l->response);
}

void intake_login_drop(struct visit *v)
{
    v->is_asking = false;
    if (v->exchange)
        sasl_drop(v->exchange);
    v->exchange = NULL;
}

void intake_review(struct intake *i)
{
    for (struct visit *v = i->visits, *next; v; v = next) {
        next = v->next;
        if (review(v))
            intake_pump_attend(v);
    }
}
