/*
 * profile - an account, copied out of its configuration.
 */
#include "relay/outbound/profile.h"

#include "policy/vocabulary/buffer.h"
#include "policy/vocabulary/memory.h"

#include <openssl/evp.h>
#include <stdlib.h>

/* Its length first, so that two fields never look like one. */
static void put_field(struct buffer *b, struct span s)
{
    uint64_t len = s.len;

    buffer_put(b, span_make((const char *)&len, sizeof len));
    buffer_put(b, s);
}

static void make_key(struct profile *p)
{
    const struct account *a = &p->account;
    const struct span fields[] = {
        a->user,      a->password_file,      a->token_url,
        a->client_id, a->client_secret_file, a->refresh_token_file,
        a->scope,
    };
    struct buffer b = { 0 };

    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        put_field(&b, fields[i]);
    for (size_t i = 0; i < a->token_command_count; i++)
        put_field(&b, a->token_command[i]);
    ASSERT(EVP_Digest(b.at, b.len, p->key, NULL, EVP_sha256(), NULL) == 1);
    buffer_fini(&b);
}

static struct span copy(struct profile *p, struct span s)
{
    return span_make(arena_string(&p->arena, s), s.len);
}

struct profile *profile_new(const struct account *a, struct span authorities)
{
    struct profile *p = NEW(struct profile);
    size_t count = a->token_command_count;

    p->authorities = copy(p, authorities);
    p->account = (struct account){
        .title = copy(p, a->title),
        .user = copy(p, a->user),
        .password_file = copy(p, a->password_file),
        .mechanisms = a->mechanisms,
        .token_url = copy(p, a->token_url),
        .client_id = copy(p, a->client_id),
        .client_secret_file = copy(p, a->client_secret_file),
        .scope = copy(p, a->scope),
        .refresh_token_file = copy(p, a->refresh_token_file),
        .token_command_count = count,
    };
    if (count)
        p->account.token_command =
            arena_take(&p->arena, count * sizeof(struct span));
    for (size_t i = 0; i < count; i++)
        p->account.token_command[i] = copy(p, a->token_command[i]);
    make_key(p);
    return p;
}

void profile_free(struct profile *p)
{
    if (!p)
        return;
    arena_reset(&p->arena);
    free(p);
}

void profile_put_name(struct buffer *b, const struct profile *p)
{
    const struct account *a = &p->account;

    if (a->title.len)
        buffer_put(b, a->title);
    else if (a->user.len)
        buffer_put(b, a->user);
    else
        buffer_put_string(b, "account");
}
