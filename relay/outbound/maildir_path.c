/*
 * maildir_path - which folder is meant by an address?
 */
#include "relay/outbound/maildir_path.h"

#include "policy/vocabulary/address.h"
#include "policy/vocabulary/limits.h"
#include "policy/vocabulary/utf8.h"

#include <limits.h>

struct filling {
    struct buffer user, domain;
};

/* The quotes are not part of the name: "a b"@c is for a b. RFC 5321 4.1.2 */
static void put_local(struct buffer *b, struct span local,
                      enum maildir_case spelling)
{
    bool is_quoted = local.len > 1 && local.at[0] == '"';

    for (size_t i = is_quoted; i < local.len - is_quoted; i++) {
        if (is_quoted && local.at[i] == '\\' && i + 1 < local.len - 1)
            i++;
        buffer_put_byte(b, spelling == MAILDIR_LOWER ? ascii_lower(local.at[i])
                                                     : local.at[i]);
    }
}

/* Safe inside a file's name, and for people's eyes. */
static bool is_safe(struct span s)
{
    if (s.len == 0 || s.at[0] == '.' || span_find(s, '/') < s.len)
        return false;
    while (s.len) {
        size_t n = utf8_is_showable(s);

        if (n == 0)
            return false;
        s = span_skip(s, n);
    }
    return true;
}

/* One component; false: it cannot be a name. */
static bool fill(struct buffer *out, struct span text, const struct filling *f,
                 bool *out_has_user, bool *out_has_any)
{
    for (size_t i = 0; i < text.len; i++) {
        char next = i + 1 < text.len ? text.at[i + 1] : 0;
        bool is_user = text.at[i] == '%' && next == 'u';

        if (is_user || (text.at[i] == '%' && next == 'd')) {
            struct span s = buffer_span(is_user ? &f->user : &f->domain);

            if (!is_safe(s))
                return false;
            buffer_put(out, s);
            *out_has_user |= is_user;
            *out_has_any = true;
            i++;
            continue;
        }
        if (text.at[i] == '%' && next == '%')
            i++;
        buffer_put_byte(out, text.at[i]);
    }
    return out->len <= NAME_MAX;
}

static bool fill_all(struct arena *a, struct span template,
                     const struct filling *f, struct maildir_path *out)
{
    size_t user_at = SIZE_MAX, last_at = 0;
    struct buffer name = { 0 };
    bool ok = true;

    out->count = 0;
    out->components =
        arena_take(a, (template.len + 1) * sizeof *out->components);
    while (ok && template.at) {
        struct span text = span_split(template, '/', &template);
        bool has_user = false, has_any = false;

        if (text.len == 0)
            continue;
        buffer_clear(&name);
        ok = fill(&name, text, f, &has_user, &has_any);
        if (has_user && user_at == SIZE_MAX)
            user_at = out->count;
        if (has_any)
            last_at = out->count;
        out->components[out->count++].name =
            arena_string(a, buffer_span(&name));
    }
    for (size_t i = 0; i < out->count; i++)
        out->components[i].part = i < user_at    ? MAILDIR_BASE
                                  : i <= last_at ? MAILDIR_USER
                                                 : MAILDIR_BELOW;
    buffer_fini(&name);
    return ok;
}

bool maildir_path_make(struct arena *a, struct span template,
                       struct span address, enum maildir_case spelling,
                       struct maildir_path *out_path)
{
    struct filling f = { 0 };
    struct address parsed;
    bool ok = address_parse(address, &parsed) == ADDRESS_OK;

    if (ok) {
        put_local(&f.user, parsed.local, spelling);
        ok = domain_fold(parsed.domain, &f.domain) == 0 &&
             fill_all(a, template, &f, out_path);
    }
    buffer_fini(&f.user);
    buffer_fini(&f.domain);
    return ok;
}
