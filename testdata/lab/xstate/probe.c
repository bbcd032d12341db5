/*
 * Uses ptrace() as User-Mode Linux does, on a child of its own, and says what it saw: one line
 * "what: yes" or "what: no, ..." a demand. `probe amx` stands before the kernel of kernel.c,
 * `probe host` before the one that there is.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KNOWN = 2696, WHOLE = 11008, ROOM = 1 << 16, XSTATE_BV = 512, XMM0 = 160 };

extern unsigned char kept[] __attribute__((weak));
extern int alone __attribute__((weak)), reads __attribute__((weak)), writes __attribute__((weak));

static long words[2] = {-1, 42};
static unsigned char state[ROOM], again[ROOM];

static void demand(const char *what, int so) {
  int why = errno;
  printf("%s: %s\n", what, so ? "yes" : "no");
  if (!so)
    fprintf(stderr, "%s: errno %d (%s)\n", what, why, strerror(why));
}

static long get(pid_t pid, void *base, size_t *size) {
  struct iovec io = {base, *size};
  long r = ptrace(PTRACE_GETREGSET, pid, (void *)NT_X86_XSTATE, &io);
  *size = io.iov_len;
  return r;
}

static long set(pid_t pid, void *base, size_t size) {
  struct iovec io = {base, size};
  errno = 0;
  return ptrace(PTRACE_SETREGSET, pid, (void *)NT_X86_XSTATE, &io);
}

static int all(const unsigned char *p, size_t n, unsigned char b) {
  while (n > 0 && p[n - 1] == b)
    n--;
  return n == 0;
}

/* What glibc promises of the requests that return a word. */
static void peek(pid_t child) {
  errno = EBUSY;
  long r = ptrace(PTRACE_PEEKDATA, child, &words[0], NULL);
  demand("a word that is -1 is read, and errno is 0", r == -1 && errno == 0);
  r = ptrace(PTRACE_PEEKTEXT, child, &words[1], NULL);
  demand("another word is read", r == 42);
  r = ptrace(PTRACE_PEEKUSER, child, (void *)offsetof(struct user_regs_struct, rip), NULL);
  demand("a register is read", r != 0 && r != -1);
  errno = 0;
  r = ptrace(PTRACE_PEEKDATA, child, (void *)8, NULL);
  demand("a word that is not there is EIO", r == -1 && errno == EIO);
  errno = EBUSY;
  struct user_regs_struct regs;
  struct iovec io = {&regs, sizeof regs};
  r = ptrace(PTRACE_GETREGSET, child, (void *)NT_PRSTATUS, &io);
  demand("general registers are read", r == 0 && io.iov_len == sizeof regs);
  regs.rbx = 7;
  demand("and written", ptrace(PTRACE_SETREGSET, child, (void *)NT_PRSTATUS, &io) == 0);
  demand("and are what was written", ptrace(PTRACE_PEEKUSER, child, (void *)offsetof(struct user_regs_struct, rbx), NULL) == 7);
}

static void amx(pid_t child) {
  memset(kept, 0xaa, WHOLE);
  memset(state, 0x55, sizeof state);
  alone = 1;
  int written = writes;
  demand("2,696 bytes are taken", set(child, state, KNOWN) == 0);
  demand("by one write", writes == written + 1);
  demand("the first are the caller's", all(kept, KNOWN, 0x55));
  demand("the others are the process's own", all(kept + KNOWN, WHOLE - KNOWN, 0xaa));
  size_t size = KNOWN;
  demand("2,696 bytes are read", get(child, again, &size) == 0 && size == KNOWN && all(again, KNOWN, 0x55) && again[KNOWN] == 0);
  memset(state, 0x66, sizeof state);
  memset(kept + KNOWN, 0xbb, WHOLE - KNOWN);
  demand("the second time, the process is read anew", set(child, state, 576) == 0 && all(kept, 576, 0x66) &&
         all(kept + 576, KNOWN - 576, 0x55) && all(kept + KNOWN, WHOLE - KNOWN, 0xbb));
  int read = reads;
  demand("a whole area is taken as it is", set(child, state, WHOLE) == 0 && all(kept, WHOLE, 0x66) && reads == read);
  demand("one that is longer too", set(child, state, ROOM) == 0 && reads == read);
  struct iovec io = {state, KNOWN};
  errno = EBUSY;
  demand("success leaves errno and the request alone",
         ptrace(PTRACE_SETREGSET, child, (void *)NT_X86_XSTATE, &io) == 0 && errno == EBUSY && io.iov_base == state && io.iov_len == KNOWN);
  demand("a process that is gone is ESRCH", set(-1, state, KNOWN) == -1 && errno == ESRCH);
}

/* The real kernel: whatever this host has, its first 2,696 bytes can be given back and matter. */
static void host(pid_t child) {
  size_t size = ROOM;
  demand("the state is read", get(child, state, &size) == 0 && size >= 576);
  state[XSTATE_BV] |= 2; /* SSE */
  memset(state + XMM0, 0x5a, 16);
  size_t shorter = size > KNOWN ? KNOWN : size - 64;
  demand("a short one is taken", set(child, state, shorter) == 0);
  size_t now = ROOM;
  demand("and is there", get(child, again, &now) == 0 && now == size && all(again + XMM0, 16, 0x5a));
  state[XSTATE_BV] &= ~2;
  demand("a component whose bit is clear", set(child, state, shorter) == 0);
  demand("goes back to its initial state", get(child, again, &now) == 0 && all(again + XMM0, 16, 0));
}

int main(int argc, char **argv) {
  pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    raise(SIGSTOP);
    _exit(0);
  }
  waitpid(child, NULL, 0);
  peek(child);
  if (argc > 1 && strcmp(argv[1], "amx") == 0)
    amx(child);
  else
    host(child);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  return 0;
}
