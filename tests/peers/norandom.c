/*
 * norandom - a machine whose random numbers give out, put under a program with LD_PRELOAD.
 *
 * From when the file NORANDOM_FROM is there on, everything that asks for them fails: the
 * system's call and OpenSSL's.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

int RAND_bytes(unsigned char *out, int count);
int RAND_bytes_ex(void *context, unsigned char *out, size_t count,
                  unsigned strength);
int RAND_priv_bytes(unsigned char *out, int count);
int RAND_priv_bytes_ex(void *context, unsigned char *out, size_t count,
                       unsigned strength);
ssize_t getrandom(void *out, size_t count, unsigned flags);
int getentropy(void *out, size_t count);

static int is_over(void)
{
    const char *from = getenv("NORANDOM_FROM");

    return from && access(from, F_OK) == 0;
}

#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

int RAND_bytes(unsigned char *out, int count)
{
    return is_over() ? 0 : NEXT(RAND_bytes)(out, count);
}

int RAND_bytes_ex(void *context, unsigned char *out, size_t count,
                  unsigned strength)
{
    return is_over() ? 0
                     : NEXT(RAND_bytes_ex)(context, out, count, strength);
}

int RAND_priv_bytes(unsigned char *out, int count)
{
    return is_over() ? 0 : NEXT(RAND_priv_bytes)(out, count);
}

int RAND_priv_bytes_ex(void *context, unsigned char *out, size_t count,
                       unsigned strength)
{
    return is_over() ? 0
                     : NEXT(RAND_priv_bytes_ex)(context, out, count, strength);
}

ssize_t getrandom(void *out, size_t count, unsigned flags)
{
    if (!is_over())
        return NEXT(getrandom)(out, count, flags);
    errno = ENOSYS;
    return -1;
}

int getentropy(void *out, size_t count)
{
    if (!is_over())
        return NEXT(getentropy)(out, count);
    errno = EIO;
    return -1;
}
