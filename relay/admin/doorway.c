/*
 * doorway - the unix socket by which people and programs of this machine come
 * in.
 *
 * Linux gives a bound socket's file the mode of the socket itself, so fchmod
 * before bind leaves no moment in which others could connect. unix(7).
 */
#include "relay/admin/doorway.h"

#include "policy/vocabulary/remedy.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 128 };

static int socket_new(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* Takes away a socket that nobody listens on. */
static int remove_stale(const struct sockaddr_un *at)
{
    struct stat st;
    int fd, rc;

    if (lstat(at->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode))
        return -EEXIST;
    fd = socket_new();
    if (fd < 0)
        return -errno;
    rc = connect(fd, (const struct sockaddr *)at, sizeof(*at)) < 0 ? -errno : 0;
    (void)close(fd);
    /* A full backlog (EAGAIN) is somebody there as well. */
    if (rc == 0 || rc == -EAGAIN)
        return -EADDRINUSE;
    if (rc != -ECONNREFUSED)
        return rc;
    return unlink(at->sun_path) < 0 ? -errno : 0;
}

static int listen_at(struct doorway *d, const struct sockaddr_un *at,
                     mode_t mode)
{
    struct stat st;

    d->fd = socket_new();
    if (d->fd < 0 || fchmod(d->fd, mode) < 0 ||
        bind(d->fd, (const struct sockaddr *)at, sizeof(*at)) < 0)
        return -errno;
    if (lstat(d->path, &st) < 0)
        return -errno;
    /* The umask has taken of what others were meant to have. */
    if ((st.st_mode & 0777) != mode && chmod(d->path, mode) < 0)
        return -errno;
    d->device = st.st_dev;
    d->inode = st.st_ino;
    return listen(d->fd, BACKLOG) < 0 ? -errno : 0;
}

int doorway_open(struct doorway *d, struct span path, struct buffer *out_why)
{
    static const struct doorway_kind admin = { "the admin socket", 0600 };

    return doorway_open_as(d, path, &admin, out_why);
}

int doorway_open_as(struct doorway *d, struct span path,
                    const struct doorway_kind *kind, struct buffer *out_why)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int rc;

    *d = (struct doorway){ .fd = -1 };
    if (path.len == 0 || path.len >= sizeof(at.sun_path)) {
        buffer_printf(out_why,
                      "the path of %s has %zu bytes; 1 to %zu "
                      "are possible",
                      kind->what, path.len, sizeof(at.sun_path) - 1);
        return -ENAMETOOLONG;
    }
    d->path = span_dup(path);
    memcpy(at.sun_path, path.at, path.len);
    rc = remove_stale(&at);
    if (rc == 0)
        rc = listen_at(d, &at, kind->mode);
    if (rc == 0)
        return 0;
    buffer_printf(out_why, "cannot listen on %s ", kind->what);
    buffer_put_escaped(out_why, path);
    if (rc == -EADDRINUSE)
        buffer_put_string(out_why, ": another relay answers there: stop it, or "
                                   "name another path");
    else if (rc == -EEXIST)
        buffer_put_string(out_why, ": there is a file that is no socket: move "
                                   "it away, or name another path");
    else
        remedy_put_writing(out_why, rc);
    doorway_fini(d);
    return rc;
}

void doorway_fini(struct doorway *d)
{
    struct stat st;

    if (d->fd >= 0)
        (void)close(d->fd);
    if (d->inode && lstat(d->path, &st) == 0 && st.st_dev == d->device &&
        st.st_ino == d->inode)
        (void)unlink(d->path);
    free(d->path);
    *d = (struct doorway){ .fd = -1 };
}

bool doorway_lets_in(int connected_fd, uid_t *out_uid)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(connected_fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return false;
    *out_uid = peer.uid;
    return peer.uid == 0 || peer.uid == geteuid();
}
