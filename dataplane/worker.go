package dataplane

import (
	"time"

	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
	"github.com/culvert-vpn/culvert/tenant"
)

// ikeBatch is how many datagrams are read at once where there is only IKE.
const ikeBatch = 8

// worker reads one socket and carries each batch through to the end.
type worker struct {
	plane   *Plane
	id      int
	natt    bool
	port    uint16
	conn    udp.Conn
	count   *counters
	table   *saTable
	course  upCourse // of the batch
	waiting opening
	up      tally
	touched []tenant.Writer
	down    *sender // for packets from one client to another
	share   share
	company company
	sieve   udp.Sieve // of its socket; nil: it has none
}

func newWorker(p *Plane, id int, l *listener, conn udp.Conn) *worker {
	w := &worker{plane: p, id: id, natt: l.natt, port: l.local.Port(), conn: conn}
	w.down = newSender(p, id)
	w.count = w.down.count
	w.table = new(saTable)
	w.share.known = w.table.has
	return w
}

// run reads batches until the socket is closed.
func (w *worker) run() {
	size := ikeBatch
	if w.natt {
		size = batchSize
	}
	reader := w.conn.NewReader(size)
	pressed, _ := reader.(udp.Pressed)
	w.sieve, _ = reader.(udp.Sieve)
	for {
		batch, err := reader.Read()
		if err != nil {
			return
		}
		if pressed != nil && w.natt {
			batch = w.relieve(batch, pressed.Backlog())
		}
		w.batch(batch)
	}
}

// relieve returns what is to be carried of a batch.
func (w *worker) relieve(batch []udp.Message, backlog float64) []udp.Message {
	if w.share.idle(backlog) {
		return batch
	}
	now := time.Now()
	kept := w.share.cut(batch, backlog, w.company.alone(batch, w.table.clients(), w.plane.visitor.Load()), now)
	w.count.dropMany(DropShare, len(batch)-len(kept))
	if t := &w.share.thinning; w.sieve != nil && t.due(now, backlog) {
		w.count.dropMany(DropShare, t.spared)
		if w.sieve.Thin(t.streams, thinLease) != nil {
			w.sieve = nil
		}
	}
	return kept
}

// batch carries a batch of datagrams up.
func (w *worker) batch(batch []udp.Message) {
	if !w.natt {
		for i := range batch {
			w.ike(&batch[i], batch[i].Data, false)
		}
		return
	}
	w.table.mu.Lock()
	w.course.survey(batch, &w.table.sas)
	for i := range batch {
		var sa *SA
		kind := w.course.kinds[i]
		if kind == esp.ESP {
			sa = w.course.sa(i, batch, &w.table.sas)
		}
		w.datagram(&batch[i], kind, sa)
	}
	w.openWaiting()
	w.course.forget()
	w.table.mu.Unlock()
	w.flush()
}

// flush writes to every device that was touched, once.
func (w *worker) flush() {
	for i, out := range w.touched {
		if out.Flush() != nil {
			w.count.drop(DropDevice)
		}
		w.touched[i] = nil
	}
	w.touched = w.touched[:0]
	w.up.settle()
	w.down.flush()
}
