package netstack

import (
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// allowance is how large the buffers of TCP connections may become. Each
// begins small and follows its connection's bandwidth and delay; the more of
// them have grown, the less the others may, so that all together stay about
// what is budgeted. Idle connections grow nothing and cost the others nothing.
type allowance struct {
	stack  *stack.Stack
	budget int

	mu    sync.Mutex
	grown int // bytes beyond what buffers begin with
	level int // of levels
}

// bufferLevel is what buffers may be while up to a part of the budget is used.
type bufferLevel struct {
	used         int // percent of the budget
	initial, max int // bytes of one direction of one connection
}

// levels begin with one for 1 Gbit/s over 50 ms and 10 Gbit/s over 10 ms; half
// of a receive buffer is what is offered as window.
func levels() []bufferLevel {
	return []bufferLevel{
		{50, defaultBuffer, maxBuffer},
		{75, defaultBuffer, maxBuffer / 4},
		{100, defaultBuffer, maxBuffer / 16},
		{1 << 30, defaultBuffer / 4, defaultBuffer},
	}
}

// levelFor is the level for a part of the budget in percent.
func levelFor(used int) int {
	for i, l := range levels() {
		if used < l.used {
			return i
		}
	}
	return len(levels()) - 1
}

// add says that buffers have grown by n bytes, or shrunk.
func (a *allowance) add(n int) {
	if n == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.grown += n
	if level := levelFor(int(int64(a.grown) * 100 / int64(a.budget))); level != a.level {
		a.level = level
		setBuffers(a.stack, levels()[level])
	}
}

// most is how many bytes one buffer may have now.
func (a *allowance) most() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return levels()[a.level].max
}

// setBuffers bounds the buffers of a stack's connections, both those that are
// there and those to come.
func setBuffers(s *stack.Stack, l bufferLevel) tcpip.Error {
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: minBufSize, Default: l.initial, Max: l.max}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: minBufSize, Default: l.initial, Max: l.max}
	if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, &receive); err != nil {
		return err
	}
	return s.SetTransportProtocolOption(tcp.ProtocolNumber, &send)
}

// share is what one buffer has grown by. It is for one goroutine.
type share struct {
	of    *allowance
	grown int
}

// set says how large the buffer is now.
func (s *share) set(size int64) {
	grown := max(int(size)-defaultBuffer, 0)
	s.of.add(grown - s.grown)
	s.grown = grown
}
