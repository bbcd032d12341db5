package deadline

import (
	"slices"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"
)

type session struct {
	Alarm
	name int
}

var start = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// model is what a heap is to be: the deadlines that are set, by name.
type model map[int]time.Time

func (m model) next() (first time.Time) {
	for _, at := range m {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first
}

func (m model) check(t *rapid.T, h *Heap[*session], all []session, now time.Time) {
	if h.Len() != len(m) || !h.Next().Equal(m.next()) {
		t.Fatalf("%d deadlines, the first %v; want %d, %v", h.Len(), h.Next(), len(m), m.next())
	}
	for i := range all {
		if got := all[i].Deadline(); !got.Equal(m[i]) {
			t.Fatalf("deadline of %d: %v; want %v", i, got, m[i])
		}
	}
	due, is := h.Due(now)
	if is != (len(m) > 0 && !m.next().After(now)) || is && !m[due.name].Equal(m.next()) {
		t.Fatalf("due at %v: %v, %v; the first is at %v", now, due, is, m.next())
	}
}

// TestHeap: whatever is set, moved and stopped, the earliest deadline is the first, and
// each thing knows its own.
func TestHeap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h Heap[*session]
		all, m := make([]session, 12), model{}
		for i := range all {
			all[i].name = i
		}
		moment := rapid.Map(rapid.IntRange(0, 9), func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) })
		name := rapid.IntRange(0, len(all)-1)
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) { m.check(t, &h, all, moment.Draw(t, "now")) },
			"set": func(t *rapid.T) {
				i, at := name.Draw(t, "name"), moment.Draw(t, "at")
				h.Set(&all[i], at)
				m[i] = at
			},
			"unset": func(t *rapid.T) {
				i := name.Draw(t, "name")
				h.Set(&all[i], time.Time{})
				delete(m, i)
			},
			"stop": func(t *rapid.T) {
				i := name.Draw(t, "name")
				h.Stop(&all[i])
				delete(m, i)
			},
		})
		for now := start.Add(time.Hour); len(m) > 0; {
			s, ok := h.Due(now)
			if !ok || !m[s.name].Equal(m.next()) {
				t.Fatalf("out of order: %v, %v; want %v", s, ok, m.next())
			}
			h.Stop(s)
			delete(m, s.name)
			m.check(t, &h, all, now)
		}
	})
}

// TestStoppedIsForgotten: the heap keeps nothing alive that has no deadline.
func TestStoppedIsForgotten(t *testing.T) {
	var h Heap[*session]
	all := make([]session, 5)
	for i := range all {
		h.Set(&all[i], start.Add(time.Duration(i)))
	}
	for i := range all {
		h.Stop(&all[i])
	}
	if i := slices.IndexFunc(h.waiting[:cap(h.waiting)], func(s *session) bool { return s != nil }); i >= 0 {
		t.Errorf("place %d still has a session", i)
	}
}

// TestCost: a deadline takes one pointer and the Alarm, and moving one allocates nothing.
func TestCost(t *testing.T) {
	if n := unsafe.Sizeof(Alarm{}); n > 32 {
		t.Errorf("an Alarm takes %d octets", n)
	}
	var h Heap[*session]
	all := make([]session, 1000)
	for i := range all {
		h.Set(&all[i], start.Add(time.Duration(i*7919%1000)))
	}
	round := 0
	if n := testing.AllocsPerRun(1000, func() {
		round++
		s := &all[round%len(all)]
		h.Set(s, start.Add(time.Duration(round*31%1000)))
		h.Stop(s)
		h.Set(s, start.Add(time.Duration(round*37%1000)))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestEarliest(t *testing.T) {
	var never time.Time
	later := start.Add(time.Second)
	for _, c := range []struct {
		of   []time.Time
		want time.Time
	}{
		{nil, never},
		{[]time.Time{never, never}, never},
		{[]time.Time{never, start}, start},
		{[]time.Time{start, never}, start},
		{[]time.Time{later, never, start}, start},
		{[]time.Time{start, later}, start},
	} {
		if got := Earliest(c.of...); !got.Equal(c.want) {
			t.Errorf("Earliest(%v) = %v", c.of, got)
		}
	}
}

func TestDue(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		want bool
	}{{time.Time{}, false}, {start.Add(-1), true}, {start, true}, {start.Add(1), false}} {
		if got := Due(start, c.at); got != c.want {
			t.Errorf("Due at %v: %v", c.at, got)
		}
	}
}
