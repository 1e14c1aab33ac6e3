/*
 * password_cache - who was right a moment ago?
 *
 * Clients log in for each message; a hash for each would cost more than the mail. What is
 * kept is a digest of login and password under a key that nobody else has and that dies
 * with the cache. Only successes; for a minute; at most PASSWORD_CACHE_MOST. Any thread.
 */
#ifndef WAYPOST_PASSWORD_CACHE_H
#define WAYPOST_PASSWORD_CACHE_H

#include "policy/vocabulary/span.h"

enum { PASSWORD_CACHE_MOST = 1024, PASSWORD_CACHE_MS = 60 * 1000 };

struct password_cache;

struct password_cache *password_cache_new(void);
void password_cache_free(struct password_cache *take_c);
bool password_cache_has(struct password_cache *c, struct span login,
                        struct span password, int64_t now_ms);
void password_cache_put(struct password_cache *c, struct span login,
                        struct span password, int64_t now_ms);

#endif
