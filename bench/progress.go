package bench

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Progress tells a person what is going on. A nil Progress tells nothing.
type Progress struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	began    time.Time
	pending  bool // a line that the next one may overwrite
}

// NewProgress writes to w; lines that will be outdated soon are overwritten if
// that is a terminal, and left out if not.
func NewProgress(w io.Writer) *Progress {
	p := &Progress{w: w, began: time.Now()}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// Say writes a line that stays.
func (p *Progress) Say(format string, args ...any) { p.line("\n", format, args...) }

// Update writes a line that the next one replaces.
func (p *Progress) Update(format string, args ...any) {
	if p != nil && p.terminal {
		p.line("", format, args...)
	}
}

func (p *Progress) line(end, format string, args ...any) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
	p.pending = end == ""
	fmt.Fprintf(p.w, "%6.1f s  %s%s", time.Since(p.began).Seconds(), fmt.Sprintf(format, args...), end)
}
