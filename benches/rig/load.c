// load - FastCGI load generator: one thread, epoll, every response checked.
// Usage: load --connect unix:/path|host:port [options]   (--help lists them)
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BEGIN = 1, END = 3, PARAMS = 4, STDIN = 5, STDOUT = 6, STDERR = 7 };
enum { CHUNK = 32768, SMALL = 65535, RDBUF = 256 * 1024, HEADMAX = 4096 };

typedef struct { // one request, ready to send, for one request id
    uint8_t *head, *chunk, *tail;
    size_t nhead, nchunk, ntail, nrep, total;
} Req;

typedef struct { // one response in flight
    uint64_t t0;
    int64_t body, done;
    int in_body, bad, nhdr, busy;
    char hdr[HEADMAX];
} Stream;

typedef struct {
    int fd, connecting, idle, want_out, dead;
    // sending: a ring of stream indexes, the first one being at offset `off`
    uint16_t *q;
    int qh, qn;
    size_t off;
    // receiving
    uint8_t h[8];
    int nh;
    unsigned left, pad;
    int type, id;
    uint8_t end[8];
    int nend;
    Stream *s;
} Conn;

static struct {
    const char *connect, *path, *script, *software, *method;
    int conns, keep, idle, mux, verify, params;
    long long requests, body, expect;
    double seconds, warmup, timeout, pause;
} o = {.path = "/hello",

       .conns = 1,
       .mux = 1,
       .expect = -2,
       .timeout = 5,
       .pause = 0.5,
       .script = "/srv/www/index.php",
       .software = "nginx/1.22.1"};

static struct sockaddr_storage sa;
static socklen_t salen;
static int is_tcp;
static Req *reqs;
static int ep;
static uint8_t rbuf[RDBUF], pattern[CHUNK * 2];
static long long issued, done_n, errors, reconnects, stderr_recs, connect_fail, rx_body;
static char first_error[160];
static long long idle_ok, idle_closed;
static int stopping;
static Conn **retry;
static int nretry;
static uint64_t last_progress;

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + t.tv_nsec;
}
static void die(const char *m)
{
    perror(m);
    exit(2);
}

// --- latency histogram: 32 steps per power of two (3 % wide, read at the middle), in ns
static uint64_t hist[64 * 64], hmax;
static void hadd(uint64_t v)
{
    if (v > hmax)
        hmax = v;
    int e = v < 64 ? 0 : 58 - __builtin_clzll(v);
    hist[e * 64 + (v >> e)]++; // for e > 0, v >> e lies in 32..63
}
static double hpct(double p)
{
    uint64_t n = 0, acc = 0, want;
    for (int i = 0; i < 64 * 64; i++)
        n += hist[i];
    if (!n)
        return 0;
    want = (uint64_t)(p * n);
    if (want >= n)
        want = n - 1;
    for (int i = 0; i < 64 * 64; i++) {
        acc += hist[i];
        if (acc > want) {
            int e = i / 64;
            return (((uint64_t)(i % 64) << e) + ((1ull << e) >> 1)) / 1e3;
        }
    }
    return hmax / 1e3;
}

