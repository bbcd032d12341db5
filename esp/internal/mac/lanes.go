package mac

import "unsafe"

// laneCount is how many messages fit into the widest registers.
const laneCount = 16

// Lanes is the memory in which messages are worked on side by side. The zero
// value is ready.
type Lanes struct {
	state   wideState
	data    [laneCount]unsafe.Pointer
	cursors [laneCount]cursor
	busy    int // cursors with a message
	queue   queue
}

// queue is the messages that have not begun, of which only those of one hash count.
type queue struct {
	all  []Message
	hash Hash
}

func (q *queue) next() *Message {
	for len(q.all) > 0 {
		m := &q.all[0]
		q.all = q.all[1:]
		if m.Key.hash == q.hash {
			return m
		}
	}
	return nil
}

// count is how many are left, as far as it matters.
func (q *queue) count(most int) (n int) {
	for i := range q.all {
		if q.all[i].Key.hash == q.hash {
			n++
		}
		if n == most {
			break
		}
	}
	return n
}

// Sum fills in the sums of all messages.
func (l *Lanes) Sum(all []Message) {
	if !SideBySide() || len(all) == 1 && Fast() {
		for i := range all {
			all[i].Compute()
		}
		return
	}
	for _, h := range [...]Hash{SHA1, SHA256} {
		l.queue = queue{all, h}
		l.sumWide(h)
		l.sumPairs(h)
	}
	l.queue = queue{}
}

// few is how many messages are done sooner in pairs than in wide registers,
// which cost the same however full they are.
func (h Hash) few() int {
	switch {
	case !cpu.SHA:
		return 0
	case h == SHA1:
		return 5
	}
	return 8
}

// sumWide works until only few messages are left, which then are in cursors.
func (l *Lanes) sumWide(h Hash) {
	few := h.few()
	if !cpu.Wide || l.queue.count(few+1) <= few {
		return
	}
	for i := range l.cursors {
		l.refill(i)
	}
	for l.busy > few {
		n := l.step()
		h.compressWide(&l.state, &l.data, n)
		for i := range l.cursors {
			if c := &l.cursors[i]; c.message != nil && !c.advance(n) {
				l.turn(i, h)
			} else {
				l.data[i] = c.at
			}
		}
	}
	for i := range l.cursors {
		if l.cursors[i].message != nil {
			l.load(i, h)
		}
	}
	l.data = [laneCount]unsafe.Pointer{}
}

// step is for how many blocks nothing changes. Idle lanes read what a busy one
// reads.
func (l *Lanes) step() int {
	n, some := 0, unsafe.Pointer(nil)
	for i := range l.cursors {
		if c := &l.cursors[i]; c.message != nil && (n == 0 || c.left < n) {
			n, some = c.left, c.at
		}
	}
	if l.busy < laneCount {
		for i := range l.cursors {
			if l.cursors[i].message == nil {
				l.data[i] = some
			}
		}
	}
	return n
}

// turn takes a lane to its message's next stage, or to the next message.
func (l *Lanes) turn(i int, h Hash) {
	l.load(i, h)
	if c := &l.cursors[i]; c.next() {
		l.store(i)
		return
	}
	l.busy--
	l.refill(i)
}

// refill gives an idle lane a message, if there is one.
func (l *Lanes) refill(i int) {
	m := l.queue.next()
	if m == nil {
		return
	}
	l.cursors[i].start(m)
	l.busy++
	l.store(i)
}

// load takes the state of a lane out of the registers' memory, store puts it there.
func (l *Lanes) load(i int, h Hash) {
	for j := range h.words() {
		l.cursors[i].s[j] = l.state[j][i]
	}
}

func (l *Lanes) store(i int) {
	c := &l.cursors[i]
	for j, w := range &c.s {
		l.state[j][i] = w
	}
	l.data[i] = c.at
}

// sumPairs works on what sumWide left, and on what it did not begin, two
// messages at a time, and on the last one alone.
func (l *Lanes) sumPairs(h Hash) {
	from := 0
	a, b := l.take(&l.cursors[0], &from), l.take(&l.cursors[1], &from)
	for a != nil && b != nil {
		n := min(a.left, b.left)
		h.compressTwo(&a.s, a.at, &b.s, b.at, n)
		if !a.advance(n) && !a.next() {
			a = l.take(a, &from)
		}
		if !b.advance(n) && !b.next() {
			b = l.take(b, &from)
		}
	}
	if a == nil {
		a = b
	}
	for more := a != nil; more; more = a.next() {
		h.compress(&a.s, a.blocks())
	}
	l.busy = 0
}

// take returns a cursor that was begun before, the first from number from on,
// or else begins the next message in the free one.
func (l *Lanes) take(free *cursor, from *int) *cursor {
	for l.busy > 0 {
		c := &l.cursors[*from]
		*from++
		if c.message != nil {
			l.busy--
			return c
		}
	}
	if m := l.queue.next(); m != nil {
		free.start(m)
		return free
	}
	return nil
}
