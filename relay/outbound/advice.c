/*
 * advice - what kind of trouble is it, and what can an administrator do?
 */
#include "relay/outbound/advice.h"

#include <errno.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define ANY         0xffff

/* clang-format off */
static const char *const words[FAILURES] = {
    [FAILURE_NONE] = "",
    [FAILURE_NAME] =
        "Name a domain, an address, or a destination as `waypost dest list` shows it.",
    [FAILURE_NO_ROUTE] =
        "Add a route for it, or a route \"*\"; `waypost check` shows what there is.",
    [FAILURE_TIME] =
        "The host may be very slow; the log tells what becomes of real deliveries.",
    [FAILURE_NO_DOMAIN] =
        "Is the name spelled rightly? If it is new, the resolver may remember for a while "
        "that it was not there.",
    [FAILURE_NO_DATA] =
        "The domain's owner has published no host for mail; a route can name one.",
    [FAILURE_UNSAFE] =
        "The domain points to loopback or the like; if a host inside is meant, name it in a "
        "route.",
    [FAILURE_OWN] =
        "The domain's mail exchanger is this host: add a route that says where its mail is "
        "kept.",
    [FAILURE_NULL_MX] =
        "Its owner wants no mail for it, ever: what waits can be deleted or returned.",
    [FAILURE_LOOKUP] =
        "Does the resolver work (`waypost selftest` tells)? With DNSSEC, broken signatures of the domain "
        "look like this, too.",
    [FAILURE_NO_HOST] = "Check `via` of the route.",
    [FAILURE_SECRET] =
        "Check the route's password-file or token settings: can the relay read them?",
    [FAILURE_ASSURANCE] =
        "The domain's owner wants its hosts checked, and what they are to be checked by is "
        "missing or contradicts itself: mail waits until that is mended, on the other side "
        "or at this host's resolver.",
    [FAILURE_CONNECT] = "Check the network between here and there.",
    [FAILURE_FORBIDDEN] =
        "The name leads to an address that mail by MX never goes to; name the host in a "
        "route if it is right.",
    [FAILURE_UNREACHABLE] =
        "There is no way to that address from here: check this host's network, and its IPv6 "
        "if that is meant.",
    [FAILURE_SILENT] =
        "Nothing answers at all: the host is down, or a firewall on the way drops what goes "
        "to this port. Many providers block port 25 going out.",
    [FAILURE_REFUSED] =
        "The host is there, but nothing listens on this port: is its mail server running, is "
        "the port right, or does a firewall refuse it?",
    [FAILURE_SOCKET_GONE] =
        "There is no such socket: is the program that makes it running?",
    [FAILURE_SOCKET_CLOSED] =
        "The socket cannot be used: is its program running, and may the relay's user open "
        "it?",
    [FAILURE_SESSION] = "The host broke off; its own log may say why.",
    [FAILURE_GREETING_SILENT] =
        "It takes the connection and says nothing: it is overloaded, or waits for TLS at "
        "once (smtps://).",
    [FAILURE_GREETING_LOST] =
        "It hangs up at once: perhaps it does not want this address as a client.",
    [FAILURE_GREETING_LATER] =
        "It wants no mail just now: too many connections, or it slows strangers down. Mail "
        "is tried again by itself.",
    [FAILURE_GREETING_NO] =
        "It refuses this host as a client: look for this host's address in block lists, at "
        "its name in the DNS, and ask the other side.",
    [FAILURE_NOT_SMTP] =
        "What answers there does not speak SMTP: check host and port.",
    [FAILURE_HELLO] =
        "It does not like how this host introduces itself: check `hostname`, and that the "
        "DNS knows it.",
    [FAILURE_TLS_MISSING] =
        "The route, or what the domain says of its hosts, demands TLS, and the host offers "
        "none: check the port, or whether something on the way takes STARTTLS out.",
    [FAILURE_TLS_REFUSED] =
        "The host offers STARTTLS and then refuses it; its own log should say why.",
    [FAILURE_TLS_BROKEN] =
        "The handshake fails: too old a TLS on the other side, or a port where something "
        "else is spoken (smtp:// where smtps:// is meant, or the reverse).",
    [FAILURE_CERTIFICATE] =
        "tls = verify refuses this certificate; the other side has to mend it, or the route "
        "be content with tls = required.",
    [FAILURE_CERTIFICATE_ISSUER] =
        "tls = verify trusts no authority that has signed it: add its authority to the file "
        "of tls { authorities }, or let the other side get a certificate that is known.",
    [FAILURE_CERTIFICATE_NAME] =
        "tls = verify wants the host's own name in it: use the name that it has in `via`, or "
        "set tls-name.",
    [FAILURE_CERTIFICATE_EARLY] =
        "It is not valid yet: is this host's clock right?",
    [FAILURE_CERTIFICATE_ENDED] =
        "Its time is over, and tls = verify refuses it: the other side has to renew it (and "
        "is this host's clock right?).",
    [FAILURE_CERTIFICATE_DANE] =
        "The host's TLSA records in the DNS name another key: somebody stands in between, or "
        "the other side has a new certificate and old records, which it has to mend.",
    [FAILURE_LOGIN_NEEDS_TLS] =
        "No password goes out in clear text: the host must offer TLS, or the route say "
        "tls = none.",
    [FAILURE_LOGIN_LATER] =
        "The host cannot check logins just now; it is tried again by itself.",
    [FAILURE_LOGIN] =
        "Check `user` and the password in password-file (or the token); providers often want "
        "a password made for this one program.",
    [FAILURE_FOLDER] =
        "The relay's user must be able to write there: check that the folder is there and "
        "whose it is.",
    [FAILURE_NO_USER] =
        "Nobody of that name has a folder: mail to this address is returned.",
    [FAILURE_SENDER] =
        "The host takes no mail from this sender; other senders may fare better (give one "
        "with --from).",
    [FAILURE_MAILBOX_LATER] =
        "The host asks to try this recipient again later (greylisting, a full mailbox): "
        "Waypost does.",
    [FAILURE_MAILBOX] =
        "The host wants no mail for this recipient: is the address right?",
};

