// Process 1 of a machine that does nothing but run the enclave. Static, without a shell; what fails stops the machine.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void stop(const char *what) {
    perror(what);
    exit(1); // The kernel panics when process 1 ends.
}

static void put(const char *kind, const char *at, const char *options) {
    if (mkdir(at, 0755) != 0 && errno != EEXIST) stop(at);
    if (mount(kind, at, kind, MS_NOSUID | MS_NODEV | MS_NOEXEC, options) != 0) stop(at);
}

int main(void) {
    put("proc", "/proc", NULL);
    put("sysfs", "/sys", NULL);
    put("configfs", "/sys/kernel/config", NULL);
    put("tmpfs", "/state", "size=64m,mode=0700");
    char *const arguments[] = {"adyton-enclave", "--listen", "tcp:0.0.0.0:7100", "--state", "/state",
                               "--platform", "auto", NULL};
    char *const environment[] = {NULL};
    execve("/adyton-enclave", arguments, environment);
    stop("/adyton-enclave");
}
