// Peer: libfcgi (FCGX), N threads, each accepting; or --prefork N single-threaded processes.
// hello_fcgx --socket PATH|:port [--threads N] | under spawn-fcgi: hello_fcgx --prefork N
#include <fcgiapp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>
static const char HEAD[] = "Status: 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n";
static int sock;
static void answer(FCGX_Request *r)
{
    static __thread char buf[65528];
    const char *uri = FCGX_GetParam("REQUEST_URI", r->envp);
    if (!uri)
        uri = "";
    if (!strcmp(uri, "/hello")) {
        FCGX_PutStr(HEAD, sizeof HEAD - 1, r->out);
        FCGX_PutS("Hello World\n", r->out);
    } else if (!strncmp(uri, "/echo", 5)) {
        FCGX_PutStr(HEAD, sizeof HEAD - 1, r->out);
        for (int n; (n = FCGX_GetStr(buf, sizeof buf, r->in)) > 0;)
            FCGX_PutStr(buf, n, r->out);
    } else if (!strncmp(uri, "/bytes?n=", 9)) {
        FCGX_PutStr(HEAD, sizeof HEAD - 1, r->out);
        memset(buf, 'x', sizeof buf);
        for (long n = atol(uri + 9), k; n > 0; n -= k) {
            k = n < (long)sizeof buf ? n : (long)sizeof buf;
            FCGX_PutStr(buf, k, r->out);
        }
    } else if (!strcmp(uri, "/file")) {
        FILE *f = fopen(getenv("BENCH_FILE"), "r");
        FCGX_PutStr(HEAD, sizeof HEAD - 1, r->out);
        setvbuf(f, NULL, _IONBF, 0);
        for (int n; (n = fread(buf, 1, sizeof buf, f)) > 0;)
            FCGX_PutStr(buf, n, r->out);
        fclose(f);
    } else
        FCGX_PutS("Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\n", r->out);
}
static void *loop(void *x)
{
    FCGX_Request r;
    FCGX_InitRequest(&r, sock, 0);
    while (FCGX_Accept_r(&r) == 0) {
        answer(&r);
        FCGX_Finish_r(&r);
    }
    return x;
}
int main(int argc, char **argv)
{
    const char *s = NULL;
    int threads = 16, prefork = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--socket"))
            s = argv[i + 1];
        else if (!strcmp(argv[i], "--threads"))
            threads = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--prefork"))
            prefork = atoi(argv[i + 1]);
    }
    signal(SIGPIPE, SIG_IGN);
    FCGX_Init();
    if (s) {
        unlink(s);
        sock = FCGX_OpenSocket(s[0] == '/' ? s : strchr(s, ':'), 4096);
    }
    if (prefork) {
        for (int i = 0; i < prefork; i++)
            if (fork() == 0) {
                prctl(PR_SET_PDEATHSIG, SIGTERM);
                loop(NULL);
                _exit(0);
            }
        while (wait(NULL) > 0)
            ;
        return 0;
    }
    for (int i = 1; i < threads; i++) {
        pthread_t t;
        pthread_create(&t, NULL, loop, NULL);
    }
    loop(NULL);
}
