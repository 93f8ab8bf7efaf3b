/* fault_shim.c - preloaded into the program by tests/fault_runner.c: makes the N-th call of a class
 * fail, or does something else at that moment; counts calls; finds blocks that were not freed.
 *
 * CNNSCOPE_FAULT=CLASS:N:ACTION, where CLASS is a name of `classes` or "io" (any but alloc; a '+'
 * behind it: from the N-th call on) and ACTION one of
 *     errno=E         the call fails with this errno (a close does close)
 *     short           a read or write moves a third of what was asked for
 *     signal=S        the process gets a signal before the call
 *     truncate=FILE   FILE loses its second half before the call
 *     grow=FILE       FILE gets 64 bytes more
 *     replace=FILE    FILE.other is renamed to FILE
 * CNNSCOPE_FAULT_REPORT=FILE gets "CLASS CALLS" lines and "live BLOCKS" when main returns. Only
 * calls between main's beginning and its return count. Syncing to the disk is skipped: it takes
 * long, and no test here pulls a plug.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    ALLOC,
    OPEN,
    STAT,
    FOLDER,
    READ,
    WRITE,
    FSYNC,
    CLOSE,
    RENAME,
    MKDIR,
    UNLINK,
    MMAP,
    THREAD,
    FLUSH,
    CLASSES,
    IO = CLASSES
};
static const char *const classes[CLASSES] = {"alloc",  "open",  "stat",   "folder", "read",
                                             "write",  "fsync", "close",  "rename", "mkdir",
                                             "unlink", "mmap",  "thread", "flush"};

static atomic_bool armed;
static atomic_long calls[CLASSES + 1];
static int fault_class = -1, fault_errno, fault_signal;
static long fault_at;
static bool fault_on, fault_short;
static const char *fault_change, *fault_file;

/* ------------------------------------------------------------------ the real functions ---- */

/* The next definition of a function, as whatever pointer it is assigned to. */
#define REAL(name, pointer) (*(void **)&(pointer) = dlsym(RTLD_NEXT, name))

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *block);

static int (*real_open)(const char *, int, ...);
static int (*real_close)(int);
static int (*real_fstat)(int, struct stat *);
static int (*real_stat)(const char *, struct stat *);
static int (*real_lstat)(const char *, struct stat *);
static DIR *(*real_opendir)(const char *);
static struct dirent *(*real_readdir)(DIR *);
static ssize_t (*real_read)(int, void *, size_t);
static ssize_t (*real_pread)(int, void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_rename)(const char *, const char *);
static int (*real_renameat2)(int, const char *, int, const char *, unsigned);
static int (*real_mkdir)(const char *, mode_t);
static int (*real_unlink)(const char *);
static void *(*real_mmap)(void *, size_t, int, int, int, off_t);
static int (*real_thread)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
static int (*real_fflush)(FILE *);

static void find_real(void) {
    REAL("open", real_open);
    REAL("close", real_close);
    REAL("fstat", real_fstat);
    REAL("stat", real_stat);
    REAL("lstat", real_lstat);
    REAL("opendir", real_opendir);
    REAL("readdir", real_readdir);
    REAL("read", real_read);
    REAL("pread", real_pread);
    REAL("write", real_write);
    REAL("pwrite", real_pwrite);
    REAL("ftruncate", real_ftruncate);
    REAL("rename", real_rename);
    REAL("renameat2", real_renameat2);
    REAL("mkdir", real_mkdir);
    REAL("unlink", real_unlink);
    REAL("mmap", real_mmap);
    REAL("pthread_create", real_thread);
    REAL("fflush", real_fflush);
}

/* ------------------------------------------------------------------ the fault ------------- */

static void change_file(void) {
    char other[4096], more[64] = "more";
    struct stat info;
    if (strcmp(fault_change, "truncate") == 0 && real_stat(fault_file, &info) == 0 &&
        truncate(fault_file, info.st_size / 2) != 0)
        abort();
    if (strcmp(fault_change, "grow") == 0) {
        int fd = real_open(fault_file, O_WRONLY | O_APPEND | O_CLOEXEC);
        if (fd < 0 || real_write(fd, more, sizeof more) != (ssize_t)sizeof more ||
            real_close(fd) != 0)
            abort();
    }
    snprintf(other, sizeof other, "%s.other", fault_file);
    if (strcmp(fault_change, "replace") == 0 && real_rename(other, fault_file) != 0)
        abort();
}

