/* CGI hello in C: built static, dynamic, and static with musl */
#include <unistd.h>
int main(void)
{
    static const char m[] =
        "Status: 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello World\n";
    return write(1, m, sizeof m - 1) != sizeof m - 1;
}
