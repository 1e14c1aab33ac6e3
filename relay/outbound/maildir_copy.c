/*
 * maildir_copy - one message, written into one maildir.
 *
 * The folder is entered component by component, each below the one before, so that no
 * length of path matters and each failure has a place.
 */
#include "relay/outbound/maildir_copy.h"

#include "policy/vocabulary/error.h"
#include "policy/vocabulary/id.h"
#include "relay/net/worker.h"
#include "relay/outbound/maildir_path.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OUT_MOST = 64 * 1024, HOST_MOST = 100, ENTER = O_PATH | O_DIRECTORY };

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

/* ------------------------------------------------------------ trouble ---- */

/* errno is why. */
static bool trouble(struct maildir_copy *c, const char *doing, const char *what)
{
    c->rc = -errno;
    c->state = MAILDIR_TROUBLE;
    buffer_clear(&c->doing);
    buffer_printf(&c->doing, "%s ", doing);
    buffer_put_escaped(&c->doing, span_of(what));
    return false;
}

struct status maildir_copy_status(const struct maildir_copy *c)
{
    switch (-c->rc) {
    case ENOSPC:
        return STATUS(4, 3, 1);
    case EDQUOT:
        return STATUS(4, 2, 2);
    case EACCES:
    case EPERM:
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
        return c->is_in_box ? STATUS(4, 2, 0) : STATUS(4, 3, 0);
    default:
        return STATUS(4, 3, 0);
    }
}

void maildir_copy_words(const struct maildir_copy *c, struct buffer *out)
{
    buffer_put_string(out, "cannot ");
    buffer_put(out, buffer_span(&c->doing));
    buffer_printf(out, ": %s", error_text(c->rc));
}

/* ------------------------------------------------------------- folders ---- */

