package netstack

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

const (
	// A host is asked whether it is there after so many seconds of silence, again
	// after so many, and so often.
	probeIdle, probeEvery, probeCount = 60, 15, 8
	// looks is how often in its idle time a connection is looked at.
	looks = 8
)

// liveness finds out whether somebody holds on to a TCP connection without
// sending data (RFC 5382 REQ-5): segments of the client's count, and those of the
// host. The two ends' keepalives are answered by two TCPs, so a client that asks
// whether the host is there has it asked: while there are segments of the client's
// without data, the host's socket sends keepalives too. The client is never asked,
// so that what it sends is its own; when its session ends, so do its connections.
type liveness struct {
	ep      tcpip.Endpoint
	host    syscall.RawConn // nil: no socket
	looked  time.Duration   // since the epoch of the flows
	client  uint64          // segments that it had sent then
	server  uint32          // segments that the host had
	probing bool            // since then: so some of the host's are answers
}

func newLiveness(ep tcpip.Endpoint, host syscall.RawConn, now time.Duration) *liveness {
	l := &liveness{ep: ep, host: host, looked: now}
	l.client, l.server = l.fromClient(), l.fromHost()
	l.probe(true)
	return l
}

// look reports whether either end has sent something since the last look, which
// was a part of idle ago at least.
func (l *liveness) look(now, idle time.Duration) bool {
	if now-l.looked < idle/looks {
		return false
	}
	client, server := l.fromClient(), l.fromHost()
	asked, spoke := client != l.client, server != l.server && !l.probing
	l.looked, l.client, l.server = now, client, server
	if asked != l.probing {
		l.probe(asked)
	}
	return asked || spoke
}

func (l *liveness) fromClient() uint64 {
	if s, ok := l.ep.Stats().(*tcp.Stats); ok {
		return s.SegmentsReceived.Value()
	}
	return 0
}

func (l *liveness) fromHost() (segments uint32) {
	if l.host == nil {
		return 0
	}
	l.host.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			segments = info.Segs_in
		}
	})
	return segments
}

// probe has the host's socket send keepalives, or not.
func (l *liveness) probe(on bool) {
	l.probing = on
	if l.host == nil {
		return
	}
	l.host.Control(func(fd uintptr) {
		if !on {
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0)
			return
		}
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, probeIdle)
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, probeEvery)
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPCNT, probeCount)
		unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	})
}
