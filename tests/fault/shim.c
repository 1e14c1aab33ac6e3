/*
 * shim - a disk that can fail, put under a program with LD_PRELOAD.
 *
 * Everything done to files below FAULTS_FOLDER is noted in a journal, writes
 * with their data, so that power.py can work out afterwards what a disk would
 * have kept had the power gone at any moment: what was not fsynced by then is
 * gone. FAULTS_CONTROL is a small shared file through which a test makes things
 * fail:
 *
 *   sync_fails_in   n: the n-th fsync or fdatasync from now fails with EIO,
 * once budget          bytes by which files may still grow; -1: no limit. What
 * does not fit fails with ENOSPC, also in statvfs when statvfs_tells is set.
 *
 * A record is written in one piece under the same lock as the call it notes; a
 * sync has one at its begin (what was written by then is covered) and one at
 * its end (from then on it is durable). Memory mappings are not seen: SQLite's
 * -shm, the only one, is worth nothing after a crash.
 */
/* Both names of each call are defined here; the headers must not join them. */
#undef _FILE_OFFSET_BITS
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { FILES_MOST = 65536, MAGIC = 0x4a524e4c };

enum op {
    OP_CREATE = 1, /* name */
    OP_WRITE,      /* data at offset */
    OP_SIZE,       /* new length in offset */
    OP_SYNC_BEGIN, /* name; its own number in offset, as in the next two */
    OP_SYNC_END,
    OP_SYNC_FAIL,
    OP_UNLINK, /* name */
    OP_RENAME, /* old name NUL new name */
    OP_LINK,   /* one more name */
};

struct record {
    uint32_t magic, op;
    uint64_t when_ns, file;
    int64_t offset;
    uint64_t len;
};

struct control {
    _Atomic int64_t sync_fails_in;
    _Atomic int64_t budget;
    _Atomic int64_t statvfs_tells;
    _Atomic uint64_t syncs, sync_failures, refusals;
};

static struct {
    char folder[PATH_MAX];
    size_t folder_len;
    int journal;
    struct control *control;
    pthread_mutex_t lock;
    struct {
        uint64_t file; /* inode; 0: not ours */
        char *name;
    } files[FILES_MOST];
} shim = { .journal = -1, .lock = PTHREAD_MUTEX_INITIALIZER };

#define REAL(name, type, ...)                                                  \
    static type (*real_##name)(__VA_ARGS__);                                   \
    if (!real_##name)                                                          \
    real_##name = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static int raw_open(const char *path, int flags)
{
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0644);
}

__attribute__((constructor)) static void shim_begin(void)
{
    const char *folder = getenv("FAULTS_FOLDER");
    const char *journal = getenv("FAULTS_JOURNAL");
    const char *control = getenv("FAULTS_CONTROL");
    int fd;

    if (!folder || !control || strlen(folder) >= sizeof(shim.folder))
        return;
    fd = raw_open(control, O_RDWR);
    if (fd < 0)
        abort();
    shim.control = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shim.control == MAP_FAILED)
        abort();
    syscall(SYS_close, fd);
    if (journal) {
        shim.journal = raw_open(journal, O_WRONLY | O_CREAT | O_APPEND);
        if (shim.journal < 0)
            abort();
    }
    memcpy(shim.folder, folder, strlen(folder));
    shim.folder_len = strlen(folder);
}

/* ------------------------------------------------------------ the journal ----
 */

/* With the lock held. */
static void note(enum op op, uint64_t file, int64_t offset, const void *data,
                 size_t len)
{
    struct timespec t;
    struct record r = {
        .magic = MAGIC, .op = op, .file = file, .offset = offset, .len = len
    };
    struct iovec io[2] = { { &r, sizeof(r) }, { (void *)data, len } };
    int saved = errno;

    if (shim.journal < 0)
        return;
    clock_gettime(CLOCK_MONOTONIC, &t);
    r.when_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    if (syscall(SYS_writev, shim.journal, io, 2) != (long)(sizeof(r) + len))
        abort();
    errno = saved;
}

static void note_name(enum op op, uint64_t file, const char *name)
{
    note(op, file, 0, name, strlen(name));
}

