/*
 * login - what we say to a next hop to log in.
 *
 * One AUTH command's exchange, bytes in and bytes out. The caller puts the lines
 * and reads the replies:
 *
 *   login_choose -> login_new -> login_initial -> (334) login_answer ... -> (235)
 *                                                             login_is_complete
 *
 * What goes over the wire is base64, both ways. A server that knows a verifier
 * must prove it (SCRAM): without its signature a 235 is worth nothing. All copies
 * of the secret are wiped by login_free. SCRAM and CRAM-MD5 are libgsasl's. RFC
 * 4422, 4616, 4954, 5802, 7677, 7628, 9266, 2195; Google's and Microsoft's
 * XOAUTH2; draft-murchison-sasl-login.
 */
#ifndef WAYPOST_LOGIN_H
#define WAYPOST_LOGIN_H

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/mechanism.h"
#include "relay/outbound/client.h"

struct login;

/*
 * The best mechanism that the peer offers, the options allow and the secret fits;
 * 0: there is none. facts: NULL in clear text; whether a login is allowed there at
 * all is the caller's question.
 */
unsigned login_choose(const struct client_options *o, unsigned offered,
                      const struct tls_facts *facts);

/* NULL: the mechanism cannot be begun (libgsasl does not like the words). o (with a
 * login that is not empty, but for EXTERNAL) and facts are borrowed for the login's life. */
struct login *login_new(unsigned mechanism, const struct client_options *o,
                        const struct tls_facts *facts);
void login_free(struct login *take_l);
unsigned login_mechanism(const struct login *l);

/* The initial response, for the AUTH line or the line after its 334, and valid
 * until login_answer; at == NULL: the mechanism has none. */
struct span login_initial(const struct login *l);
/* The line that answers a 334 into out, without CRLF. False: the challenge makes no
 * sense; the exchange is to be cancelled. */
bool login_answer(struct login *l, struct span challenge, struct buffer *out);
/*
 * The same in three steps, for an answer that is slow (SCRAM derives a key by hashing
 * thousands of times, the peer says how often): it is asked, computed, told. Computing
 * may be done on ANY THREAD by who owns the login then: it touches nothing borrowed.
 */
bool login_is_slow(const struct login *l);
MUST bool login_ask(struct login *l, struct span challenge);
void login_compute(struct login *l);
bool login_tell(struct login *l, struct buffer *out);
/* May a 235 be believed now? */
bool login_is_complete(const struct login *l);
/* Does this text of the peer's show what we sent? Then nobody may see it. */
bool login_is_told_by(const struct login *l, struct span text);

#endif
