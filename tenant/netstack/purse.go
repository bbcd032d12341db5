package netstack

import (
	"math"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

const (
	// memoryPart is the part of the machine's memory, one in so many, that TCP of
	// all tenants may hold; and devicePart that of it which one tenant may, if
	// nobody says how much.
	memoryPart, devicePart = 4, 2
	// clientPart is the part of a tenant's that one client may hold.
	clientPart = 2
	// crowded is how full a purse is, in percent, where connections that do not
	// move are let go.
	crowded = 75
)

// purse bounds what a client holds within what its tenant does, and that within
// what all of them do. It may be used concurrently.
type purse struct {
	parent *purse // nil: of all
	limit  int64
	used   atomic.Int64
}

// add says that so many bytes more are held, or fewer.
func (p *purse) add(n int) {
	for ; p != nil; p = p.parent {
		p.used.Add(int64(n))
	}
}

// filled is how full the purse is, or that which it is part of, in percent.
func (p *purse) filled() int {
	most := int64(0)
	for ; p != nil; p = p.parent {
		most = max(most, p.used.Load()*100/p.limit)
	}
	return int(most)
}

// most is how many bytes one buffer may have now.
func (p *purse) most() int { return levels[levelFor(p.filled())].max }

// part is a purse within p.
func (p *purse) part(of int64) *purse { return &purse{parent: p, limit: max(p.limit/of, 1)} }

// machineMemory is how many bytes of memory this process may take: what there is,
// or what Go is told.
func machineMemory() int64 {
	var info unix.Sysinfo_t
	total := int64(4 << 30)
	if unix.Sysinfo(&info) == nil {
		total = int64(uint64(info.Totalram) * uint64(info.Unit))
	}
	return min(total, debug.SetMemoryLimit(-1))
}

// newMemory is the purse of all.
func newMemory() *purse { return &purse{limit: max(machineMemory()/memoryPart, 1)} }

// bufferLevel is what buffers may be while up to a part of the memory is used.
type bufferLevel struct {
	used          int // percent
	send, receive int // what a buffer of a new connection may have, in bytes
	max           int // and any
}

// levels begin with one for 1 Gbit/s over 50 ms and 10 Gbit/s over 10 ms; half
// of a receive buffer is what is offered as window.
var levels = [...]bufferLevel{
	{50, firstBuffer, 2 * firstBuffer, maxBuffer},
	{75, firstBuffer, 2 * firstBuffer, maxBuffer / 4},
	{100, firstBuffer, firstBuffer, maxBuffer / 16},
	{math.MaxInt, minBufSize, firstBuffer, minBufSize},
}

// levelFor is the level for a part of the memory in percent.
func levelFor(used int) int {
	for i, l := range levels {
		if used < l.used {
			return i
		}
	}
	return len(levels) - 1
}

// allowance bounds the buffers of a device's connections by what is left. Each
// begins small and follows its connection's bandwidth and delay; the more they
// hold, the less the others may.
type allowance struct {
	stack *stack.Stack
	purse *purse // of the device

	mu    sync.Mutex
	level atomic.Int32 // of levels
}

// follow sets what the stack grants by what is held now.
func (a *allowance) follow() {
	if levelFor(a.purse.filled()) == int(a.level.Load()) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	level := levelFor(a.purse.filled())
	a.level.Store(int32(level))
	setBuffers(a.stack, levels[level])
}

// setBuffers bounds the buffers of a stack's connections, both those that are
// there and those to come.
func setBuffers(s *stack.Stack, l bufferLevel) tcpip.Error {
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: minBufSize, Default: l.receive, Max: max(l.max, l.receive)}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: minBufSize, Default: l.send, Max: l.max}
	if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, &receive); err != nil {
		return err
	}
	return s.SetTransportProtocolOption(tcp.ProtocolNumber, &send)
}