static const struct { struct status status; enum failure failure; } names[] = {
    { { 5, 1, 10 }, FAILURE_NULL_MX },
    { { 5, 4, 6 },  FAILURE_OWN },
    { { 5, 1, 2 },  FAILURE_NO_DOMAIN },
    { { 5, 4, 4 },  FAILURE_NO_DATA },
};

static const struct { int rc; enum failure failure; } connects[] = {
    { ECONNREFUSED, FAILURE_REFUSED },
    { ETIMEDOUT,    FAILURE_SILENT },
    { EHOSTUNREACH, FAILURE_UNREACHABLE },
    { ENETUNREACH,  FAILURE_UNREACHABLE },
    { EADDRNOTAVAIL, FAILURE_UNREACHABLE },
    { EACCES,       FAILURE_FORBIDDEN },
    { ENOENT,       FAILURE_SOCKET_GONE },
    { EPERM,        FAILURE_SOCKET_CLOSED },
};

enum ending { ANYHOW, SAID_4, SAID_5, SILENT, LOST, NONSENSE };

/* The first that fits; a status of ANY fits all, and so does ANYHOW. */
static const struct session_row {
    enum client_stage stage;
    enum ending ending;
    unsigned subject, detail;       /* of the trouble's status */
    const char *says;               /* in its words; NULL: whatever it says */
    enum failure failure;
} sessions[] = {
    { STAGE_GREETING, SAID_4,   ANY, ANY, NULL, FAILURE_GREETING_LATER },
    { STAGE_GREETING, SAID_5,   ANY, ANY, NULL, FAILURE_GREETING_NO },
    { STAGE_GREETING, SILENT,   ANY, ANY, NULL, FAILURE_GREETING_SILENT },
    { STAGE_GREETING, NONSENSE, ANY, ANY, NULL, FAILURE_NOT_SMTP },
    { STAGE_GREETING, ANYHOW,   ANY, ANY, NULL, FAILURE_GREETING_LOST },
    { STAGE_HELO,     ANYHOW,   7,   4, "login", FAILURE_LOGIN_NEEDS_TLS },
    { STAGE_HELO,     ANYHOW,   7,   4, NULL, FAILURE_TLS_MISSING },
    { STAGE_HELO,     ANYHOW,   7,   8, NULL, FAILURE_LOGIN },
    { STAGE_HELO,     NONSENSE, ANY, ANY, NULL, FAILURE_NOT_SMTP },
    { STAGE_HELO,     ANYHOW,   ANY, ANY, NULL, FAILURE_HELLO },
    { STAGE_STARTTLS, ANYHOW,   7,   8, NULL, FAILURE_LOGIN },
    { STAGE_STARTTLS, ANYHOW,   ANY, ANY, NULL, FAILURE_TLS_REFUSED },
    { STAGE_TLS,      ANYHOW,   7,   5, "DANE TLSA", FAILURE_CERTIFICATE_DANE },
    { STAGE_TLS,      ANYHOW,   7,   5, "expired", FAILURE_CERTIFICATE_ENDED },
    { STAGE_TLS,      ANYHOW,   7,   5, "not yet valid", FAILURE_CERTIFICATE_EARLY },
    { STAGE_TLS,      ANYHOW,   7,   5, "is for", FAILURE_CERTIFICATE_NAME },
    { STAGE_TLS,      ANYHOW,   7,   5, "issuer", FAILURE_CERTIFICATE_ISSUER },
    { STAGE_TLS,      ANYHOW,   7,   5, "self", FAILURE_CERTIFICATE_ISSUER },
    { STAGE_TLS,      ANYHOW,   7,   5, NULL, FAILURE_CERTIFICATE },
    { STAGE_TLS,      ANYHOW,   ANY, ANY, NULL, FAILURE_TLS_BROKEN },
    { STAGE_AUTH,     SAID_4,   ANY, ANY, NULL, FAILURE_LOGIN_LATER },
    { STAGE_AUTH,     ANYHOW,   ANY, ANY, NULL, FAILURE_LOGIN },
};