/* Counts a call; whether it shall fail (or be short). */
static bool fails(int class) {
    if (class != ALLOC && !real_open)
        find_real(); /* a library's constructor may call us before main */
    if (!atomic_load(&armed))
        return false;
    const long own = atomic_fetch_add(&calls[class], 1) + 1;
    const long any = class == ALLOC ? 0 : atomic_fetch_add(&calls[IO], 1) + 1;
    const long number = fault_class == IO ? any : own;
    if (fault_class != class && (fault_class != IO || class == ALLOC))
        return false;
    if (number != fault_at && !(fault_on && number > fault_at))
        return false;
    if (fault_signal)
        raise(fault_signal);
    if (fault_change)
        change_file();
    if (fault_errno)
        errno = fault_errno;
    return fault_errno || fault_short;
}

static void read_fault(void) {
    char *text = getenv("CNNSCOPE_FAULT");
    char *first = text ? strchr(text, ':') : NULL, *second = first ? strchr(first + 1, ':') : NULL;
    if (!second)
        return;
    size_t length = (size_t)(first - text);
    fault_on = length > 0 && text[length - 1] == '+';
    length -= fault_on;
    for (int i = 0; i < CLASSES; i++)
        if (strlen(classes[i]) == length && memcmp(text, classes[i], length) == 0)
            fault_class = i;
    if (length == 2 && memcmp(text, "io", 2) == 0)
        fault_class = IO;
    fault_at = strtol(first + 1, NULL, 10);
    const char *action = second + 1, *value = strchr(action, '=');
    if (strcmp(action, "short") == 0)
        fault_short = true;
    else if (value && strncmp(action, "errno", 5) == 0)
        fault_errno = atoi(value + 1);
    else if (value && strncmp(action, "signal", 6) == 0)
        fault_signal = atoi(value + 1);
    else if (value) {
        *strchr(action, '=') = '\0';
        fault_change = action;
        fault_file = value + 1;
    }
}

/* ------------------------------------------------------------------ memory ---------------- */

enum { SLOTS = 1 << 16 };
static void *live[SLOTS];    /* by hash, open addressing */
static void *callers[SLOTS]; /* who asked for it */
static char gone;            /* its address marks a freed slot */
static atomic_flag lock = ATOMIC_FLAG_INIT;

static size_t slot_of(const void *block) {
    return (size_t)(((uintptr_t)block >> 4) * 0x9E3779B97F4A7C15u >> 48) % SLOTS;
}

static void *add(void *block, void *caller) {
    if (!block || !atomic_load(&armed))
        return block;
    while (atomic_flag_test_and_set(&lock)) {}
    size_t i = slot_of(block), steps = 0;
    while (live[i] && live[i] != &gone) {
        i = (i + 1) % SLOTS;
        if (++steps == SLOTS)
            abort(); /* more blocks at once than this was made for */
    }
    live[i] = block;
    callers[i] = caller;
    atomic_flag_clear(&lock);
    return block;
}

static void drop(const void *block) {
    if (!block || !atomic_load(&armed))
        return;
    while (atomic_flag_test_and_set(&lock)) {}
    size_t i = slot_of(block), steps = 0;
    while (live[i] && live[i] != block && ++steps < SLOTS)
        i = (i + 1) % SLOTS;
    if (live[i] == block)
        live[i] = &gone;
    atomic_flag_clear(&lock);
}

#define CALLER __builtin_return_address(0)

void *malloc(size_t size) { return fails(ALLOC) ? NULL : add(__libc_malloc(size), CALLER); }

void *calloc(size_t count, size_t size) {
    return fails(ALLOC) ? NULL : add(__libc_calloc(count, size), CALLER);
}

void *realloc(void *block, size_t size) {
    if (fails(ALLOC))
        return NULL;
    drop(block);
    void *moved = __libc_realloc(block, size);
    return moved ? add(moved, CALLER) : size ? add(block, CALLER), NULL : NULL;
}

void *reallocarray(void *block, size_t count, size_t size) {
    if (size && count > SIZE_MAX / size) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(block, count * size);
}

void *memalign(size_t alignment, size_t size);
void *memalign(size_t alignment, size_t size) {
    return fails(ALLOC) ? NULL : add(__libc_memalign(alignment, size), CALLER);
}

void *aligned_alloc(size_t alignment, size_t size) {
    return fails(ALLOC) ? NULL : add(__libc_memalign(alignment, size), CALLER);
}

int posix_memalign(void **out, size_t alignment, size_t size) {
    void *block = fails(ALLOC) ? NULL : add(__libc_memalign(alignment, size), CALLER);
    if (block)
        *out = block;
    return block ? 0 : ENOMEM;
}

void free(void *block) {
    drop(block);
    __libc_free(block);
}

/* ------------------------------------------------------------------ files ----------------- */

