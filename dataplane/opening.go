package dataplane

import (
	"github.com/culvert-vpn/culvert/dataplane/udp"
	"github.com/culvert-vpn/culvert/esp"
)

// openings is how many packets are opened side by side: as many as fill a Batch
// twice, and little enough for the cache.
const openings = 64

// opening is the ESP packets of a batch that wait to be opened side by side.
// They keep their order among themselves, and so whatever one SA carries does.
// A packet that is opened at once may overtake those of other SAs.
type opening struct {
	jobs  []esp.OpenJob
	from  []arrival
	batch esp.Batch

	opened bool // all jobs were, or met a panic
	whole  bool // they were
	done   int  // of the jobs: carried on
	alone  int  // how many packets more are opened one by one: see suspect
}

// arrival is what else is known of a packet that waits.
type arrival struct {
	sa      *SA
	message *udp.Message
}

func (o *opening) add(sa *SA, m *udp.Message) {
	o.jobs = append(o.jobs, esp.OpenJob{SA: &sa.In, Packet: m.Data})
	o.from = append(o.from, arrival{sa, m})
}

func (o *opening) full() bool { return len(o.jobs) == openings }

// forget lets go of what was opened.
func (o *opening) forget() {
	clear(o.jobs)
	clear(o.from)
	o.jobs, o.from = o.jobs[:0], o.from[:0]
	o.opened, o.whole, o.done = false, false, 0
}

// aloneAfter is how many packets are opened one by one after a panic that may have
// been anybody's: if it comes again, it is known whose it is.
const aloneAfter = 1 << 20

// suspect has what waits, and what comes next, opened one by one.
func (o *opening) suspect() {
	o.batch, o.alone = esp.Batch{}, aloneAfter
}

// openWaiting opens what waits and carries it on, in the order it came. After a
// panic it goes on behind the packet that met it.
func (w *worker) openWaiting() {
	o := &w.waiting
	if len(o.jobs) == 0 {
		return
	}
	if !o.opened {
		o.opened = true
		w.serving = nil
		o.batch.Open(o.jobs)
		o.whole = true
	}
	for o.done < len(o.jobs) {
		i := o.done
		o.done++
		w.serving = o.from[i].sa
		if !o.whole {
			o.batch.OpenOne(&o.jobs[i])
		}
		w.opened(o.from[i].sa, o.from[i].message, &o.jobs[i])
	}
	o.forget()
}
