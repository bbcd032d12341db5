package dataplane

import (
	"time"

	"github.com/culvert-vpn/culvert/dataplane/shed"
	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
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
	plan    upPlan // of the batch
	waiting opening
	up      tally
	touched []*Port // whose devices have packets of this batch
	given   []given // to them, of this batch
	next    int     // of the batch
	serving *SA     // whose packet is under way
	down    *sender // for packets from one client to another
	shedder *shed.Shedder
	filter  udp.Filter // of its socket; nil: it has none
}

func newWorker(p *Plane, id int, l *listener, conn udp.Conn) *worker {
	w := &worker{plane: p, id: id, natt: l.natt, port: l.local.Port(), conn: conn}
	w.down = newSender(p, id)
	w.count = w.down.count
	w.table = new(saTable)
	w.shedder = shed.New(w.table.has)
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
	w.filter, _ = reader.(udp.Filter)
	for {
		batch, err := reader.Read()
		if err != nil {
			return
		}
		if pressed != nil && w.natt {
			batch = w.shed(batch, pressed.Backlog())
		}
		w.batch(batch)
	}
}

// shed returns what is to be carried of a batch.
func (w *worker) shed(batch []udp.Message, backlog float64) []udp.Message {
	if w.shedder.Idle(backlog) {
		return batch
	}
	now := time.Now()
	kept := w.shedder.Cut(now, batch, shed.Load{Backlog: backlog, Clients: w.table.clients(), IKE: w.plane.lastIKE.Load(), Filters: w.filter != nil})
	w.count.dropMany(DropShare, len(batch)-len(kept))
	if w.filter == nil {
		return kept
	}
	if f, tell := w.shedder.Filter(now, backlog); tell {
		w.count.dropMany(DropShare, f.Dropped)
		if w.filter.SetFilter(f.Streams, f.Lease) != nil {
			w.filter = nil
		}
	}
	return kept
}

// batch carries a batch of datagrams up.
func (w *worker) batch(batch []udp.Message) {
	w.carry(batch)
	w.flush()
}

// carry carries a batch up to the devices. What panics costs its own packet, and
// the session: see survive.
func (w *worker) carry(batch []udp.Message) {
	w.table.mu.Lock()
	defer w.table.mu.Unlock()
	if w.natt {
		w.plan.prepare(batch, &w.table.sas)
	}
	for w.next = 0; w.next < len(batch); {
		w.datagrams(batch)
		for w.waiting.opened { // a panic came between
			w.openRest()
		}
	}
	for len(w.waiting.jobs) > 0 {
		w.openRest()
	}
	w.plan.forget()
}

// datagrams takes those of a batch that were not taken yet.
func (w *worker) datagrams(batch []udp.Message) {
	defer w.survive()
	for w.next < len(batch) {
		i := w.next
		w.next++
		if !w.natt {
			w.ike(&batch[i], batch[i].Data, false)
			continue
		}
		var sa *SA
		kind := w.plan.kinds[i]
		if kind == esp.ESP {
			sa = w.plan.sa(i, batch, &w.table.sas)
		}
		w.serving = sa
		w.datagram(&batch[i], kind, sa)
	}
}

// openRest opens what waits.
func (w *worker) openRest() {
	defer w.survive()
	w.openWaiting()
}

// flush writes to every device that was touched, once.
func (w *worker) flush() {
	for i, port := range w.touched {
		w.flushDevice(port)
		w.touched[i] = nil
	}
	w.touched = w.touched[:0]
	clear(w.given)
	w.given = w.given[:0]
	w.up.flush()
	w.down.flush()
}
