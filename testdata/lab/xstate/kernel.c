/*
 * Preloaded behind the remedy, this is the kernel of a host with AMX as far as NT_X86_XSTATE goes:
 * 11,008 bytes of state, which can be read in part, and are written all or not at all. What this
 * host has no place for is kept here, and so is everything if `alone` is set. Other requests go to
 * the kernel that there is.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

enum { WHOLE = 11008 };

typedef long ptrace_function(enum __ptrace_request request, ...);

/* What probe.c sets and sees: the state last written, and how often it was asked for and written. */
int alone, reads, writes;
unsigned char kept[WHOLE];

static ptrace_function *next;

__attribute__((constructor)) static void find_next(void) {
  next = (ptrace_function *)dlsym(RTLD_NEXT, "ptrace");
}

static long refuse(int why) {
  errno = why;
  return -1;
}

static long set(pid_t pid, const struct iovec *io) {
  writes++;
  if (io->iov_len < WHOLE)
    return refuse(EFAULT);
  memcpy(kept, io->iov_base, WHOLE);
  struct iovec real = {io->iov_base, WHOLE};
  return alone ? 0 : next(PTRACE_SETREGSET, pid, (void *)NT_X86_XSTATE, &real);
}

static long get(pid_t pid, struct iovec *io) {
  reads++;
  if (!alone) {
    struct iovec real = {kept, WHOLE};
    long r = next(PTRACE_GETREGSET, pid, (void *)NT_X86_XSTATE, &real);
    if (r != 0)
      return r;
  }
  if (io->iov_len > WHOLE)
    io->iov_len = WHOLE;
  memcpy(io->iov_base, kept, io->iov_len);
  return 0;
}

long ptrace(enum __ptrace_request request, ...) {
  va_list rest;
  va_start(rest, request);
  pid_t pid = va_arg(rest, pid_t);
  void *address = va_arg(rest, void *);
  void *data = va_arg(rest, void *);
  va_end(rest);
  if (alone && pid == -1)
    return refuse(ESRCH);
  if (request == PTRACE_SETREGSET && address == (void *)NT_X86_XSTATE)
    return set(pid, data);
  if (request == PTRACE_GETREGSET && address == (void *)NT_X86_XSTATE)
    return get(pid, data);
  return next(request, pid, address, data);
}