/* What a stage's refusal means for who was asked about. */
static const struct {
    enum client_stage stage;
    bool is_final;
    enum failure failure;
} mailboxes[] = {
    { STAGE_MAIL, true,  FAILURE_SENDER },
    { STAGE_MAIL, false, FAILURE_MAILBOX_LATER },
    { STAGE_RCPT, true,  FAILURE_MAILBOX },
    { STAGE_RCPT, false, FAILURE_MAILBOX_LATER },
};
/* clang-format on */

enum failure advice_of_name(struct status status)
{
    for (size_t i = 0; i < ROWS(names); i++)
        if (names[i].status.class == status.class &&
            names[i].status.subject == status.subject &&
            names[i].status.detail == status.detail)
            return names[i].failure;
    return FAILURE_LOOKUP;
}

enum failure advice_of_connect(int rc)
{
    for (size_t i = 0; i < ROWS(connects); i++)
        if (connects[i].rc == -rc)
            return connects[i].failure;
    return FAILURE_CONNECT;
}

static bool says(struct span text, const char *what)
{
    struct span wanted = span_of(what);

    for (; text.len >= wanted.len; text = span_skip(text, 1))
        if (span_starts_nocase(text, wanted))
            return true;
    return false;
}

static enum ending ending_of(short code, const struct client_outcome *o)
{
    if (code >= 500)
        return SAID_5;
    if (code >= 400)
        return SAID_4;
    if (says(o->reply, "timed out"))
        return SILENT;
    return says(o->reply, "broke the protocol") ? NONSENSE : LOST;
}

enum failure advice_of_session(enum client_stage stage, short code,
                               const struct client_outcome *o)
{
    enum ending ending = ending_of(code, o);

    for (size_t i = 0; i < ROWS(sessions); i++) {
        const struct session_row *row = &sessions[i];

        if (row->stage == stage &&
            (row->ending == ANYHOW || row->ending == ending) &&
            (row->subject == ANY || (row->subject == o->status.subject &&
                                     row->detail == o->status.detail)) &&
            (!row->says || says(o->reply, row->says)))
            return row->failure;
    }
    return FAILURE_SESSION;
}

enum failure advice_of_mailbox(enum client_stage stage, short code,
                               const struct client_outcome *o)
{
    bool is_final = code >= 500;

    if (o->diagnosis == DIAGNOSIS_DELIVERED)
        return FAILURE_NONE;
    for (size_t i = 0; i < ROWS(mailboxes); i++)
        if (mailboxes[i].stage == stage && mailboxes[i].is_final == is_final)
            return mailboxes[i].failure;
    return FAILURE_SESSION;
}

const char *advice_words(enum failure f)
{
    return words[f];
}
