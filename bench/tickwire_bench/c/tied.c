/* Runs a command that ends with its parent: where that is killed, the system kills this one.
 *
 *     tied PARENT COMMAND [ARGUMENT]...
 *
 * PARENT is the process id of who started it: it may be gone before the system was asked. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: tied PARENT COMMAND [ARGUMENT]...\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != atoi(argv[1])) return 1;
    execvp(argv[2], argv + 2);
    fprintf(stderr, "%s: %s\n", argv[2], strerror(errno));
    return 127;
}