// --- building the request
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
static uint8_t *nv(uint8_t *p, const char *k, const char *v)
{
    size_t a = strlen(k), b = strlen(v);
    *p++ = a;
    if (b < 128)
        *p++ = b;
    else {
        *p++ = 0x80;
        *p++ = b >> 16;
        *p++ = b >> 8;
        *p++ = b;
    }
    memcpy(p, k, a);
    memcpy(p + a, v, b);
    return p + a + b;
}
// nginx's parameters and a browser's header fields; or the first N of them, and more fields up to
// N.
static size_t build_params(uint8_t *out)
{
    char uri[1024], name[1024], length[32] = "";
    uint8_t *p = out;
    snprintf(uri, sizeof uri, "%s", o.path);
    snprintf(name, sizeof name, "%s", o.path);
    char *query = strchr(name, '?');
    if (query)
        *query++ = 0;
    if (o.body)
        snprintf(length, sizeof length, "%lld", o.body);
    const char *const pairs[][2] = {
        {"REQUEST_METHOD", o.method},
        {"REQUEST_URI", uri},
        {"SCRIPT_NAME", name},
        {"SERVER_PROTOCOL", "HTTP/1.1"},
        {"QUERY_STRING", query ? query : ""},
        {"CONTENT_LENGTH", length},
        {"CONTENT_TYPE", o.body ? "application/octet-stream" : ""},
        {"SCRIPT_FILENAME", o.script},
        {"HTTP_HOST", "app.example.org"},
        {"DOCUMENT_URI", name},
        {"DOCUMENT_ROOT", "/var/www/html"},
        {"REQUEST_SCHEME", "https"},
        {"HTTPS", "on"},
        {"GATEWAY_INTERFACE", "CGI/1.1"},
        {"SERVER_SOFTWARE", o.software},
        {"REMOTE_ADDR", "203.0.113.57"},
        {"REMOTE_PORT", "51234"},
        {"REMOTE_USER", ""},
        {"SERVER_ADDR", "198.51.100.10"},
        {"SERVER_PORT", "443"},
        {"SERVER_NAME", "app.example.org"},
        {"REDIRECT_STATUS", "200"},
        {"HTTP_USER_AGENT",
         "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},
        {"HTTP_ACCEPT", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
        {"HTTP_ACCEPT_LANGUAGE", "en-GB,en;q=0.7,de;q=0.3"},
        {"HTTP_ACCEPT_ENCODING", "gzip, deflate, br, zstd"},
        {"HTTP_COOKIE", "session=3f6c1e0b2a9d4c5e8f7a6b5c4d3e2f10; theme=dark"},
        {"HTTP_REFERER", "https://app.example.org/start"},
    };
    int known = sizeof pairs / sizeof *pairs, wanted = o.params ? o.params : known;
    for (int i = 0; i < wanted && i < known; i++)
        p = nv(p, pairs[i][0], pairs[i][1]);
    for (int i = known; i < wanted; i++) {
        char field[32];
        snprintf(field, sizeof field, "HTTP_X_FIELD_%d", i);
        p = nv(p, field, "a value as long as most of them are");
    }
    return p - out;
}
static void build(Req *r, int id)
{
    uint8_t *par = malloc(1 << 16);
    size_t np = build_params(par), pad = -np & 7;
    r->head = malloc(16 + 8 + np + pad + 8 + SMALL + 64);
    uint8_t *p = rec(r->head, BEGIN, id, 8, 0);
    memset(p, 0, 8);
    p[1] = 1;
    p[2] = o.keep ? 1 : 0;
    p += 8;
    p = rec(p, PARAMS, id, np, pad);
    memcpy(p, par, np);
    memset(p + np, 0, pad);
    p += np + pad;
    p = rec(p, PARAMS, id, 0, 0);
    if (o.body <= CHUNK) {
        if (o.body) {
            p = rec(p, STDIN, id, o.body, 0);
            memcpy(p, pattern, o.body);
            p += o.body;
        }
        p = rec(p, STDIN, id, 0, 0);
    } else {
        r->nrep = o.body / CHUNK;
        r->nchunk = 8 + CHUNK;
        r->chunk = malloc(r->nchunk);
        memcpy(rec(r->chunk, STDIN, id, CHUNK, 0), pattern, CHUNK);
        uint8_t *t = r->tail = malloc(CHUNK + 16);
        unsigned rest = o.body % CHUNK;
        if (rest) {
            t = rec(t, STDIN, id, rest, 0);
            memcpy(t, pattern, rest);
            t += rest;
        }
        t = rec(t, STDIN, id, 0, 0);
        r->ntail = t - r->tail;
    }
    r->nhead = p - r->head;
    r->total = r->nhead + r->nrep * r->nchunk + r->ntail;
    free(par);
}
// up to `max` pieces of request r from offset off on
static int pieces(const Req *r, size_t off, struct iovec *v, int max)
{
    int n = 0;
    while (n < max && off < r->total) {
        uint8_t *b;
        size_t l;
        if (off < r->nhead) {
            b = r->head + off;
            l = r->nhead - off;
        } else if (off < r->nhead + r->nrep * r->nchunk) {
            size_t k = (off - r->nhead) % r->nchunk;
            b = r->chunk + k;
            l = r->nchunk - k;
        } else {
            size_t k = off - r->nhead - r->nrep * r->nchunk;
            b = r->tail + k;
            l = r->ntail - k;
        }
        v[n++] = (struct iovec){b, l};
        off += l;
    }
    return n;
}

// --- connections
static void fail(const char *why)
{
    errors++;
    if (!first_error[0])
        snprintf(first_error, sizeof first_error, "%s", why);
}
static void arm(Conn *c, int out, int op)
{
    struct epoll_event e = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(ep, op, c->fd, &e) < 0)
        die("epoll_ctl");
    c->want_out = out;
}
static void flush(Conn *c);
static int may_issue(void)
{
    return !stopping && (!o.requests || issued < o.requests);
}
static void issue(Conn *c, int i, uint64_t t)
{
    Stream *s = &c->s[i];
    s->t0 = t;
    s->body = 0;
    s->in_body = s->bad = s->nhdr = 0;
    s->busy = 1;
    c->q[(c->qh + c->qn++) % o.mux] = i;
    if (!c->idle)
        issued++;
}
static void start(Conn *c)
{
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    c->fd = fd;
    c->nh = c->qn = c->qh = 0;
    c->off = 0;
    c->left = c->pad = 0;
    c->connecting = 0;
    c->dead = 0;
    c->nend = 0;
    if (is_tcp) {
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    if (connect(fd, (struct sockaddr *)&sa, salen) < 0) {
        if (errno == EINPROGRESS)
            c->connecting = 1;
        else if (errno == EAGAIN) {
            close(fd);
            c->fd = -1;
            connect_fail++;
            retry[nretry++] = c;
            return;
        } else
            die("connect");
    }
    uint64_t t = now();
    int n = c->idle ? 1 : o.mux;
    for (int i = 0; i < n && (c->idle || may_issue()); i++)
        issue(c, i, t);
    arm(c, c->connecting, EPOLL_CTL_ADD);
    if (!c->connecting)
        flush(c);
}
static void gone(Conn *c, const char *why)
{ // the peer closed, or an error
    for (int i = 0; i < o.mux; i++)
        if (c->s[i].busy) {
            c->s[i].busy = 0;
            if (!c->idle)
                fail(why);
        }
    close(c->fd);
    c->fd = -1;
    c->dead = 1;
    if (c->idle) {
        idle_closed++;
        return;
    }
    reconnects++;
    if (may_issue())
        retry[nretry++] = c; // again at the next turn
}
static void flush(Conn *c)
{
    struct iovec v[64];
    while (c->qn) {
        int n = 0;
        size_t off = c->off, sum = 0;
        for (int k = 0; k < c->qn && n < 64; k++, off = 0) {
            int m = pieces(&reqs[c->q[(c->qh + k) % o.mux]], off, v + n, 64 - n);
            for (int j = 0; j < m; j++)
                sum += v[n + j].iov_len;
            n += m;
        }
        ssize_t w =
            n == 1 ? send(c->fd, v[0].iov_base, v[0].iov_len, MSG_NOSIGNAL)
                   : sendmsg(c->fd, &(struct msghdr){.msg_iov = v, .msg_iovlen = n}, MSG_NOSIGNAL);
        if (w < 0) {
            if (errno == EAGAIN) {
                if (!c->want_out)
                    arm(c, 1, EPOLL_CTL_MOD);
                return;
            }
            return; // the read side reports it
        }
        last_progress = 1;
        size_t left = w;
        while (c->qn) {
            size_t rest = reqs[c->q[c->qh]].total - c->off;
            if (left < rest) {
                c->off += left;
                break;
            }
            left -= rest;
            c->off = 0;
            c->qh = (c->qh + 1) % o.mux;
            c->qn--;
        }
        if ((size_t)w < sum) {
            if (!c->want_out)
                arm(c, 1, EPOLL_CTL_MOD);
            return;
        }
    }
    if (c->want_out)
        arm(c, 0, EPOLL_CTL_MOD);
}

// --- the response
static void body(Stream *s, const uint8_t *p, size_t n)
{
    if (o.verify && o.body && !s->bad)
        for (size_t i = 0; i < n;) {
            size_t at = (s->body + i) % CHUNK, m = CHUNK;
            if (m > n - i)
                m = n - i;
            if (memcmp(p + i, pattern + at, m)) {
                s->bad = 4;
                break;
            }
            i += m;
        }
    if (s->body == 0 && o.expect == 12 && n == 12 && memcmp(p, "Hello World\n", 12))
        s->bad = 4;
    s->body += n;
    rx_body += n;
}
static void head_line(Stream *s, const char *l, size_t n)
{
    if (n >= 7 && !strncasecmp(l, "Status:", 7)) {
        l += 7;
        while (*l == ' ')
            l++;
        if (memcmp(l, "200", 3))
            s->bad = 2;
    }
}
static void stdout_data(Stream *s, const uint8_t *p, size_t n)
{
    if (s->in_body) {
        body(s, p, n);
        return;
    }
    const char *b = (const char *)p;
    size_t m = n, at = 0;
    int joined = 0;
    if (s->nhdr) { // continue a header that came in pieces
        m = n;
        if (m > HEADMAX - (size_t)s->nhdr)
            m = HEADMAX - s->nhdr;
        memcpy(s->hdr + s->nhdr, p, m);
        b = s->hdr;
        m += s->nhdr;
        joined = 1;
    }
    while (at < m) {
        const char *e = memchr(b + at, '\n', m - at);
        if (!e)
            break;
        size_t len = e - (b + at);
        if (len && e[-1] == '\r')
            len--;
        if (!len) { // the blank line
            size_t used = e + 1 - b - (joined ? s->nhdr : 0);
            if (at == 0)
                s->bad = 3; // no header at all
            s->in_body = 1;
            if (used < n)
                body(s, p + used, n - used);
            return;
        }
        head_line(s, b + at, len);
        at = e + 1 - b;
    }
    if (joined)
        s->nhdr = m;
    else {
        if (n > HEADMAX)
            n = HEADMAX;
        memcpy(s->hdr, p, n);
        s->nhdr = n;
    }
    if (s->nhdr == HEADMAX) {
        s->bad = 3;
        s->in_body = 1;
    }
}
static int finish(Conn *c, int i)
{ // END_REQUEST; 1: the connection was closed
    Stream *s = &c->s[i];
    const char *why = NULL;
    if (c->nend < 8 || c->end[0] | c->end[1] | c->end[2] | c->end[3] | c->end[4])
        why = "END_REQUEST status not 0";
    else if (s->bad == 2)
        why = "status not 200";
    else if (s->bad == 4)
        why = "body differs";
    else if (!s->in_body || s->bad)
        why = "no header section";
    else if (o.expect >= 0 && s->body != o.expect)
        why = "body length differs";
    s->busy = 0;
    c->nend = 0;
    last_progress = 1;
    uint64_t t = now();
    if (c->idle) {
        if (why)
            fail(why);
        else
            idle_ok++;
        return 0;
    }
    if (why)
        fail(why);
    else {
        done_n++;
        s->done++;
        hadd(t - s->t0);
    }
    if (o.keep) {
        if (may_issue())
            issue(c, i, t);
        return 0;
    }
    close(c->fd);
    c->fd = -1;
    if (may_issue())
        start(c);
    return 1;
}
static void readable(Conn *c)
{
    ssize_t n = recv(c->fd, rbuf, RDBUF, 0);
    if (n < 0) {
        if (errno == EAGAIN)
            return;
        gone(c, strerror(errno));
        return;
    }
    if (n == 0) {
        gone(c, "peer closed with a request in flight");
        return;
    }
    last_progress = 1;
    const uint8_t *p = rbuf, *e = rbuf + n;
    while (p < e) {
        if (c->nh < 8) {
            if (c->nh == 0 && e - p >= 8) {
                memcpy(c->h, p, 8);
                p += 8;
                c->nh = 8;
            } else {
                while (c->nh < 8 && p < e)
                    c->h[c->nh++] = *p++;
                if (c->nh < 8)
                    return;
            }
            c->type = c->h[1];
            c->id = c->h[2] << 8 | c->h[3];
            c->left = c->h[4] << 8 | c->h[5];
            c->pad = c->h[6];
            if (c->h[0] != 1 || c->id < 1 || c->id > o.mux || !c->s[c->id - 1].busy) {
                gone(c, "bad record");
                return;
            }
            if (c->type == STDERR && c->left)
                stderr_recs++;
        }
        size_t k = c->left;
        if (k > (size_t)(e - p))
            k = e - p;
        if (k) {
            if (c->type == STDOUT)
                stdout_data(&c->s[c->id - 1], p, k);
            else if (c->type == END) {
                for (size_t j = 0; j < k && c->nend < 8; j++)
                    c->end[c->nend++] = p[j];
            }
            p += k;
            c->left -= k;
        }
        if (c->left)
            return;
        k = c->pad;
        if (k > (size_t)(e - p))
            k = e - p;
        p += k;
        c->pad -= k;
        if (c->pad)
            return;
        c->nh = 0;
        if (c->type == END && finish(c, c->id - 1))
            return;
    }
    if (c->qn)
        flush(c);
}
static int turn(int ms)
{
    static struct epoll_event ev[512];
    int n = epoll_wait(ep, ev, 512, ms);
    for (int i = 0; i < n; i++) {
        Conn *c = ev[i].data.ptr;
        if (c->fd < 0)
            continue;
        if (c->connecting) {
            int err = 0;
            socklen_t l = sizeof err;
            getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &l);
            if (err) {
                gone(c, strerror(err));
                continue;
            }
            c->connecting = 0;
        }
        if (ev[i].events & EPOLLOUT)
            flush(c);
        if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            readable(c);
    }
    int k = nretry;
    nretry = 0;
    Conn *again[k + 1];
    memcpy(again, retry, k * sizeof *again);
    for (int i = 0; i < k; i++)
        if (again[i]->idle || may_issue())
            start(again[i]);
    return n;
}
static Conn *conn(int idle)
{
    Conn *c = calloc(1, sizeof *c);
    int n = o.mux;
    c->idle = idle;
    c->fd = -1;
    c->q = calloc(n, sizeof *c->q);
    c->s = calloc(n, sizeof *c->s);
    return c;
}
static double cpu(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}
static void usage(void)
{
    puts("load --connect unix:/path|host:port\n"
         "  --connections N   active connections (1)      --keep          keep connections (else "
         "one per request)\n"
         "  --requests N | --seconds S                    --warmup S      not counted, with "
         "--seconds\n"
         "  --path /hello     request path (and query)    --body BYTES    POST that many bytes\n"
         "  --params N        so many parameters (nginx's)                --mux K         K "
         "multiplexed ids per "
         "connection\n"
         "  --idle N          N extra kept connections, each idle after one request\n"
         "  --idle-pause S    wait so long once they are open, for a look from outside (0.5)\n"
         "  --expect N        body length to expect (-1 any; default by path)\n"
         "  --verify          compare an echoed body      --timeout S     give up after S without "
         "progress (5)\n"
         "  --script FILE     SCRIPT_FILENAME (for PHP)\n"
         "  --software NAME   SERVER_SOFTWARE (nginx/1.22.1)");
    exit(0);
}
int main(int argc, char **argv)
{
    if (getenv("BENCH_SCRIPT"))
        o.script = getenv("BENCH_SCRIPT");
    static const struct option L[] = {
        {"connect", 1, 0, 'c'},    {"connections", 1, 0, 'n'}, {"keep", 0, 0, 'k'},
        {"requests", 1, 0, 'r'},   {"seconds", 1, 0, 's'},     {"warmup", 1, 0, 'w'},
        {"path", 1, 0, 'p'},       {"body", 1, 0, 'b'},        {"params", 1, 0, 'P'},
        {"idle", 1, 0, 'i'},       {"mux", 1, 0, 'm'},         {"expect", 1, 0, 'e'},
        {"verify", 0, 0, 'v'},     {"timeout", 1, 0, 't'},     {"script", 1, 0, 'S'},
        {"idle-pause", 1, 0, 'I'}, {"software", 1, 0, 'W'},    {"help", 0, 0, 'h'},
        {0, 0, 0, 0}};
    for (int ch; (ch = getopt_long(argc, argv, "h", L, NULL)) != -1;)
        switch (ch) {
        case 'c': o.connect = optarg; break;
        case 'n': o.conns = atoi(optarg); break;
        case 'k': o.keep = 1; break;
        case 'r': o.requests = atoll(optarg); break;
        case 's': o.seconds = atof(optarg); break;
        case 'w': o.warmup = atof(optarg); break;
        case 'p': o.path = optarg; break;
        case 'b': o.body = atoll(optarg); break;
        case 'P': o.params = atoi(optarg); break;
        case 'i': o.idle = atoi(optarg); break;
        case 'm': o.mux = atoi(optarg); break;
        case 'e': o.expect = atoll(optarg); break;
        case 'v': o.verify = 1; break;
        case 't': o.timeout = atof(optarg); break;
        case 'S': o.script = optarg; break;
        case 'I': o.pause = atof(optarg); break;
        case 'W': o.software = optarg; break;
        case 'h': usage(); break;
        default: return 2;
        }
    if (!o.connect || o.mux < 1 || o.mux > 65535 || o.conns < 0 || (o.mux > 1 && !o.keep)) {
        fputs("load: --connect is needed; --mux needs --keep\n", stderr);
        return 2;
    }
    if (!o.requests && o.seconds <= 0)
        o.requests = 1;
    if (o.expect == -2) {
        const char *n = strstr(o.path, "/bytes?n=");
        o.expect = n                               ? atoll(n + 9)
                   : !strncmp(o.path, "/echo", 5)  ? o.body
                   : !strncmp(o.path, "/file", 5)  ? 64ll << 20
                   : !strncmp(o.path, "/hello", 6) ? 12
                                                   : -1;
    }
    o.method = o.body || !strncmp(o.path, "/echo", 5) ? "POST" : "GET";
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (uint8_t)((i % CHUNK) * 131 >> 3);
    if (strncmp(o.connect, "unix:", 5) && o.connect[0] != '/') {
        struct sockaddr_in *in = (void *)&sa;
        char host[64];
        const char *k = strrchr(o.connect, ':');
        if (!k) {
            fputs("load: host:port\n", stderr);
            return 2;
        }
        snprintf(host, sizeof host, "%.*s", (int)(k - o.connect), o.connect);
        in->sin_family = AF_INET;
        in->sin_port = htons(atoi(k + 1));
        inet_pton(AF_INET, host, &in->sin_addr);
        salen = sizeof *in;
        is_tcp = 1;
    } else {
        struct sockaddr_un *un = (void *)&sa;
        un->sun_family = AF_UNIX;
        snprintf(un->sun_path, sizeof un->sun_path, "%s",
                 o.connect[0] == '/' ? o.connect : o.connect + 5);
        salen = sizeof *un;
    }
    struct rlimit rl = {65536, 65536};
    if (setrlimit(RLIMIT_NOFILE, &rl) < 0) {
        getrlimit(RLIMIT_NOFILE, &rl);
        rl.rlim_cur = rl.rlim_max;
        setrlimit(RLIMIT_NOFILE, &rl);
    }
    signal(SIGPIPE, SIG_IGN);
    ep = epoll_create1(EPOLL_CLOEXEC);
    reqs = calloc(o.mux, sizeof *reqs);
    for (int i = 0; i < o.mux; i++)
        build(&reqs[i], i + 1);
    retry = calloc(o.conns + o.idle + 16, sizeof *retry);

    if (o.idle) { // phase 1: the idle ones, 64 under way at most
        uint64_t seen = now();
        int started = 0;
        while (idle_ok + idle_closed + errors < o.idle) {
            while (started < o.idle && started - (idle_ok + idle_closed + errors) < 64) {
                start(conn(1));
                started++;
            }
            last_progress = 0;
            turn(50);
            if (last_progress)
                seen = now();
            else if (now() - seen > o.timeout * 1e9)
                break;
        }
        fprintf(stderr, "idle-ready %lld\n", idle_ok);
        uint64_t until = now() + (uint64_t)(o.pause * 1e9);
        while (now() < until)
            turn(20);
        errors = 0;
        idle_closed = 0;
    }
    Conn **cs = calloc(o.conns + 1, sizeof *cs);
    double c0 = cpu();
    uint64_t t0 = now(), seen = t0, limit = 0;
    int warm = o.warmup > 0 && o.seconds > 0, stalled = 0;
    if (o.seconds > 0)
        limit = t0 + (uint64_t)((o.seconds + (warm ? o.warmup : 0)) * 1e9);
    for (int i = 0; i < o.conns; i++) {
        cs[i] = conn(0);
        start(cs[i]);
    }
    for (;;) {
        last_progress = 0;
        turn(20);
        uint64_t t = now();
        if (warm && t - t0 > o.warmup * 1e9) {
            warm = 0;
            done_n = errors = reconnects = stderr_recs = connect_fail = rx_body = 0;
            hmax = 0;
            memset(hist, 0, sizeof hist);
            for (int i = 0; i < o.conns; i++)
                for (int k = 0; k < o.mux; k++)
                    cs[i]->s[k].done = 0;
            fputs("measuring\n", stderr);
            t0 = now();
            c0 = cpu();
        }
        if (limit && t >= limit)
            break;
        if (o.requests && done_n + errors >= o.requests)
            break;
        if (last_progress)
            seen = t;
        else if (t - seen > o.timeout * 1e9) {
            stalled = 1;
            break;
        }
    }
    double secs = (now() - t0) / 1e9, used = cpu() - c0;
    int starved = 0, inflight = 0;
    stopping = 1;
    for (int i = 0; i < o.conns; i++) {
        for (int k = 0; k < o.mux; k++)
            if (cs[i]->s[k].busy) {
                inflight++;
                if (!cs[i]->s[k].done)
                    starved++;
            }
    }
    if (stalled) {
        errors += inflight;
        if (!first_error[0])
            strcpy(first_error, "no progress");
    }
    printf("{\"requests\":%lld,\"errors\":%lld,\"seconds\":%.4f,\"rps\":%.1f,\"p50\":%.1f,\"p90\":%"
           ".1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f,"
           "\"mb_s\":%.1f,\"starved\":%d,\"stalled\":%d,\"reconnects\":%lld,\"connect_fail\":%lld,"
           "\"stderr_records\":%lld,\"idle_ok\":%lld,\"idle_closed\":%lld,"
           "\"gen_cpu\":%.3f,\"first_error\":\"%s\"}\n",
           done_n, errors, secs, done_n / secs, hpct(.5), hpct(.9), hpct(.99), hpct(.999),
           hmax / 1e3, rx_body / secs / 1e6, starved, stalled, reconnects, connect_fail,
           stderr_recs, idle_ok, idle_closed, used / secs, first_error);
    return errors ? 1 : 0;
}