/* Begin and end belong together, also when the process dies in between. */
static int64_t sync_number(void)
{
    static _Atomic int32_t last;

    return (int64_t)getpid() << 32 | atomic_fetch_add(&last, 1);
}

static bool is_ours(const char *path)
{
    return shim.folder_len > 0 &&
           strncmp(path, shim.folder, shim.folder_len) == 0 &&
           (path[shim.folder_len] == '/' || path[shim.folder_len] == 0);
}

/* path as seen from dir, absolute. */
static bool absolute(int dir, const char *path, char out[PATH_MAX])
{
    char base[PATH_MAX], link[64];
    ssize_t n;

    if (path[0] == '/') {
        if (strlen(path) >= PATH_MAX)
            return false;
        memcpy(out, path, strlen(path) + 1);
        return true;
    }
    if (dir == AT_FDCWD) {
        if (!getcwd(base, sizeof(base)))
            return false;
    } else {
        snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
        n = readlink(link, base, sizeof(base) - 1);
        if (n < 0)
            return false;
        base[n] = 0;
    }
    if (strlen(base) + strlen(path) + 2 > PATH_MAX)
        return false;
    if (strcmp(path, ".") == 0)
        snprintf(out, PATH_MAX, "%.4000s", base);
    else
        snprintf(out, PATH_MAX, "%.2000s/%.2000s", base, path);
    return true;
}

static uint64_t file_of(int fd)
{
    return fd >= 0 && fd < FILES_MOST ? shim.files[fd].file : 0;
}

static void remember(int fd, const char *path, bool is_new, bool is_cut)
{
    struct stat st;
    int saved = errno;

    if (fd < 0 || fd >= FILES_MOST || fstat(fd, &st) < 0)
        return;
    free(shim.files[fd].name);
    shim.files[fd].name = strdup(path);
    shim.files[fd].file = st.st_ino;
    if (is_new)
        note_name(OP_CREATE, st.st_ino, path);
    else if (is_cut)
        note(OP_SIZE, st.st_ino, 0, NULL, 0);
    errno = saved;
}

static int open_noted(int dir, const char *path, int flags, mode_t mode)
{
    char full[PATH_MAX];
    struct stat st;
    bool is_new;
    int fd;

    if (!shim.folder_len || !absolute(dir, path, full) || !is_ours(full))
        return (int)syscall(SYS_openat, dir, path, flags, mode);
    pthread_mutex_lock(&shim.lock);
    is_new = (flags & O_CREAT) && stat(full, &st) < 0;
    fd = (int)syscall(SYS_openat, dir, path, flags, mode);
    if (fd >= 0)
        remember(fd, full, is_new, flags & O_TRUNC);
    pthread_mutex_unlock(&shim.lock);
    return fd;
}

#define MODE_OF(flags)                                                         \
    mode_t mode = 0;                                                           \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                     \
        va_list args;                                                          \
        va_start(args, flags);                                                 \
        mode = va_arg(args, mode_t);                                           \
        va_end(args);                                                          \
    }

