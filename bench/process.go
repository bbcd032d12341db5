package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a child. It dies with us, whatever happens to us.
type process struct {
	name  string
	cmd   *exec.Cmd
	lines lines
	ended chan struct{}
	err   error // why it ended; valid once ended is closed
}

// spawn starts a program within a namespace, and on CPUs; nil: ours.
func spawn(ns *namespace, on cpus, name string, argv []string, env ...string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(argv[0], argv[1:]...), ended: make(chan struct{})}
	p.lines.changed = make(chan struct{})
	p.cmd.Stdout, p.cmd.Stderr = &p.lines, &p.lines
	p.cmd.Env = append(os.Environ(), env...)
	// ^C is for us: we end children in the order that they need.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := ns.do(func() error { return on.do(p.cmd.Start) }); err != nil {
		return nil, failed("%s: %w", name, err)
	}
	var waiting sync.WaitGroup
	background(&waiting, func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	})
	return p, nil
}

// stop ends the process, politely at first.
func (p *process) stop(patience time.Duration) {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.kill()
	}
}

// kill ends the process, and what it has started, at once.
func (p *process) kill() {
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.ended
}

// result waits for the process to end by itself and returns what it wrote.
func (p *process) result(ctx context.Context) (string, error) {
	select {
	case <-p.ended:
	case <-ctx.Done():
		p.kill()
		return "", ctx.Err()
	}
	if p.err != nil {
		return "", p.fault("ended: %v", p.err)
	}
	return p.lines.String(), nil
}

// fault is an error with the last words of the process.
func (p *process) fault(format string, args ...any) error {
	return failed("%s %s; its last words: %s", p.name, fmt.Sprintf(format, args...), p.lines.last(6))
}

// wantLine waits until the process has written a line that begins so, and
// returns it.
func (p *process) wantLine(ctx context.Context, prefix string) (string, error) {
	for {
		line, changed := p.lines.find(prefix)
		if changed == nil {
			return line, nil
		}
		select {
		case <-changed:
		case <-p.ended:
			if line, changed := p.lines.find(prefix); changed == nil {
				return line, nil
			}
			return "", p.fault("ended early (%v)", p.err)
		case <-ctx.Done():
			return "", p.fault("did not say %q: %v", prefix, ctx.Err())
		}
	}
}

// wantUDP waits until somebody in the process's network listens on a UDP port.
func (p *process) wantUDP(ctx context.Context, port uint16) error {
	return p.wantPort(ctx, "udp", port)
}

// wantPort is wantUDP for any protocol.
func (p *process) wantPort(ctx context.Context, proto string, port uint16) error {
	return p.poll(ctx, fmt.Sprintf("does not listen on %s port %d", proto, port), func() bool {
		for _, table := range []string{proto, proto + "6"} {
			if hasPort(readAll(fmt.Sprintf("/proc/%d/net/%s", p.cmd.Process.Pid, table)), port) {
				return true
			}
		}
		return false
	})
}

// hasPort looks for a local port in the kernel's table of sockets.
func hasPort(table string, port uint16) bool {
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) > 1 && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
			return true
		}
	}
	return false
}

// poll waits until ready, for as long as ctx and the process last.
func (p *process) poll(ctx context.Context, complaint string, ready func() bool) error {
	for !ready() {
		select {
		case <-p.ended:
			return p.fault("ended early (%v)", p.err)
		case <-ctx.Done():
			return errors.Join(ctx.Err(), p.fault("%s", complaint))
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

// clockTick is the unit of times in /proc/PID/stat, the same on every Linux.
const clockTick = 10 * time.Millisecond

// cpu returns the CPU time that the process and its children have used, in all
// of their threads.
func (p *process) cpu() time.Duration {
	var sum time.Duration
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0
	}
	for _, path := range all {
		if stat := readAll(path); groupOf(stat) == p.cmd.Process.Pid {
			sum += cpuOf(stat)
		}
	}
	return sum
}

// statFields are the fields of /proc/PID/stat from the third on.
func statFields(stat string) []string {
	// The name of the program, in parentheses, may hold anything.
	_, rest, _ := strings.Cut(stat[max(0, strings.LastIndexByte(stat, ')')):], " ")
	return strings.Fields(rest)
}

// groupOf reads the process group from /proc/PID/stat.
func groupOf(stat string) int {
	fields := statFields(stat)
	if len(fields) < 3 {
		return 0
	}
	group, _ := strconv.Atoi(fields[2])
	return group
}

// cpuOf reads user and system time from /proc/PID/stat.
func cpuOf(stat string) time.Duration {
	fields := statFields(stat)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick
}

// resident returns the memory that the process has in RAM, in bytes.
func (p *process) resident() int64 {
	return residentOf(readAll(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid)))
}

// residentOf reads VmRSS from /proc/PID/status.
func residentOf(status string) int64 {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// lines keeps what a process writes, up to a bound.
type lines struct {
	mu      sync.Mutex
	text    []byte
	changed chan struct{}
}

// maxLines is how much of a process's output is kept, in bytes; of more, the
// end is dropped.
const maxLines = 1 << 20

// Write implements io.Writer.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.text) < maxLines {
		l.text = append(l.text, b...)
	}
	close(l.changed)
	l.changed = make(chan struct{})
	return len(b), nil
}

// String returns everything that was kept.
func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// find returns the line that begins so; a channel that tells of more if there
// is none.
func (l *lines) find(prefix string) (string, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(string(l.text)) {
		if strings.HasPrefix(line, prefix) && strings.HasSuffix(line, "\n") {
			return strings.TrimSpace(line), nil
		}
	}
	return "", l.changed
}

// last returns the last n lines in one.
func (l *lines) last(n int) string {
	all := strings.Split(strings.TrimSpace(l.String()), "\n")
	return strings.Join(all[max(0, len(all)-n):], " | ")
}
