/*
 * fence - the files of this machine that can still be reached (landlock(7)).
 *
 * By the kernel's numbers: what the C library's headers know of it is older than most
 * kernels.
 */
#include "relay/main/fence.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The same on all architectures. */
enum {
    CREATE_RULESET = 444,
    ADD_RULE = 445,
    RESTRICT_SELF = 446,
    ASK_VERSION = 1,
    PATH_BENEATH = 1,
    VERSION_LEAST = 2, /* before, nothing may be moved from folder to folder */
    VERSION_TRUNCATE = 3,
};

enum {
    FENCE_EXECUTE = 1 << 0,
    FENCE_WRITE_FILE = 1 << 1,
    FENCE_READ_FILE = 1 << 2,
    FENCE_READ_DIR = 1 << 3,
    FENCE_REMOVE_DIR = 1 << 4,
    FENCE_REMOVE_FILE = 1 << 5,
    FENCE_MAKE_CHAR = 1 << 6,
    FENCE_MAKE_DIR = 1 << 7,
    FENCE_MAKE_REG = 1 << 8,
    FENCE_MAKE_SOCK = 1 << 9,
    FENCE_MAKE_FIFO = 1 << 10,
    FENCE_MAKE_BLOCK = 1 << 11,
    FENCE_MAKE_SYM = 1 << 12,
    FENCE_REFER = 1 << 13, /* move to another folder */
    FENCE_TRUNCATE = 1 << 14,

    FENCE_ALL = (1 << 15) - 1,
    FENCE_READ = FENCE_READ_FILE | FENCE_READ_DIR,
    FENCE_WRITE = FENCE_READ | FENCE_WRITE_FILE | FENCE_REMOVE_DIR |
                  FENCE_REMOVE_FILE | FENCE_MAKE_DIR | FENCE_MAKE_REG |
                  FENCE_MAKE_SOCK | FENCE_MAKE_FIFO | FENCE_MAKE_SYM |
                  FENCE_REFER | FENCE_TRUNCATE,
    FENCE_OF_A_FILE =
        FENCE_EXECUTE | FENCE_WRITE_FILE | FENCE_READ_FILE | FENCE_TRUNCATE,
};

struct ruleset {
    uint64_t handled;
};

struct beneath {
    uint64_t allowed;
    int32_t parent_fd;
} __attribute__((packed));

static uint64_t known(const struct fence *f, uint64_t rights)
{
    return f->version < VERSION_TRUNCATE ? rights & ~(uint64_t)FENCE_TRUNCATE
                                         : rights;
}

int fence_open(struct fence *f)
{
    struct ruleset r;
    long n = syscall(CREATE_RULESET, NULL, 0, ASK_VERSION);

    *f = (struct fence){ .fd = -1 };
    if (n < 0)
        return -errno;
    if (n < VERSION_LEAST)
        return -ENOSYS;
    f->version = (unsigned)n;
    r.handled = known(f, FENCE_ALL);
    n = syscall(CREATE_RULESET, &r, sizeof r, 0);
    if (n < 0)
        return -errno;
    f->fd = (int)n;
    return 0;
}

int fence_allow(struct fence *f, const char *path, bool writes)
{
    struct beneath rule = { known(f, writes ? FENCE_WRITE : FENCE_READ),
                            open(path, O_PATH | O_CLOEXEC) };
    struct stat st;
    int rc = 0;

    if (rule.parent_fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0
                                                                      : -errno;
    if (fstat(rule.parent_fd, &st) < 0)
        rc = -errno;
    else if (!S_ISDIR(st.st_mode))
        rule.allowed &= FENCE_OF_A_FILE;
    if (rc == 0 && syscall(ADD_RULE, f->fd, PATH_BENEATH, &rule, 0) < 0)
        rc = -errno;
    (void)close(rule.parent_fd);
    return rc;
}

int fence_close(struct fence *f)
{
    int rc = syscall(RESTRICT_SELF, f->fd, 0) < 0 ? -errno : 0;

    fence_fini(f);
    return rc;
}

void fence_fini(struct fence *f)
{
    if (f->fd >= 0)
        (void)close(f->fd);
    f->fd = -1;
}
