package udp

import (
	"cmp"
	"errors"
	"math"
	"net"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// sieve is a filter on the socket: a program of classic BPF, which the kernel runs
// for each datagram, or each run that it has joined, on the CPU that received it.
// That takes no privilege.
type sieve struct {
	program []unix.SockFilter
	control func(fd uintptr) // built once
	err     error            // of control
	on      bool
	// spoilt: the kernel may have counted what a filter dropped among what the
	// socket lost since it was last asked.
	spoilt bool
}

// Thin implements Sieve.
func (r *reader) Thin(streams []Stream, lease time.Duration) error {
	streams = streams[:min(len(streams), MaxStreams)]
	slices.SortFunc(streams, func(a, b Stream) int { return cmp.Compare(a.Head, b.Head) })
	until := time.Now().Add(lease)
	r.sieve.program = appendSieve(r.sieve.program[:0], streams)
	if len(streams) == 0 {
		until = time.Time{}
	}
	err := r.filter()
	if err != nil && len(streams) > 0 {
		r.unthin()
		return err
	}
	return errors.Join(err, r.s.conn.SetReadDeadline(until))
}

// unthin has everything come through.
func (r *reader) unthin() { _ = r.Thin(nil, 0) }

// filter attaches the program, or detaches what is attached when there is none.
func (r *reader) filter() error {
	v := &r.sieve
	if len(v.program) == 0 && !v.on {
		return nil
	}
	v.on, v.spoilt = len(v.program) > 0, true
	if err := r.s.raw.Control(v.control); err != nil {
		return wantClosed(err)
	}
	return v.err
}

// attach is the system call of filter.
func (r *reader) attach(fd uintptr) {
	v := &r.sieve
	if len(v.program) == 0 {
		v.err = r.s.calls.option(int(fd), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
		return
	}
	v.err = r.s.calls.filter(int(fd), &unix.SockFprog{Len: uint16(len(v.program)), Filter: &v.program[0]})
}

// attachFilter is the system call that attaches a program to a socket.
func attachFilter(fd int, program *unix.SockFprog) error {
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, program)
}

// What a filter sees of a datagram begins with the UDP header.
const (
	headAt  = 8
	headEnd = headAt + 4
)

// What a filter returns is how much is left of the datagram.
const (
	passAll  = math.MaxUint32
	passNone = 0
)

const (
	streamLen = 4 // instructions that look at a stream
	forkLen   = 2 // and that divide the streams
)

// appendSieve appends the program for streams, which are sorted by their heads: a
// tree, whose leaves put into X below which random number a datagram passes.
func appendSieve(p []unix.SockFilter, streams []Stream) []unix.SockFilter {
	if len(streams) == 0 {
		return p
	}
	// A load from behind the end would drop the datagram.
	p = append(p,
		instruction(unix.BPF_LD|unix.BPF_W|unix.BPF_LEN, 0),
		jump(unix.BPF_JGE|unix.BPF_K, headEnd, 1, 0),
		instruction(unix.BPF_RET|unix.BPF_K, passAll),
		instruction(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, headAt))
	p = appendFork(p, streams, len(p)+treeLen(len(streams)))
	return append(p,
		instruction(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, adOff+adRandom),
		jump(unix.BPF_JGE|unix.BPF_X, 0, 0, 1),
		instruction(unix.BPF_RET|unix.BPF_K, passNone),
		instruction(unix.BPF_RET|unix.BPF_K, passAll))
}

// treeLen is how many instructions tell n streams apart.
func treeLen(n int) int { return streamLen*n + forkLen*(n-1) }

// appendFork appends what tells streams apart, and goes on at dice when it has
// found one.
func appendFork(p []unix.SockFilter, streams []Stream, dice int) []unix.SockFilter {
	if n := len(streams) / 2; n > 0 {
		p = append(p, jump(unix.BPF_JGE|unix.BPF_K, streams[n].Head, 0, 1), instruction(unix.BPF_JMP|unix.BPF_JA, uint32(treeLen(n))))
		p = appendFork(p, streams[:n], dice)
		return appendFork(p, streams[n:], dice)
	}
	pass := uint32(min(max(streams[0].Pass, 0)*(1<<32), passAll))
	p = append(p, jump(unix.BPF_JEQ|unix.BPF_K, streams[0].Head, 0, 2), instruction(unix.BPF_LDX|unix.BPF_IMM, pass))
	return append(p, instruction(unix.BPF_JMP|unix.BPF_JA, uint32(dice-len(p)-1)), instruction(unix.BPF_RET|unix.BPF_K, passAll))
}

// Ancillary data of a filter, in linux/filter.h: where they begin, and a random
// number.
const (
	adOff    = 1<<32 - 0x1000
	adRandom = 56
)

func instruction(code uint16, k uint32) unix.SockFilter { return unix.SockFilter{Code: code, K: k} }

// jump skips yes instructions, or no.
func jump(condition uint16, k uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | condition, Jt: yes, Jf: no, K: k}
}

// readError handles an error of a RawConn: the end of a lease, or of the socket.
func (r *reader) readError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, net.ErrClosed) {
		r.unthin()
		return nil
	}
	return wantClosed(err)
}