static int open_with(const char *path, int flags, va_list list) {
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;
    return fails(OPEN) ? -1 : real_open(path, flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list list;
    va_start(list, flags);
    int fd = open_with(path, flags, list);
    va_end(list);
    return fd;
}

int open64(const char *path, int flags, ...) {
    va_list list;
    va_start(list, flags);
    int fd = open_with(path, flags, list);
    va_end(list);
    return fd;
}

int fstat(int fd, struct stat *info) { return fails(STAT) ? -1 : real_fstat(fd, info); }
int stat(const char *restrict path, struct stat *restrict info) {
    return fails(STAT) ? -1 : real_stat(path, info);
}
int lstat(const char *restrict path, struct stat *restrict info) {
    return fails(STAT) ? -1 : real_lstat(path, info);
}

DIR *opendir(const char *path) { return fails(FOLDER) ? NULL : real_opendir(path); }
struct dirent *readdir(DIR *folder) {
    return fails(FOLDER) ? NULL : real_readdir(folder);
}

/* A third of a transfer, but not nothing. */
static size_t shorter(size_t size) { return size > 3 ? size / 3 : size > 0; }

ssize_t read(int fd, void *to, size_t size) {
    if (!fails(READ))
        return real_read(fd, to, size);
    return fault_short ? real_read(fd, to, shorter(size)) : -1;
}

ssize_t pread(int fd, void *to, size_t size, off_t offset) {
    if (!fails(READ))
        return real_pread(fd, to, size, offset);
    return fault_short ? real_pread(fd, to, shorter(size), offset) : -1;
}

ssize_t pread64(int fd, void *to, size_t size, off_t offset) { return pread(fd, to, size, offset); }

ssize_t write(int fd, const void *from, size_t size) {
    if (!fails(WRITE))
        return real_write(fd, from, size);
    return fault_short ? real_write(fd, from, shorter(size)) : -1;
}

ssize_t pwrite(int fd, const void *from, size_t size, off_t offset) {
    if (!fails(WRITE))
        return real_pwrite(fd, from, size, offset);
    return fault_short ? real_pwrite(fd, from, shorter(size), offset) : -1;
}

/* What takes room, or gives it back, counts as a write. */
int ftruncate(int fd, off_t size) {
    return fails(WRITE) && fault_errno != EINTR && !fault_short ? -1 : real_ftruncate(fd, size);
}

int fsync(int fd) {
    (void)fd;
    return fails(FSYNC) ? -1 : 0;
}

int close(int fd) {
    bool failing = fails(CLOSE);
    int result = real_close(fd);
    if (failing)
        errno = fault_errno;
    return failing ? -1 : result;
}

int rename(const char *from, const char *to) { return fails(RENAME) ? -1 : real_rename(from, to); }

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    return fails(RENAME) ? -1 : real_renameat2(from_folder, from, to_folder, to, flags);
}

int mkdir(const char *path, mode_t mode) { return fails(MKDIR) ? -1 : real_mkdir(path, mode); }
int unlink(const char *path) { return fails(UNLINK) ? -1 : real_unlink(path); }

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
    return fails(MMAP) ? MAP_FAILED : real_mmap(at, size, protection, flags, fd, offset);
}

int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attributes,
                   void *(*start)(void *), void *restrict argument) {
    return fails(THREAD) ? EAGAIN : real_thread(thread, attributes, start, argument);
}

int fflush(FILE *file) { return file == stdout && fails(FLUSH) ? EOF : real_fflush(file); }

/* ------------------------------------------------------------------ main ------------------ */

static int (*real_main)(int, char **, char **);

static void write_report(void) {
    const char *path = getenv("CNNSCOPE_FAULT_REPORT");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file)
        return;
    for (int i = 0; i < CLASSES; i++)
        fprintf(file, "%s %ld\n", classes[i], atomic_load(&calls[i]));
    fprintf(file, "io %ld\n", atomic_load(&calls[IO]));
    long blocks = 0;
    for (size_t i = 0; i < SLOTS; i++) {
        Dl_info place;
        if (!live[i] || live[i] == &gone || !dladdr(callers[i], &place))
            continue;
        if (strstr(place.dli_fname, "/ld-linux"))
            continue; /* of a thread's stack, which is kept for the next thread */
        blocks++;
        fprintf(file, "from %s+%#tx\n", place.dli_fname,
                (char *)callers[i] - (char *)place.dli_fbase);
    }
    fprintf(file, "live %ld\n", blocks);
    fclose(file);
}

static int shimmed_main(int argc, char **argv, char **environment) {
    static char buffer[1 << 16];
    find_real();
    read_fault();
    /* No blocks of the C library's own to account for. */
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    tzset();
    atomic_store(&armed, true);
    int code = real_main(argc, argv, environment);
    atomic_store(&armed, false);
    write_report();
    return code;
}

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*rtld_fini)(void), void *stack_end);
int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*rtld_fini)(void), void *stack_end) {
    int (*real)(int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void),
                void (*)(void), void *) = NULL;
    REAL("__libc_start_main", real);
    real_main = main;
    return real(shimmed_main, argc, argv, init, fini, rtld_fini, stack_end);
}
