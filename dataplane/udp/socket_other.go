//go:build !linux

package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
)

// Socket is a UDP socket of the operating system. It implements Conn.
type Socket struct {
	conn           *net.UDPConn
	local          netip.AddrPort
	config         Config
	received, sent atomic.Uint64
	refused        atomic.Uint64
}

var _ Conn = (*Socket)(nil)

// Listen binds a socket. An error wraps ErrConfig or is the system's.
// ReusePort is refused: what it means differs between systems.
func Listen(c Config) (*Socket, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.ReusePort {
		return nil, fmt.Errorf("%w: ReusePort needs Linux", ErrConfig)
	}
	conn, err := new(net.ListenConfig).ListenPacket(context.Background(), c.network(), c.Addr.String())
	if err != nil {
		return nil, fmt.Errorf("udp: %w", err)
	}
	s := &Socket{conn: conn.(*net.UDPConn), config: c}
	if c.ReceiveBuffer > 0 {
		_ = s.conn.SetReadBuffer(c.ReceiveBuffer)
	}
	if c.SendBuffer > 0 {
		_ = s.conn.SetWriteBuffer(c.SendBuffer)
	}
	local := s.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	s.local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	return s, nil
}

// LocalAddr is the address bound to, with the port that the system chose.
func (s *Socket) LocalAddr() netip.AddrPort { return s.local }

// Close ends all reading and writing.
func (s *Socket) Close() error {
	if err := s.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("udp: %w", err)
	}
	return nil
}

// Granted repeats what was asked for: there is no portable way to know more.
func (s *Socket) Granted() Granted {
	return Granted{ReceiveBuffer: s.config.ReceiveBuffer, SendBuffer: s.config.SendBuffer}
}

// Stats counts datagrams since Listen.
func (s *Socket) Stats() Stats {
	received, sent := s.received.Load(), s.sent.Load()
	return Stats{Received: received, Sent: sent, Refused: s.refused.Load(), Calls: received + sent}
}

// NewReader makes a reader of one datagram a call, whatever the batch.
func (s *Socket) NewReader(int) Reader {
	return &reader{s: s, memory: make([]byte, 1<<16)}
}

// NewWriter makes a writer that sends at once, whatever the batch.
func (s *Socket) NewWriter(int) Writer { return &writer{s: s} }

type reader struct {
	s        *Socket
	memory   []byte
	messages [1]Message
}

// Read implements Reader.
func (r *reader) Read() ([]Message, error) {
	n, remote, err := r.s.conn.ReadFromUDPAddrPort(r.memory)
	if errors.Is(err, net.ErrClosed) {
		return nil, net.ErrClosed
	}
	if err != nil {
		return nil, fmt.Errorf("udp: %w", err)
	}
	r.s.received.Add(1)
	m := Message{Data: r.memory[:n:n], Remote: netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())}
	if local := r.s.local.Addr(); !local.IsUnspecified() {
		m.Local = local
	}
	r.messages[0] = m
	return r.messages[:], nil
}

type writer struct {
	s   *Socket
	err error
}

// Commit implements Writer.
func (w *writer) Commit(data []byte, remote netip.AddrPort, _ netip.Addr) {
	remote = netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
	_, err := w.s.conn.WriteToUDPAddrPort(data, remote)
	switch {
	case err == nil:
		w.s.sent.Add(1)
	case errors.Is(err, net.ErrClosed):
		w.err = net.ErrClosed
	default:
		w.s.refused.Add(1)
	}
}

// Flush implements Writer.
func (w *writer) Flush() error {
	err := w.err
	w.err = nil
	return err
}
