/*
 * session_atrn - a host without an address of its own fetches its mail. RFC 2645.
 *
 *   ATRN                       all that the login may have
 *   ATRN domain{,domain}       the mail for these
 *   TURN                       as ATRN without domains (RFC 821's own, without a
 *                              login, gave mail to whoever asked)
 *
 * Who may, and what waits, is asked of the world, which puts the mail aside. After
 * the 250 the session is over and the connection goes on the other way round: what
 * the client said before it read that can be no answer to us, so who does not wait
 * for it is cut off (RFC 2920 3.1).
 */
#include "relay/inbound/session_private.h"

#include "policy/vocabulary/address.h"

enum { DOMAINS_MOST = 64 };

/* The domains that were named, in one piece of memory. */
struct request {
    struct buffer text;
    size_t ends[DOMAINS_MOST];
    struct span domains[DOMAINS_MOST];
    size_t count;
};

bool session_atrn_is_offered(const struct session *s)
{
    return s->listener->turn;
}

static struct span domain_at(const struct request *r, size_t i)
{
    size_t begin = i ? r->ends[i - 1] : 0;

    return span_make(r->text.at + begin, r->ends[i] - begin);
}

static bool add_domain(struct request *r, struct span name)
{
    struct span folded;

    if (r->count == DOMAINS_MOST || !domain_is_valid(name, false) ||
        domain_fold(name, &r->text) < 0)
        return false;
    r->ends[r->count] = r->text.len;
    folded = domain_at(r, r->count);
    for (size_t i = 0; i < r->count; i++)
        if (span_is(domain_at(r, i), folded))
            return false;
    r->count++;
    return true;
}

static bool read_domains(struct request *r, struct span argument)
{
    struct span rest = argument;

    while (rest.len) {
        struct span name = span_split(rest, ',', &rest);

        if (!add_domain(r, name) || (rest.at && rest.len == 0))
            return false;
    }
    for (size_t i = 0; i < r->count; i++)
        r->domains[i] = domain_at(r, i);
    return true;
}

/* clang-format off */
/* Where the text is all that is said, the words are those of RFC 2645's example. */
static const struct reply answers[] = {
    [TURN_BEGINS]    = { 250, { 0 }, SPAN_INIT("OK now reversing the connection") },
    [TURN_EMPTY]     = { 453, { 0 }, SPAN_INIT("You have no mail") },
    [TURN_TAKEN]     = REPLY(450, 4, 2, 1, "ATRN request refused: not at the moment"),
    [TURN_REFUSED]   = REPLY(450, 4, 7, 1, "ATRN request refused"),
    [TURN_NOT_NOW]   = REPLY(451, 4, 3, 0, "Unable to process ATRN request now"),
    [TURN_NEEDS_TLS] = REPLY(530, 5, 7, 0, "Must issue a STARTTLS command first"),
};
/* clang-format on */

static void answer(struct session *s, enum session_turn_answer said,
                   int64_t now_ms)
{
    const struct reply *reply = &answers[said];

    if (said != TURN_BEGINS && said != TURN_EMPTY) {
        session_refuse(s, SESSION_COMMAND_REFUSED, reply);
        return;
    }
    reply_write(&s->output, reply);
    if (said == TURN_EMPTY) { /* no refusal, but not to be asked for ever */
        session_count_error(s);
        return;
    }
    s->deadline_ms = now_ms + s->settings->limits.silence_ms;
    session_move(s, AT_TURNING);
}

void session_atrn(struct session *s, const struct verb_call *call)
{
    struct facts facts = session_facts(s);
    struct request r = { 0 };

    if (!read_domains(&r, call->argument))
        session_refuse(s, SESSION_COMMAND_REFUSED,
                       &REPLY(501, 5, 5, 4, "Syntax: ATRN [domain{,domain}]"));
    else if (call->behind)
        session_hang_up(
            s, &REPLY(554, 5, 5, 0, "Error: SMTP protocol synchronization"));
    else
        answer(s,
               s->world->turn(s->world->user,
                              &(struct session_turn){ r.domains, r.count },
                              &facts),
               call->now_ms);
    buffer_fini(&r.text);
}
