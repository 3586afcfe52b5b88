// canned - the physical limit: epoll, one thread, no parsing beyond finding the end of the
// request (record headers are stepped over; contents are never looked at), one write per answer.
// canned --socket PATH|host:port [--mode hello|echo|bytes|file|sendfile] [--n BYTES] [--file F]
// The mode is fixed at start, for looking at the path would be parsing.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum { RD = 256 * 1024, REC = 65528 };
enum { HELLO, ECHO_, BYTES, FILE_, SENDFILE } mode;
typedef struct {
    int fd, keep, out, nh;
    unsigned skip;
    uint8_t h[8 + 8];
    int id;
    int64_t off, body; // large answers: sent so far of the framed stream, its length
    uint8_t *eb;
    size_t en, eo; // echo: bytes not yet sent
    int started, ended;
} Conn;
static int ep, ls, filefd;
static uint8_t rb[RD + 16], *data;
static int64_t nbytes;
static const char hdr[] = "Status: 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n";
static uint8_t canned[256];
static int ncanned;

static uint8_t *rec(uint8_t *p, int type, int id, unsigned len, unsigned pad)
{
    p[0] = 1;
    p[1] = type;
    p[2] = id >> 8;
    p[3] = id;
    p[4] = len >> 8;
    p[5] = len;
    p[6] = pad;
    p[7] = 0;
    return p + 8;
}
static void drop(Conn *c)
{
    close(c->fd);
    free(c->eb);
    free(c);
}
static void arm(Conn *c, int out)
{
    if (c->out == out)
        return;
    struct epoll_event e = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
    c->out = out;
}
static int hello(Conn *c)
{
    canned[2] = c->id >> 8;
    canned[3] = c->id;
    for (int i = ncanned - 24; i < ncanned; i += 8)
        if (i != ncanned - 8) {
            canned[i + 2] = c->id >> 8;
            canned[i + 3] = c->id;
        }
    return send(c->fd, canned, ncanned, MSG_NOSIGNAL) == ncanned ? 0 : -1;
}
// the framed stream: [hdr record][REC records of data ...][last][empty][END]
static int large(Conn *c)
{
    int64_t full = nbytes / REC, rest = nbytes % REC;
    static uint8_t H[96], R[8], L[8], T[24];
    size_t nH = rec(H, 6, c->id, sizeof hdr - 1, 0) - H;
    memcpy(H + nH, hdr, sizeof hdr - 1);
    nH += sizeof hdr - 1;
    rec(R, 6, c->id, REC, 0);
    rec(L, 6, c->id, rest, 0);
    rec(T, 6, c->id, 0, 0);
    memset(rec(T + 8, 3, c->id, 8, 0), 0, 8);
    int64_t mid = nH + full * (8 + REC), tail = mid + (rest ? 8 + rest : 0), total = tail + 24;
    while (c->off < total) {
        struct iovec v[64];
        int n = 0;
        int64_t o = c->off;
        int filepart = 0;
        int64_t fo = 0;
        size_t fl = 0;
        while (n < 32 && o < total && !filepart) {
            uint8_t *p;
            size_t l;
            if (o < (int64_t)nH) {
                p = H + o;
                l = nH - o;
            } else if (o < tail) {
                int64_t k = (o - nH) / (8 + REC), at = (o - nH) % (8 + REC),
                        len = k < full ? REC : rest;
                if (at < 8) {
                    p = (k < full ? R : L) + at;
                    l = 8 - at;
                } else {
                    p = data + k * REC + at - 8;
                    l = len + 8 - at;
                    if (mode == SENDFILE) {
                        filepart = 1;
                        fo = k * REC + at - 8;
                        fl = l;
                        break;
                    }
                }
            } else {
                p = T + (o - tail);
                l = total - o;
            }
            v[n++] = (struct iovec){p, l};
            o += l;
        }
        if (n) {
            ssize_t w = sendmsg(c->fd, &(struct msghdr){.msg_iov = v, .msg_iovlen = n},
                                MSG_NOSIGNAL | (filepart ? MSG_MORE : 0));
            if (w < 0) {
                if (errno != EAGAIN)
                    return -1;
                arm(c, 1);
                return 0;
            }
            c->off += w;
            if (c->off < o)
                continue;
        }
        if (filepart) {
            ssize_t w = sendfile(c->fd, filefd, &fo, fl);
            if (w < 0) {
                if (errno != EAGAIN)
                    return -1;
                arm(c, 1);
                return 0;
            }
            c->off += w;
        }
    }
    arm(c, 0);
    c->started = 0;
    if (!c->keep)
        return -1;
    return 0;
}
static int put(Conn *c, const void *p, size_t n)
{ // echo: queue behind what is unsent
    if (c->eo == c->en)
        c->eo = c->en = 0;
    if (!c->eb)
        c->eb = malloc(1 << 20);
    if (c->en + n > 1 << 20)
        return -1;
    memcpy(c->eb + c->en, p, n);
    c->en += n;
    return 0;
}
static int drain(Conn *c)
{
    while (c->eo < c->en) {
        ssize_t w = send(c->fd, c->eb + c->eo, c->en - c->eo, MSG_NOSIGNAL);
        if (w < 0) {
            if (errno != EAGAIN)
                return -1;
            struct epoll_event e = {.events = EPOLLOUT, .data.ptr = c}; // stop reading meanwhile
            epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
            c->out = 1;
            return 0;
        }
        c->eo += w;
    }
    arm(c, 0);
    if (c->ended && !c->keep)
        return -1;
    return 0;
}
static int request_end(Conn *c)
{
    if (mode == HELLO) {
        if (hello(c))
            return -1;
        return c->keep ? 0 : -1;
    }
    if (mode == ECHO_) {
        uint8_t t[24];
        rec(t, 6, c->id, 0, 0);
        memset(rec(t + 8, 3, c->id, 8, 0), 0, 8);
        c->ended = 1;
        return put(c, t, 24);
    }
    c->off = 0;
    c->started = 1;
    return large(c);
}
static int readable(Conn *c)
{
    ssize_t n = recv(c->fd, rb, RD, 0);
    if (n <= 0)
        return n < 0 && errno == EAGAIN ? 0 : -1;
    uint8_t *p = rb, *e = rb + n;
    while (p < e) {
        if (c->nh < 8) {
            while (c->nh < 8 && p < e)
                c->h[c->nh++] = *p++;
            if (c->nh < 8)
                break;
            c->skip = (c->h[4] << 8 | c->h[5]) + c->h[6];
            c->id = c->h[2] << 8 | c->h[3];
            if (c->h[1] == 5 && mode == ECHO_ && c->skip) {
                uint8_t o[8];
                rec(o, 6, c->id, c->h[4] << 8 | c->h[5], c->h[6]);
                if (put(c, o, 8))
                    return -1;
            }
            if (c->h[1] == 1) {
                c->ended = 0;
                if (mode == ECHO_) {
                    uint8_t o[96];
                    uint8_t *q = rec(o, 6, c->id, sizeof hdr - 1, 0);
                    memcpy(q, hdr, sizeof hdr - 1);
                    put(c, o, q - o + sizeof hdr - 1);
                }
            }
        }
        size_t k = c->skip;
        if (k > (size_t)(e - p))
            k = e - p;
        if (c->h[1] == 1 && k >= 3)
            c->keep = p[2] & 1;
        if (mode == ECHO_ && c->h[1] == 5 && k && put(c, p, k))
            return -1;
        p += k;
        c->skip -= k;
        if (c->skip)
            break;
        c->nh = 0;
        if (c->h[1] == 5 && !c->h[4] && !c->h[5] && request_end(c))
            return -1;
    }
    return mode == ECHO_ ? drain(c) : 0;
}
int main(int argc, char **argv)
{
    const char *sock = NULL, *file = NULL;
    nbytes = 64 << 20;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--socket"))
            sock = argv[i + 1];
        else if (!strcmp(argv[i], "--file"))
            file = argv[i + 1];
        else if (!strcmp(argv[i], "--n"))
            nbytes = atoll(argv[i + 1]);
        else if (!strcmp(argv[i], "--mode")) {
            const char *m = argv[i + 1];
            mode = !strcmp(m, "echo")       ? ECHO_
                   : !strcmp(m, "bytes")    ? BYTES
                   : !strcmp(m, "file")     ? FILE_
                   : !strcmp(m, "sendfile") ? SENDFILE
                                            : HELLO;
        }
    }
    if (!sock) {
        fputs("canned --socket PATH|host:port [--mode M]\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    if (mode >= FILE_) {
        struct stat st;
        filefd = open(file, O_RDONLY);
        if (filefd < 0 || fstat(filefd, &st)) {
            perror(file);
            return 2;
        }
        nbytes = st.st_size;
        data = mmap(NULL, nbytes, PROT_READ, MAP_SHARED, filefd, 0);
    } else if (mode ==
               BYTES) { // one page run of 'x', mapped again and again: no cache misses, the limit
        data = mmap(NULL, nbytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    uint8_t *p = rec(canned, 6, 1, sizeof hdr - 1 + 12, 0);
    int len = sizeof hdr - 1 + 12, pad = -len & 7;
    canned[6] = pad;
    memcpy(p, hdr, sizeof hdr - 1);
    memcpy(p + sizeof hdr - 1, "Hello World\n", 12);
    p += len;
    memset(p, 0, pad);
    p += pad;
    p = rec(p, 6, 1, 0, 0);
    p = rec(p, 3, 1, 8, 0);
    memset(p, 0, 8);
    p += 8;
    ncanned = p - canned;
    const char *k = strrchr(sock, ':');
    if (sock[0] != '/' && k) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(k + 1))};
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        int one = 1;
        ls = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(ls, (void *)&a, sizeof a)) {
            perror("bind");
            return 2;
        }
    } else {
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        strncpy(a.sun_path, sock, sizeof a.sun_path - 1);
        unlink(sock);
        ls = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (bind(ls, (void *)&a, sizeof a)) {
            perror("bind");
            return 2;
        }
    }
    listen(ls, 4096);
    ep = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(ep, EPOLL_CTL_ADD, ls, &e);
    for (;;) {
        struct epoll_event ev[512];
        int n = epoll_wait(ep, ev, 512, -1);
        for (int i = 0; i < n; i++) {
            Conn *c = ev[i].data.ptr;
            if (!c) {
                int fd = accept4(ls, NULL, NULL, SOCK_NONBLOCK);
                if (fd < 0)
                    continue;
                if (sock[0] != '/') {
                    int one = 1;
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                }
                c = calloc(1, sizeof *c);
                c->fd = fd;
                e = (struct epoll_event){.events = EPOLLIN, .data.ptr = c};
                epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
                continue;
            }
            int bad = 0;
            if (ev[i].events & EPOLLOUT)
                bad = c->started ? large(c) : drain(c);
            if (!bad && ev[i].events & ~EPOLLOUT)
                bad = readable(c);
            if (bad)
                drop(c);
        }
    }
}
