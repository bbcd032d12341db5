package dataplane

import (
	"github.com/culvert-vpn/culvert/dataplane/udp"
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
	found   []finding // what is known of a part of the batch
	heat    uint32    // of no meaning: see warm
	waiting opening
	up      tally
	touched []tenant.Writer
	down    *sender // for packets from one client to another
	share   share
}

func newWorker(p *Plane, id int, l *listener, conn udp.Conn) *worker {
	w := &worker{plane: p, id: id, natt: l.natt, port: l.local.Port(), conn: conn}
	w.down = newSender(p, id)
	w.count = w.down.count
	w.table = newSATable()
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
	for {
		batch, err := reader.Read()
		if err != nil {
			return
		}
		if pressed != nil {
			w.share.measure(batch, pressed.Backlog())
		}
		w.batch(batch)
	}
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
	for len(batch) > 0 {
		n := min(len(batch), lookahead)
		w.part(batch[:n])
		batch = batch[n:]
	}
	w.openWaiting()
	clear(w.found)
	w.table.mu.Unlock()
	w.flush()
}

// part carries a part of a batch, no longer than what is looked up ahead.
func (w *worker) part(part []udp.Message) {
	if runs := w.find(part); 2*runs > len(part) {
		w.heat += warm(w.found)
	}
	for i := range part {
		if w.share.exceeds(part[i].Data) {
			w.count.drop(DropShare)
			continue
		}
		w.datagram(&part[i], &w.found[i])
	}
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