int open(const char *path, int flags, ...)
{
    MODE_OF(flags)
    return open_noted(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    MODE_OF(flags)
    return open_noted(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
    MODE_OF(flags)
    return open_noted(dir, path, flags, mode);
}

int openat64(int dir, const char *path, int flags, ...)
{
    MODE_OF(flags)
    return open_noted(dir, path, flags | O_LARGEFILE, mode);
}

int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
    return open_noted(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags);
int __open64_2(const char *path, int flags)
{
    return open_noted(AT_FDCWD, path, flags, 0);
}

int close(int fd)
{
    if (file_of(fd)) {
        pthread_mutex_lock(&shim.lock);
        shim.files[fd].file = 0;
        pthread_mutex_unlock(&shim.lock);
    }
    return (int)syscall(SYS_close, fd);
}

/* -------------------------------------------------------------- writing ----
 */

/* May the file grow to this end? Takes the room, with the lock held. */
static bool has_room(int fd, int64_t end)
{
    struct stat st;
    int64_t left = atomic_load(&shim.control->budget);

    if (left < 0 || fstat(fd, &st) < 0 || end <= st.st_size)
        return true;
    if (end - st.st_size > left) {
        atomic_fetch_add(&shim.control->refusals, 1);
        errno = ENOSPC;
        return false;
    }
    atomic_fetch_sub(&shim.control->budget, end - st.st_size);
    return true;
}

/* What a file gives back when it shrinks or goes. */
static void give_room(int64_t bytes)
{
    if (bytes > 0 && atomic_load(&shim.control->budget) >= 0)
        atomic_fetch_add(&shim.control->budget, bytes);
}

static ssize_t write_noted(int fd, const void *data, size_t len, int64_t at)
{
    ssize_t n = -1;

    pthread_mutex_lock(&shim.lock);
    if (has_room(fd, at + (int64_t)len))
        n = syscall(SYS_pwrite64, fd, data, len, at);
    if (n > 0)
        note(OP_WRITE, shim.files[fd].file, at, data, (size_t)n);
    pthread_mutex_unlock(&shim.lock);
    return n;
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    if (!file_of(fd))
        return syscall(SYS_pwrite64, fd, data, len, at);
    return write_noted(fd, data, len, at);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
    return pwrite(fd, data, len, at);
}

ssize_t write(int fd, const void *data, size_t len)
{
    off_t at;
    ssize_t n;

    if (!file_of(fd))
        return syscall(SYS_write, fd, data, len);
    at = lseek(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
    n = write_noted(fd, data, len, at);
    if (n > 0)
        lseek(fd, at + n, SEEK_SET);
    return n;
}

/* The first piece only: a short write is allowed, and callers go on. */
ssize_t pwritev(int fd, const struct iovec *io, int count, off_t at)
{
    if (!file_of(fd))
        return syscall(SYS_pwritev, fd, io, count, at, 0);
    return count ? write_noted(fd, io->iov_base, io->iov_len, at) : 0;
}

ssize_t pwritev64(int fd, const struct iovec *io, int count, off64_t at)
{
    return pwritev(fd, io, count, at);
}

ssize_t writev(int fd, const struct iovec *io, int count)
{
    if (!file_of(fd))
        return syscall(SYS_writev, fd, io, count);
    return count ? write(fd, io->iov_base, io->iov_len) : 0;
}

int ftruncate(int fd, off_t len)
{
    struct stat st = { 0 };
    int rc;

    if (!file_of(fd))
        return (int)syscall(SYS_ftruncate, fd, len);
    pthread_mutex_lock(&shim.lock);
    fstat(fd, &st);
    rc = has_room(fd, len) ? (int)syscall(SYS_ftruncate, fd, len) : -1;
    if (rc == 0) {
        give_room(st.st_size - len);
        note(OP_SIZE, shim.files[fd].file, len, NULL, 0);
    }
    pthread_mutex_unlock(&shim.lock);
    return rc;
}

int ftruncate64(int fd, off64_t len)
{
    return ftruncate(fd, len);
}

int fallocate(int fd, int mode, off_t at, off_t len)
{
    struct stat st = { 0 };
    int rc;

    if (!file_of(fd))
        return (int)syscall(SYS_fallocate, fd, mode, at, len);
    pthread_mutex_lock(&shim.lock);
    rc = has_room(fd, at + len) ? (int)syscall(SYS_fallocate, fd, mode, at, len)
                                : -1;
    if (rc == 0 && fstat(fd, &st) == 0)
        note(OP_SIZE, shim.files[fd].file, st.st_size, NULL, 0);
    pthread_mutex_unlock(&shim.lock);
    return rc;
}

int fallocate64(int fd, int mode, off64_t at, off64_t len)
{
    return fallocate(fd, mode, at, len);
}

int posix_fallocate(int fd, off_t at, off_t len)
{
    return fallocate(fd, 0, at, len) < 0 ? errno : 0;
}

int posix_fallocate64(int fd, off64_t at, off64_t len)
{
    return posix_fallocate(fd, at, len);
}

/* -------------------------------------------------------------- syncing ----
 */

static int sync_noted(int fd, long call)
{
    uint64_t file = shim.files[fd].file;
    const char *name = shim.files[fd].name;
    int64_t number = sync_number();
    bool fails;
    int rc;

    atomic_fetch_add(&shim.control->syncs, 1);
    pthread_mutex_lock(&shim.lock);
    fails = atomic_load(&shim.control->sync_fails_in) > 0 &&
            atomic_fetch_sub(&shim.control->sync_fails_in, 1) == 1;
    note(OP_SYNC_BEGIN, file, number, name, strlen(name));
    if (fails) {
        atomic_fetch_add(&shim.control->sync_failures, 1);
        note(OP_SYNC_FAIL, file, number, NULL, 0);
    }
    pthread_mutex_unlock(&shim.lock);
    if (fails) {
        errno = EIO;
        return -1;
    }
    rc = (int)syscall(call, fd);
    pthread_mutex_lock(&shim.lock);
    note(rc == 0 ? OP_SYNC_END : OP_SYNC_FAIL, file, number, NULL, 0);
    pthread_mutex_unlock(&shim.lock);
    return rc;
}

int fsync(int fd)
{
    return file_of(fd) ? sync_noted(fd, SYS_fsync)
                       : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return file_of(fd) ? sync_noted(fd, SYS_fdatasync)
                       : (int)syscall(SYS_fdatasync, fd);
}

/* ---------------------------------------------------------------- names ----
 */

int unlinkat(int dir, const char *path, int flags)
{
    char full[PATH_MAX];
    struct stat st = { 0 };
    int rc;

    if (!shim.folder_len || !absolute(dir, path, full) || !is_ours(full))
        return (int)syscall(SYS_unlinkat, dir, path, flags);
    pthread_mutex_lock(&shim.lock);
    stat(full, &st);
    rc = (int)syscall(SYS_unlinkat, dir, path, flags);
    if (rc == 0) {
        if (st.st_nlink == 1)
            give_room(st.st_size);
        note_name(OP_UNLINK, st.st_ino, full);
    }
    pthread_mutex_unlock(&shim.lock);
    return rc;
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to,
           int flags)
{
    char full[PATH_MAX];
    struct stat st = { 0 };
    int rc;

    if (!shim.folder_len || !absolute(to_dir, to, full) || !is_ours(full))
        return (int)syscall(SYS_linkat, from_dir, from, to_dir, to, flags);
    pthread_mutex_lock(&shim.lock);
    rc = (int)syscall(SYS_linkat, from_dir, from, to_dir, to, flags);
    if (rc == 0) {
        stat(full, &st);
        note_name(OP_LINK, st.st_ino, full);
    }
    pthread_mutex_unlock(&shim.lock);
    return rc;
}

int link(const char *from, const char *to)
{
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    char both[2 * PATH_MAX], target[PATH_MAX];
    size_t len;
    int rc;

    if (!shim.folder_len || !absolute(from_dir, from, both) ||
        !absolute(to_dir, to, target) || !is_ours(target))
        return (int)syscall(SYS_renameat, from_dir, from, to_dir, to);
    len = strlen(both);
    memcpy(both + len + 1, target, strlen(target) + 1);
    pthread_mutex_lock(&shim.lock);
    rc = (int)syscall(SYS_renameat, from_dir, from, to_dir, to);
    if (rc == 0)
        note(OP_RENAME, 0, 0, both, len + 1 + strlen(target));
    pthread_mutex_unlock(&shim.lock);
    return rc;
}

int rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

/* ------------------------------------------------------------ free space ----
 */

static void tell_room(struct statvfs *s)
{
    int64_t left;

    if (!shim.control || !atomic_load(&shim.control->statvfs_tells))
        return;
    left = atomic_load(&shim.control->budget);
    if (left >= 0)
        s->f_bavail = s->f_bfree = (fsblkcnt_t)left / s->f_frsize;
}

int statvfs(const char *path, struct statvfs *s)
{
    REAL(statvfs, int, const char *, struct statvfs *);
    int rc = real_statvfs(path, s);

    if (rc == 0)
        tell_room(s);
    return rc;
}

int fstatvfs(int fd, struct statvfs *s)
{
    REAL(fstatvfs, int, int, struct statvfs *);
    int rc = real_fstatvfs(fd, s);

    if (rc == 0)
        tell_room(s);
    return rc;
}

int statvfs64(const char *path, struct statvfs64 *s)
{
    return statvfs(path, (struct statvfs *)s);
}

int fstatvfs64(int fd, struct statvfs64 *s)
{
    return fstatvfs(fd, (struct statvfs *)s);
}
