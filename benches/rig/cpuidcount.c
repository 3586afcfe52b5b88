// cpuidcount COMMAND...: single-steps the command's main thread, prints instructions stepped and
// CPUID / XGETBV executed. In a virtual machine every CPUID is an exit to the hypervisor. With no
// command: prints what one CPUID costs here, in ns.
#include <cpuid.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    if (argc < 2) {
        unsigned a, b, c, d;
        struct timespec s, e;
        int n = 2000;
        clock_gettime(CLOCK_MONOTONIC, &s);
        for (int i = 0; i < n; i++)
            __cpuid_count(4, i & 3, a, b, c, d);
        clock_gettime(CLOCK_MONOTONIC, &e);
        printf("one CPUID: %.0f ns\n", ((e.tv_sec - s.tv_sec) * 1e9 + e.tv_nsec - s.tv_nsec) / n);
        return 0;
    }
    pid_t p = fork();
    if (!p) {
        int n = open("/dev/null", O_RDWR);
        dup2(n, 0);
        dup2(n, 1);
        dup2(n, 2);
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        execvp(argv[1], argv + 1);
        _exit(127);
    }
    int st;
    long steps = 0, cpuid = 0, xgetbv = 0, max = getenv("MAX") ? atol(getenv("MAX")) : 3000000;
    waitpid(p, &st, 0);
    while (WIFSTOPPED(st) && steps < max) {
        struct user_regs_struct r;
        ptrace(PTRACE_GETREGS, p, 0, &r);
        long w = ptrace(PTRACE_PEEKTEXT, p, r.rip, 0);
        if ((w & 0xffff) == 0xa20f)
            cpuid++;
        if ((w & 0xffffff) == 0xd0010f)
            xgetbv++;
        steps++;
        int sig = WSTOPSIG(st);
        if (sig == 5)
            sig = 0;
        if (ptrace(PTRACE_SINGLESTEP, p, 0, sig))
            break;
        waitpid(p, &st, 0);
    }
    printf("%ld steps%s, %ld CPUID, %ld XGETBV\n", steps, steps >= max ? " (stopped there)" : "",
           cpuid, xgetbv);
    if (steps >= max) {
        kill(p, 9);
        waitpid(p, &st, 0);
    }
}
