// store [--cpu N] [--rounds N]: what it costs to keep a body of 64 MiB before it is sent back, in ways
// that a gateway could, beside sending back each piece as it comes. Prints Markdown: CPU of this
// process, its peer's not counted; ratios to the first line, formed within a round.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 64 << 20, BUFFER = 192 << 10, MOST = 100 };
static char buffer[BUFFER];
static int peer;

static void must(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}
static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}
static void await(short events)
{
    must(errno == EAGAIN, "socket");
    poll(&(struct pollfd){peer, events, 0}, 1, -1);
}
static ssize_t take(char *into, size_t most)
{
    ssize_t n;
    while ((n = recv(peer, into, most, MSG_DONTWAIT)) < 0)
        await(POLLIN);
    must(n > 0, "the peer has gone");
    return n;
}
static void give(const char *from, size_t len)
{
    while (len) {
        ssize_t n = send(peer, from, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0) {
            await(POLLOUT);
            continue;
        }
        from += n;
        len -= n;
    }
}
static int nameless(void)
{
    const char *folder = getenv("TMPDIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/store-XXXXXX", folder ? folder : "/tmp");
    int file = mkstemp(path);
    must(file >= 0, path);
    unlink(path);
    return file;
}
static char *mapped(int file)
{
    static char zeros[1 << 20];
    for (off_t at = 0; at < SIZE; at += sizeof zeros) // Cheaper than to have each page made.
        must(pwrite(file, zeros, sizeof zeros, at) == sizeof zeros, "pwrite");
    char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    must(map != MAP_FAILED, "mmap");
    return map;
}

static void straight(int file, char *map)
{
    (void)file, (void)map;
    for (ssize_t at = 0, n; at < SIZE; at += n)
        give(buffer, n = take(buffer, BUFFER));
}
static void into_map(char *map)
{
    for (size_t at = 0; at < SIZE;)
        at += take(map + at, SIZE - at);
}
static void map_and_send(int file, char *map)
{
    (void)file;
    into_map(map);
    give(map, SIZE);
}
static void send_pages(int file)
{
    for (off_t at = 0; at < SIZE;)
        if (sendfile(peer, file, &at, SIZE - at) < 0)
            await(POLLOUT);
}
static void map_and_sendfile(int file, char *map)
{
    into_map(map);
    send_pages(file);
}
static void into_file(int file)
{
    for (ssize_t at = 0, n; at < SIZE; at += n) {
        n = take(buffer, BUFFER);
        must(pwrite(file, buffer, n, at) == n, "pwrite");
    }
}
static void write_and_read(int file, char *map)
{
    (void)map;
    into_file(file);
    for (ssize_t at = 0, n; at < SIZE; at += n) {
        must((n = pread(file, buffer, BUFFER, at)) > 0, "pread");
        give(buffer, n);
    }
}
static void write_and_sendfile(int file, char *map)
{
    (void)map;
    into_file(file);
    send_pages(file);
}

static const struct {
    const char *name;
    void (*run)(int, char *);
    enum { NOTHING, MEMORY, KEPT, KEPT_MAP, NEW, NEW_MAP } where;
} ways[] = {
    {"sent back as it comes, nothing kept", straight, NOTHING},
    {"kept in memory of the process", map_and_send, MEMORY},
    {"in a file that is there: `recv` into its mapping, `send` out of it", map_and_send, KEPT_MAP},
    {"in a file that is there: `recv` into its mapping, `sendfile`", map_and_sendfile, KEPT_MAP},
    {"in a file that is there: `pwrite`, `pread`", write_and_read, KEPT},
    {"in a file that is there: `pwrite`, `sendfile`", write_and_sendfile, KEPT},
    {"in a new file: `recv` into its mapping, `send` out of it", map_and_send, NEW_MAP},
    {"in a new file: `pwrite`, `pread`", write_and_read, NEW},
    {"in a new file: `pwrite`, `sendfile`", write_and_sendfile, NEW},
};
enum { WAYS = sizeof ways / sizeof *ways };

// The other end: sends while it can, and reads what comes.
static void sender(int fd)
{
    char *out = calloc(1, 1 << 20), *in = malloc(256 << 10);
    for (size_t sent = 0, got = 0;;) {
        if (sent == SIZE && got == SIZE)
            sent = got = 0;
        size_t left = SIZE - sent;
        ssize_t n = left ? send(fd, out, left < 1 << 20 ? left : 1 << 20, MSG_DONTWAIT) : -1;
        ssize_t m = recv(fd, in, 256 << 10, MSG_DONTWAIT);
        if (m == 0)
            _exit(0);
        sent += n > 0 ? n : 0;
        got += m > 0 ? m : 0;
        if (n < 0 && m < 0)
            poll(&(struct pollfd){fd, POLLIN | (left ? POLLOUT : 0), 0}, 1, -1);
    }
}
static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
int main(int argc, char **argv)
{
    int cpu = 0, rounds = 7, fds[2];
    for (int i = 1; i + 1 < argc; i += 2)
        *(strcmp(argv[i], "--cpu") ? &rounds : &cpu) = atoi(argv[i + 1]);
    rounds = rounds < 1 ? 1 : rounds > MOST ? MOST : rounds;
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    sched_setaffinity(0, sizeof cpus, &cpus);
    must(!socketpair(AF_UNIX, SOCK_STREAM, 0, fds), "socketpair");
    if (!fork()) {
        close(fds[0]);
        sender(fds[1]);
    }
    close(fds[1]);
    peer = fds[0];

    int kept = nameless(), kept_map = nameless();
    char *map = mapped(kept_map), *memory = calloc(1, SIZE);
    static double ms[WAYS][MOST], ratio[WAYS][MOST];
    for (int round = -1; round < rounds; round++) // The first is not counted.
        for (int i = 0; i < WAYS; i++) {
            int way = round & 1 ? WAYS - 1 - i : i;
            double began = cpu_ms();
            int file = ways[way].where < NEW ? kept : nameless();
            char *at = ways[way].where == MEMORY ? memory : map;
            if (ways[way].where == KEPT_MAP)
                file = kept_map;
            if (ways[way].where == NEW_MAP)
                at = mapped(file);
            ways[way].run(file, at);
            if (at != map && at != memory)
                munmap(at, SIZE);
            if (file != kept && file != kept_map)
                close(file);
            if (round >= 0)
                ms[way][round] = cpu_ms() - began;
        }
    puts("| 64 MiB | CPU ms | ÷ the first |\n|---|---|---|");
    for (int way = 0; way < WAYS; way++)
        for (int round = 0; round < rounds; round++)
            ratio[way][round] = ms[way][round] / ms[0][round];
    for (int way = 0; way < WAYS; way++) {
        qsort(ratio[way], rounds, sizeof(double), ascending);
        qsort(ms[way], rounds, sizeof(double), ascending);
        printf("| %s | %.1f | %.2f / **%.2f** / %.2f |\n", ways[way].name, ms[way][rounds / 2],
               ratio[way][0], ratio[way][rounds / 2], ratio[way][rounds - 1]);
    }
}
