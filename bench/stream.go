package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// streams are the TCP connections of one end.
type streams struct {
	job     TrafficJob
	role    string
	bytes   atomic.Uint64
	running sync.WaitGroup
}

func (j TrafficJob) listenTCP(ctx context.Context, out io.Writer) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", j.Addr.String())
	if err != nil {
		return failed("%w", err)
	}
	fmt.Fprintln(out, "ready", l.Addr())
	s := &streams{job: j, role: listening}
	defer s.running.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	context.AfterFunc(ctx, func() { l.Close() })
	background(&s.running, func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.carry(ctx, conn)
		}
	})
	return s.wait(ctx, out)
}

func (j TrafficJob) dialTCP(ctx context.Context, out io.Writer) error {
	s := &streams{job: j, role: dialling}
	defer s.running.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	// What each hands on ends with it; the connections last longer.
	err := each(ctx, j.Streams, j.Streams, func(dialling context.Context, i int) error {
		conn, err := j.dialler(i).DialContext(dialling, "tcp", j.Addr.String())
		if err != nil {
			return failed("%w", err)
		}
		s.carry(ctx, conn)
		return nil
	})
	if err != nil {
		return err
	}
	return s.wait(ctx, out)
}

// dialler is what the i-th stream is dialled with.
func (j TrafficJob) dialler(i int) *net.Dialer {
	d := &net.Dialer{Timeout: patience}
	if j.Device != "" {
		name := numberedDevice(j.Device, i)
		d.Control = func(_, _ string, c syscall.RawConn) (err error) {
			if fault := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), name) }); fault != nil {
				return fault
			}
			return err
		}
	}
	return d
}

// carry sends or receives on a connection until ctx is done or the other end
// has had enough.
func (s *streams) carry(ctx context.Context, conn net.Conn) {
	work := s.send
	if s.role == s.job.receiver() {
		work = s.receive
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	background(&s.running, func() {
		work(conn)
		stop()
		conn.Close()
	})
}

func (s *streams) send(conn net.Conn) {
	buf := make([]byte, 128<<10)
	for {
		if _, err := conn.Write(buf); err != nil {
			return
		}
	}
}

func (s *streams) receive(conn net.Conn) {
	buf := make([]byte, 256<<10)
	for {
		n, err := conn.Read(buf)
		s.bytes.Add(uint64(n))
		if err != nil {
			return
		}
	}
}

// wait returns when the end's part is done: the receiver's when it has counted,
// the sender's when it is told to end, or nobody listens any more.
func (s *streams) wait(ctx context.Context, out io.Writer) error {
	if s.role == s.job.receiver() {
		t, err := s.job.count(ctx, &s.bytes, new(atomic.Uint64))
		if err != nil {
			return err
		}
		return json.NewEncoder(out).Encode(t)
	}
	if s.role == listening {
		<-ctx.Done()
		return nil
	}
	s.running.Wait()
	return nil
}
