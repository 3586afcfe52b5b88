// What does one CGI request cost: start, answer, end? The candidates take turns.
//
// starts [--rounds N] [--warm N] [--cpu N] NAME=COMMAND...      (a command is split at blanks)
//
// posix_spawn (vfork underneath) with 30 CGI variables, stdin /dev/null, stdout a pipe that is read
// to its end, then wait. Prints of each candidate: wall time, its ratio to the first candidate's
// round by round, the child's CPU (user and system, wait4), page faults, and how many answers were
// wrong.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
enum { MAXC = 32, MAXR = 20000 };
typedef struct {
    const char *name;
    char *argv[16];
    float *us, *cpu, *ratio;
    long flt, bad;
} Cand;
static char *env[] = {
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "GATEWAY_INTERFACE=CGI/1.1",
    "SERVER_SOFTWARE=Apache/2.4.62 (Debian)",
    "SERVER_PROTOCOL=HTTP/1.1",
    "REQUEST_METHOD=GET",
    "REQUEST_SCHEME=https",
    "HTTPS=on",
    "REQUEST_URI=/hello",
    "SCRIPT_NAME=/hello",
    "PATH_INFO=",
    "QUERY_STRING=",
    "CONTENT_LENGTH=0",
    "CONTENT_TYPE=",
    "DOCUMENT_ROOT=/var/www/html",
    "CONTEXT_PREFIX=/cgi-bin/",
    "SERVER_NAME=app.example.org",
    "SERVER_ADDR=198.51.100.10",
    "SERVER_PORT=443",
    "SERVER_ADMIN=webmaster@example.org",
    "REMOTE_ADDR=203.0.113.57",
    "REMOTE_PORT=51234",
    "UNIQUE_ID=Zx1yAn8AAQEAAAq3y7kAAAAA",
    "HTTP_HOST=app.example.org",
    "HTTP_USER_AGENT=Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "HTTP_ACCEPT=text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "HTTP_ACCEPT_LANGUAGE=en-GB,en;q=0.7,de;q=0.3",
    "HTTP_ACCEPT_ENCODING=gzip, deflate, br, zstd",
    "HTTP_COOKIE=session=3f6c1e0b2a9d4c5e8f7a6b5c4d3e2f10; theme=dark",
    "HTTP_REFERER=https://app.example.org/start",
    "REDIRECT_STATUS=200",
    "SCRIPT_FILENAME=/srv/www/index.php",
    NULL};
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}
static int one(Cand *c, int k)
{
    int p[2];
    char buf[65536];
    size_t n = 0;
    int st;
    struct rusage ru;
    if (pipe2(p, O_CLOEXEC)) {
        perror("pipe");
        exit(2);
    }
    double t = now();
    pid_t pid;
    posix_spawn_file_actions_t fa;
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&fa, p[1], 1);
    int e = posix_spawn(&pid, c->argv[0], &fa, NULL, c->argv, env);
    posix_spawn_file_actions_destroy(&fa);
    close(p[1]);
    if (e) {
        fprintf(stderr, "%s: %s\n", c->argv[0], strerror(e));
        exit(2);
    }
    for (ssize_t r; (r = read(p[0], buf + n, sizeof buf - 1 - n)) > 0;)
        n += r;
    close(p[0]);
    wait4(pid, &st, 0, &ru);
    double us = now() - t;
    buf[n] = 0;
    char *b = strstr(buf, "\r\n\r\n");
    b = b ? b + 4 : (b = strstr(buf, "\n\n")) ? b + 2 : NULL;
    int ok = st == 0 && b && !strcmp(b, "Hello World\n") &&
             (strncmp(buf, "Status:", 7) || !strncmp(buf + 8, "200", 3));
    if (!ok) {
        if (!c->bad)
            fprintf(stderr, "%s: bad answer (status %d): %.200s\n", c->name, st, buf);
        c->bad++;
    }
    if (k >= 0) {
        c->us[k] = us;
        c->flt = ru.ru_minflt;

        c->cpu[k] = ru.ru_utime.tv_sec * 1e6 + ru.ru_utime.tv_usec + ru.ru_stime.tv_sec * 1e6 +
                    ru.ru_stime.tv_usec;
    }
    return ok;
}
static int cmp(const void *a, const void *b)
{
    float x = *(float *)a, y = *(float *)b;
    return (x > y) - (x < y);
}
static float pct(float *v, int n, double p)
{
    qsort(v, n, sizeof *v, cmp);
    return v[(int)(p * (n - 1))];
}
int main(int argc, char **argv)
{
    static Cand c[MAXC];
    int n = 0, rounds = 100, warm = 5, cpu = -1;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--rounds"))
            rounds = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--warm"))
            warm = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--cpu"))
            cpu = atoi(argv[++i]);
        else {
            char *e = strchr(argv[i], '=');
            if (!e || n == MAXC) {
                fprintf(stderr, "NAME=COMMAND: %s\n", argv[i]);
                return 2;
            }
            *e = 0;
            c[n].name = argv[i];
            int k = 0;
            for (char *w = strtok(e + 1, " "); w && k < 15; w = strtok(NULL, " "))
                c[n].argv[k++] = w;
            c[n].us = calloc(MAXR, sizeof(float));
            c[n].cpu = calloc(MAXR, sizeof(float));
            c[n].ratio = calloc(MAXR, sizeof(float));
            n++;
        }
    }
    if (rounds > MAXR)
        rounds = MAXR;
    if (cpu >= 0) {
        cpu_set_t s;
        CPU_ZERO(&s);
        CPU_SET(cpu, &s);
        sched_setaffinity(0, sizeof s, &s);
    }
    for (int k = -warm; k < rounds; k++)
        for (int i = 0; i < n; i++)
            one(&c[k & 1 ? n - 1 - i : i], k);
    printf("| candidate | median µs | p10 | p90 | ÷ %s: p10 / **median** / p90 | CPU µs | page "
           "faults | wrong |\n|---|---|---|---|---|---|---|---|\n",
           c[0].name);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < rounds; k++)
            c[i].ratio[k] = c[i].us[k] / c[0].us[k];
    for (int i = 0; i < n; i++)
        printf("| %s | %.0f | %.0f | %.0f | %.2f / **%.2f** / %.2f | %.0f | %ld | %ld |\n",
               c[i].name, pct(c[i].us, rounds, .5), pct(c[i].us, rounds, .1),
               pct(c[i].us, rounds, .9), pct(c[i].ratio, rounds, .1), pct(c[i].ratio, rounds, .5),
               pct(c[i].ratio, rounds, .9), pct(c[i].cpu, rounds, .5), c[i].flt, c[i].bad);
    return 0;
}
