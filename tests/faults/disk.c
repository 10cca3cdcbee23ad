/* Makes each DISK_EVERY-th write or fsync of a file under DISK_UNDER fail with DISK_ERRNO, while
 * the file DISK_WHILE is there. Loaded with LD_PRELOAD; DISK_CALL says which of the two. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long reached;

static int fails(const char *call, int fd) {
    const char *under = getenv("DISK_UNDER"), *which = getenv("DISK_CALL");
    const char *while_there = getenv("DISK_WHILE");
    if (!under || !which || !while_there || strcmp(which, call) || access(while_there, F_OK))
        return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (strncmp(path, under, strlen(under))) return 0;
    if ((atomic_fetch_add(&reached, 1) + 1) % atol(getenv("DISK_EVERY"))) return 0;
    errno = atoi(getenv("DISK_ERRNO"));
    return 1;
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *data, size_t n) {
    REAL(write);
    return fails("write", fd) ? -1 : real(fd, data, n);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
    REAL(pwrite64);
    return fails("write", fd) ? -1 : real(fd, data, n, at);
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at) {
    REAL(pwrite);
    return fails("write", fd) ? -1 : real(fd, data, n, at);
}

ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t at) {
    REAL(pwritev);
    return fails("write", fd) ? -1 : real(fd, parts, n, at);
}

int fsync(int fd) {
    REAL(fsync);
    return fails("fsync", fd) ? -1 : real(fd);
}

int fdatasync(int fd) {
    REAL(fdatasync);
    return fails("fsync", fd) ? -1 : real(fd);
}
