/*
 * ask - a question to the running relay, over its admin socket.
 */
#ifndef WAYPOST_ASK_H
#define WAYPOST_ASK_H

#include "policy/vocabulary/buffer.h"

#include <jansson.h>

struct ask;

/* One JSON object of a streamed answer; false: enough. */
typedef bool ask_fn(void *user, const json_t *object);

/* socket: path of the relay's admin socket. */
struct ask *ask_new(struct span socket);
void ask_free(struct ask *a);

/* Does a relay listen there? Nothing is printed. */
bool ask_is_there(const struct ask *a);
/* May we not know, because its socket is not for us? */
bool ask_is_forbidden(const struct ask *a);

/* The next questions may take long: a terminal sees this text until something is heard. It is
 * borrowed; NULL: none. */
void ask_patience(struct ask *a, const char *text);

/* Adds ?key=value to the next question. */
void ask_add(struct ask *a, const char *key, const char *value);

/*
 * Asks and hands out each object of the answer as it arrives; what is printed of it is flushed
 * then, and when the answer is long this process lowers its priority. body NULL: GET,
 * else POST. Answers an exit code: 0; EX_UNAVAILABLE with no relay there, EX_NOPERM,
 * EX_TEMPFAIL, EX_USAGE for a refused question, EX_NOINPUT for what is not
 * there; one sentence has then been printed on standard error. The question's
 * parameters are forgotten.
 */
int ask_stream(struct ask *a, const char *path, const json_t *body,
               ask_fn *each, void *user);

/* Lines as they are, without their ends, where they are only to be passed on. */
typedef bool ask_bytes_fn(void *user, struct span bytes);
int ask_lines(struct ask *a, const char *path, ask_bytes_fn *each, void *user);

/* A stream of server-sent events; event: "message" where it has no name. Ends with EX_TEMPFAIL
 * when the relay ends it. */
typedef bool ask_event_fn(void *user, const char *event, const json_t *object);
int ask_events(struct ask *a, const char *path, ask_event_fn *each, void *user);

/* The same for an answer of one object, which the caller lets go of. */
int ask_one(struct ask *a, const char *path, const json_t *body,
            json_t **out_answer);

/* The same of bytes as they are, in pieces; an answer that breaks off is an error. */
int ask_bytes(struct ask *a, const char *path, const json_t *body,
              ask_bytes_fn *each, void *user);

#endif
