/*
 * weburl - addresses of servers that are sent secrets.
 */
#include "relay/outbound/weburl.h"

#include "policy/vocabulary/network.h"

#include <curl/curl.h>
#include <stdlib.h>

static bool is_loopback(const char *host)
{
    struct span s = span_of(host);
    struct host_address a;

    if (span_is_nocase(s, SPAN("localhost")))
        return true;
    if (s.len > 2 && s.at[0] == '[' && s.at[s.len - 1] == ']')
        s = span_make(s.at + 1, s.len - 2);
    return host_address_parse(s, &a) && host_address_is_loopback(&a);
}

static int judge_parts(const char *scheme, const char *host, const char *user,
                       const char *key, struct buffer *why)
{
    if (user) {
        buffer_printf(why, "%s has a user in it", key);
        return ERROR_CONFIG;
    }
    if (strcmp(scheme, "https") == 0 ||
        (strcmp(scheme, "http") == 0 && is_loopback(host)))
        return 0;
    buffer_printf(why, "%s is not https: a secret is sent there", key);
    return ERROR_CONFIG;
}

static char *part_of(CURLU *u, CURLUPart which)
{
    char *text = NULL;

    return curl_url_get(u, which, &text, 0) == CURLUE_OK ? text : NULL;
}

static CURLU *parse(struct span url)
{
    CURLU *u = curl_url();
    char *text = span_dup(url);

    ASSERT(u);
    if (curl_url_set(u, CURLUPART_URL, text, 0) != CURLUE_OK) {
        curl_url_cleanup(u);
        u = NULL;
    }
    free(text);
    return u;
}

int weburl_check(struct span url, const char *key, struct buffer *why)
{
    CURLU *u = parse(url);
    char *scheme, *host, *user;
    int rc;

    if (!u) {
        buffer_printf(why, "%s is not the address of a server", key);
        return ERROR_CONFIG;
    }
    scheme = part_of(u, CURLUPART_SCHEME);
    host = part_of(u, CURLUPART_HOST);
    user = part_of(u, CURLUPART_USER);
    rc = judge_parts(scheme ? scheme : "", host ? host : "", user, key, why);
    curl_free(scheme);
    curl_free(host);
    curl_free(user);
    curl_url_cleanup(u);
    return rc;
}

void weburl_put_host(struct buffer *b, struct span url)
{
    CURLU *u = parse(url);
    char *host = u ? part_of(u, CURLUPART_HOST) : NULL;

    buffer_put_escaped(b, host ? span_of(host) : SPAN("?"));
    curl_free(host);
    curl_url_cleanup(u);
}