static int sync_folder(int at)
{
    int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : fsync(fd);

    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* Somebody else may be making it at the same time. */
static int make_folder(int at, const char *name)
{
    return mkdirat(at, name, 0700) < 0 && errno != EEXIST ? -1 : 0;
}

static int make_and_enter(int at, const char *name)
{
    if (make_folder(at, name) < 0 || sync_folder(at) < 0)
        return -1;
    return openat(at, name, ENTER | O_CLOEXEC);
}

/* No folder of this name is there, or can be. */
static bool is_absent(int error)
{
    return error == ENOENT || error == ENAMETOOLONG || error == EILSEQ;
}

/* "/srv/mail": up to the component where it failed. */
static void name_place(const struct maildir_path *path, size_t last,
                       struct buffer *out)
{
    for (size_t i = 0; i <= last; i++) {
        buffer_put_byte(out, '/');
        buffer_put_string(out, path->components[i].name);
    }
}

/* The user's folder; a negative number where it cannot be entered. */
static int enter(struct maildir_copy *c, const struct maildir_path *path)
{
    int at = open("/", ENTER | O_CLOEXEC);
    struct buffer place = { 0 };

    c->is_in_box = false;
    for (size_t i = 0; at >= 0 && i < path->count; i++) {
        const char *name = path->components[i].name;
        enum maildir_part part = path->components[i].part;
        int next = openat(at, name, ENTER | O_CLOEXEC);

        c->is_in_box = part != MAILDIR_BASE;
        if (next < 0 && part == MAILDIR_BELOW && errno == ENOENT)
            next = make_and_enter(at, name);
        if (next < 0 && part == MAILDIR_USER && is_absent(errno)) {
            c->state = MAILDIR_NO_USER;
        } else if (next < 0) {
            int saved = errno;

            name_place(path, i, &place);
            errno = saved;
            (void)trouble(c, "open", buffer_string(&place));
        }
        (void)close(at);
        at = next;
    }
    buffer_fini(&place);
    return at;
}

/* By the name as it was written, then by that in lower case. */
static int find_box(struct maildir_copy *c, const struct maildir_letter *l)
{
    struct arena a = { 0 };
    struct maildir_path path;
    int box = -1;

    for (int n = MAILDIR_AS_WRITTEN; box < 0 && n <= MAILDIR_LOWER; n++) {
        c->state = MAILDIR_NONE;
        if (maildir_path_make(&a, l->path, l->recipient, (enum maildir_case)n,
                              &path))
            box = enter(c, &path);
        else
            c->state = MAILDIR_NO_USER;
        if (c->state == MAILDIR_TROUBLE)
            break;
    }
    arena_reset(&a);
    return box;
}

/* What a maildir has, in the order that leaves it whole once `new` is there. */
static bool make_box(struct maildir_copy *c, int box)
{
    static const char *const names[] = { "tmp", "cur", "new" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (make_folder(box, names[i]) < 0)
            return trouble(c, "make folder", names[i]);
    return sync_folder(box) == 0 || trouble(c, "make", "the maildir durable");
}

static bool open_folders(struct maildir_copy *c, int box)
{
    static const int how = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

    c->new_fd = openat(box, "new", how);
    c->tmp_fd = c->new_fd < 0 ? -1 : openat(box, "tmp", ENTER | O_CLOEXEC);
    if (c->tmp_fd < 0 && errno == ENOENT) {
        close_fd(&c->new_fd);
        if (!make_box(c, box))
            return false;
        c->new_fd = openat(box, "new", how);
        c->tmp_fd = c->new_fd < 0 ? -1 : openat(box, "tmp", ENTER | O_CLOEXEC);
    }
    return c->tmp_fd >= 0 ||
           trouble(c, "open folder", c->new_fd < 0 ? "new" : "tmp");
}

/* ---------------------------------------------------------------- file ---- */

static bool flush(struct maildir_copy *c)
{
    struct span rest = buffer_span(&c->out);

    while (rest.len) {
        ssize_t n = write(c->fd, rest.at, rest.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n == 0 ? ENOSPC : errno;
            return trouble(c, "write", "the message");
        }
        rest = span_skip(rest, (size_t)n);
    }
    buffer_clear(&c->out);
    return true;
}

/* Of a stranger; a line end in it would be a header of his own. */
static void put_header(struct buffer *b, const char *name, struct span value,
                       const char *end)
{
    buffer_put_string(b, name);
    for (size_t i = 0; i < value.len; i++) {
        unsigned char byte = (unsigned char)value.at[i];

        buffer_put_byte(b, byte < ' ' || byte == 0x7f ? '?' : value.at[i]);
    }
    buffer_put_string(b, end);
}

/* ".relay.example.org": without what has a meaning in such names. */
static void put_host(struct buffer *b, struct span hostname)
{
    hostname = span_first(hostname, HOST_MOST);
    buffer_put_byte(b, '.');
    for (size_t i = 0; i < hostname.len; i++) {
        if (hostname.at[i] == '/' || hostname.at[i] == ':')
            buffer_put_string(b, hostname.at[i] == '/' ? "\\057" : "\\072");
        else
            buffer_put_byte(b, hostname.at[i]);
    }
}

/* "1700000000.M000123P77" and what makes it unique where it is. */
static void put_moment(struct buffer *b)
{
    int64_t us = wall_us();

    buffer_printf(b, "%lld.M%06lldP%ld", (long long)(us / 1000000),
                  (long long)(us % 1000000), (long)getpid());
}

static bool create(struct maildir_copy *c, const struct maildir_letter *l)
{
    put_moment(&c->name);
    buffer_printf(&c->name, "Q%s", id_print(l->id).at);
    put_host(&c->name, l->hostname);
    c->fd = openat(c->tmp_fd, buffer_string(&c->name),
                   O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return c->fd >= 0 || trouble(c, "create", "a file in tmp");
}

static void close_all(struct maildir_copy *c)
{
    close_fd(&c->fd);
    close_fd(&c->new_fd);
    close_fd(&c->tmp_fd);
}

/* Nothing of it stays. */
static bool undo(struct maildir_copy *c)
{
    if (c->fd >= 0)
        (void)unlinkat(c->tmp_fd, buffer_string(&c->name), 0);
    close_all(c);
    return false;
}

bool maildir_copy_open(struct maildir_copy *c, const struct maildir_letter *l)
{
    int box;

    ASSERT(c->state == MAILDIR_NONE);
    c->fd = c->new_fd = c->tmp_fd = -1;
    c->hostname = l->hostname;
    box = find_box(c, l);
    if (box < 0)
        return false;
    if (open_folders(c, box) && create(c, l))
        c->state = MAILDIR_OPEN;
    (void)close(box);
    if (c->state != MAILDIR_OPEN)
        return undo(c);
    put_header(&c->out, "Return-Path: <", l->sender, ">\n");
    put_header(&c->out, "Delivered-To: ", l->recipient, "\n");
    return true;
}

bool maildir_copy_put(struct maildir_copy *c, struct span bytes)
{
    ASSERT(c->state == MAILDIR_OPEN);
    while (bytes.len) {
        size_t n = span_find(bytes, '\r');

        if (c->has_cr && bytes.at[0] != '\n')
            buffer_put_byte(&c->out, '\r');
        buffer_put(&c->out, span_first(bytes, n));
        c->has_cr = n < bytes.len;
        bytes = span_skip(bytes, n + c->has_cr);
        if (c->out.len >= OUT_MOST && !flush(c))
            return undo(c);
    }
    return true;
}

/* From tmp into new, under a name that no other file there can have. */
static bool move(struct maildir_copy *c)
{
    struct buffer name = { 0 };
    struct stat st;
    bool ok;

    if (fstat(c->fd, &st) < 0)
        return trouble(c, "look at", "the file in tmp");
    put_moment(&name);
    buffer_printf(&name, "V%llxI%llx", (unsigned long long)st.st_dev,
                  (unsigned long long)st.st_ino);
    put_host(&name, c->hostname);
    ok = renameat(c->tmp_fd, buffer_string(&c->name), c->new_fd,
                  buffer_string(&name)) == 0 ||
         trouble(c, "move the message", "to new");
    if (ok && fsync(c->new_fd) < 0) {
        ok = trouble(c, "make durable", "what is in new");
        (void)unlinkat(c->new_fd, buffer_string(&name), 0);
    }
    buffer_fini(&name);
    return ok;
}

bool maildir_copy_close(struct maildir_copy *c)
{
    ASSERT(c->state == MAILDIR_OPEN);
    if (c->has_cr)
        buffer_put_byte(&c->out, '\r');
    if (!flush(c))
        return undo(c);
    if (fsync(c->fd) < 0) {
        (void)trouble(c, "make durable", "the file in tmp");
        return undo(c);
    }
    if (!move(c))
        return undo(c);
    close_all(c);
    c->state = MAILDIR_DONE;
    return true;
}

void maildir_copy_fini(struct maildir_copy *c)
{
    if (c->state == MAILDIR_OPEN)
        (void)undo(c);
    buffer_fini(&c->name);
    buffer_fini(&c->out);
    buffer_fini(&c->doing);
    *c = (struct maildir_copy){ 0 };
}
