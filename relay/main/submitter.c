/*
 * submitter - our side of a conversation on the sendmail socket.
 */
#include "relay/main/submitter.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    ANSWER_MS = 5 * 60 * 1000, /* RFC 5321 4.5.3.2 */
    LINE_MOST = 64 * 1024,
    SENT_AT_ONCE = 64 * 1024,
};

void submitter_init(struct submitter *s, int fd)
{
    *s = (struct submitter){ .fd = fd };
}

void submitter_fini(struct submitter *s)
{
    buffer_fini(&s->in);
    buffer_fini(&s->reply);
}

int submitter_connect(struct span path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd, rc;

    if (path.len == 0 || path.len >= sizeof at.sun_path)
        return -ENAMETOOLONG;
    memcpy(at.sun_path, path.at, path.len);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&at, sizeof at) == 0)
        return fd;
    rc = -errno;
    (void)close(fd);
    return rc;
}

/* --------------------------------------------------------------- bytes ---- */

static int wait_for(int fd, short events)
{
    struct pollfd p = { .fd = fd, .events = events };
    int n;

    do {
        n = poll(&p, 1, ANSWER_MS);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n == 0 ? -ETIMEDOUT : 0;
}

static int send_all(struct submitter *s, struct span bytes)
{
    int rc = 0;

    while (rc == 0 && bytes.len) {
        ssize_t n =
            send(s->fd, bytes.at, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n >= 0)
            bytes = span_skip(bytes, (size_t)n);
        else if (errno == EAGAIN)
            rc = wait_for(s->fd, POLLOUT);
        else if (errno != EINTR)
            rc = -errno;
    }
    return rc;
}

static int read_more(struct submitter *s)
{
    char *room = buffer_room(&s->in, 4096);
    ssize_t n;
    int rc;

    if (!room || s->in.len > LINE_MOST)
        return ERROR_TOO_BIG;
    if ((rc = wait_for(s->fd, POLLIN)) < 0)
        return rc;
    n = read(s->fd, room, 4096);
    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    if (n == 0)
        return ERROR_GONE;
    buffer_grew(&s->in, (size_t)n);
    return 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* One line of a reply; the code, when it is the last one, else 0. */
static int take_line(struct submitter *s, struct span line)
{
    if (line.len && line.at[line.len - 1] == '\r')
        line.len--;
    if (line.len < 3 || !is_digit(line.at[0]) || !is_digit(line.at[1]) ||
        !is_digit(line.at[2]))
        return ERROR_PROTOCOL;
    if (s->reply.len == 0) {
        buffer_put(&s->reply, line);
        if (line.len > 3)
            s->reply.at[3] = ' ';
    } else if (s->reply.len < LINE_MOST) {
        buffer_put_byte(&s->reply, ' ');
        buffer_put(&s->reply, span_skip(line, 4));
    }
    if (line.len > 3 && line.at[3] == '-')
        return 0;
    return (line.at[0] - '0') * 100 + (line.at[1] - '0') * 10 +
           (line.at[2] - '0');
}

static int read_reply(struct submitter *s)
{
    int rc = 0;

    buffer_clear(&s->reply);
    while (rc == 0) {
        struct span all = buffer_span(&s->in);
        size_t n = span_find(all, '\n');

        if (n == all.len) {
            if ((rc = read_more(s)) < 0)
                return rc;
            continue;
        }
        rc = take_line(s, span_first(all, n));
        buffer_drop(&s->in, n + 1);
    }
    return rc;
}

/* ------------------------------------------------------------ commands ---- */

static int command(struct submitter *s, struct span verb, struct span path,
                   struct span parameters)
{
    struct buffer line = { 0 };
    int rc;

    buffer_put(&line, verb);
    buffer_put(&line, path);
    buffer_put(&line, parameters);
    buffer_put(&line, SPAN("\r\n"));
    rc = send_all(s, buffer_span(&line));
    buffer_fini(&line);
    return rc < 0 ? rc : read_reply(s);
}

int submitter_greet(struct submitter *s)
{
    int code = read_reply(s);

    if (code != 220)
        return code;
    return command(s, SPAN("EHLO localhost"), SPAN(""), SPAN(""));
}

void submitter_quit(struct submitter *s)
{
    (void)command(s, SPAN("QUIT"), SPAN(""), SPAN(""));
}

size_t submitter_count(const struct missive *m, enum missive_fate fate)
{
    size_t n = 0;

    for (size_t i = 0; i < m->count; i++)
        n += m->recipients[i].fate == fate;
    return n;
}

/* Too many, or one whose mail is to be another: not now, not together. RFC 5321 4.5.3.1.10 */
static enum missive_fate fate_of(const struct submitter *s, int code)
{
    if (code < 300)
        return MISSIVE_ACCEPTED;
    if (span_starts_nocase(buffer_span(&s->reply), SPAN("452 4.5.3")))
        return MISSIVE_PUT_OFF;
    return code < 500 ? MISSIVE_LATER : MISSIVE_REFUSED;
}

static void settle(struct submitter *s, struct missive *m,
                   struct missive_recipient *r, enum missive_fate fate)
{
    r->fate = fate;
    r->reply = arena_copy(&m->arena, buffer_span(&s->reply));
}

int submitter_envelope(struct submitter *s, struct missive *m)
{
    int code =
        command(s, SPAN("MAIL FROM:"), m->sender, m->parameters);
    int said = code;

    for (size_t i = 0; i < m->count && said > 0; i++) {
        struct missive_recipient *r = &m->recipients[i];

        if (r->fate != MISSIVE_WAITS && r->fate != MISSIVE_PUT_OFF)
            continue;
        if (code < 300)
            said =
                command(s, SPAN("RCPT TO:"), r->path, r->parameters);
        if (said > 0)
            settle(s, m, r, fate_of(s, said));
        if (said == 421)
            return said;
    }
    return said < 0 ? said : code;
}

/* ------------------------------------------------------------- content ---- */

/* Where the next line that begins with a dot does; all.len: there is none. */
static size_t next_dot(struct span all)
{
    const char *at = memmem(all.at, all.len, "\n.", 2);

    return at ? (size_t)(at - all.at) + 1 : all.len;
}

static int send_content(struct submitter *s, struct span rest)
{
    int rc = 0;

    if (rest.len && rest.at[0] == '.')
        rc = send_all(s, SPAN("."));
    while (rc == 0 && rest.len) {
        size_t n = next_dot(rest);

        rc = send_all(s, span_first(rest, n));
        rest = span_skip(rest, n);
        if (rc == 0 && rest.len)
            rc = send_all(
                s, SPAN(".")); /* and the dot itself comes with the rest */
    }
    return rc;
}

int submitter_content(struct submitter *s, struct missive *m,
                      bool *out_is_doubtful)
{
    int code = command(s, SPAN("DATA"), SPAN(""), SPAN(""));
    enum missive_fate fate;
    int rc;

    *out_is_doubtful = false;
    if (code == 354) {
        if ((rc = send_content(s, buffer_span(&m->content))) < 0)
            return rc;
        *out_is_doubtful = true;
        if ((rc = send_all(s, SPAN(".\r\n"))) < 0 || (rc = read_reply(s)) < 0)
            return rc;
        *out_is_doubtful = false;
        code = rc;
    }
    if (code < 0)
        return code;
    fate = code < 300   ? MISSIVE_SENT
           : code < 500 ? MISSIVE_LATER
                        : MISSIVE_REFUSED;
    for (size_t i = 0; i < m->count; i++)
        if (m->recipients[i].fate == MISSIVE_ACCEPTED)
            settle(s, m, &m->recipients[i], fate);
    return code;
}
