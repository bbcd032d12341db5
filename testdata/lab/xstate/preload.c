/*
 * Preloaded into linux.uml, this lets it run on a processor with more state than it knows.
 *
 * User-Mode Linux 6.1 keeps 2,696 bytes of the XSAVE area of a process and gives as many back by
 * PTRACE_SETREGSET. Linux takes the whole area of the processor or refuses with EFAULT, and on a
 * processor with AMX the whole is 11,008 bytes: the first process of every client would be its last.
 * Here a request that is too short is made whole with what the process has already.
 *
 * What the caller gives goes through unchanged, XSTATE_BV of its header included, and that is what
 * counts for what it does not give: XRSTOR sets a component to its initial state when its bit is
 * clear, whatever the area holds. So a thread that never used AMX gets none of what another thread
 * of the same address space left in the tiles, and where the bit is set, the process keeps its own.
 *
 * Everything else is done by the next ptrace() in line, glibc's, with its rules about errno.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

enum { LARGEST = 1 << 16 }; /* more than any processor has; tables of LARGEST bytes are not touched until needed */

typedef long ptrace_function(enum __ptrace_request request, ...);

static ptrace_function *next;

/* How long the host's XSAVE area is; 0: not asked yet. It is the same for all processes. */
static size_t host_size;

/* Not on the stack, which is a kernel stack of UML. UML gives registers back from one thread. */
static unsigned char area[LARGEST] __attribute__((aligned(64)));

__attribute__((constructor)) static void find_next(void) {
  next = (ptrace_function *)dlsym(RTLD_NEXT, "ptrace");
}

/* Reads the process's own area and returns how long that is, 0 if it cannot be had whole. */
static size_t read_area(pid_t pid) {
  struct iovec io = {area, LARGEST};
  if (next(PTRACE_GETREGSET, pid, (void *)NT_X86_XSTATE, &io) != 0 || io.iov_len == LARGEST)
    return 0;
  return host_size = io.iov_len;
}

static long set_xstate(pid_t pid, struct iovec *given) {
  int before = errno;
  if ((host_size == 0 || given->iov_len < host_size) && given->iov_len < read_area(pid)) {
    struct iovec whole = {area, host_size};
    memcpy(area, given->iov_base, given->iov_len);
    errno = before;
    return next(PTRACE_SETREGSET, pid, (void *)NT_X86_XSTATE, &whole);
  }
  errno = before;
  return next(PTRACE_SETREGSET, pid, (void *)NT_X86_XSTATE, given);
}

long ptrace(enum __ptrace_request request, ...) {
  va_list rest;
  va_start(rest, request);
  pid_t pid = va_arg(rest, pid_t);
  void *address = va_arg(rest, void *);
  void *data = va_arg(rest, void *);
  va_end(rest);
  if (request == PTRACE_SETREGSET && address == (void *)NT_X86_XSTATE && data != NULL)
    return set_xstate(pid, data);
  return next(request, pid, address, data);
}
