package esp

import (
	"runtime"

	"github.com/culvert-vpn/culvert/esp/internal/aescbc"
	"github.com/culvert-vpn/culvert/esp/internal/mac"
)

// batchSize is how many packets are in work at once: enough to fill the widest
// registers again and again, and few enough for the nearest cache.
const batchSize = 32

// Batch seals and opens several packets at once, with results equal to those of
// Outbound.Seal and Inbound.Open one after the other. Packets of AES-CBC are
// encrypted side by side, of the same SA or of different ones, and so are their
// HMACs computed: that is several times faster, where the processor has the
// instructions. With other transforms it is no faster, and no slower.
//
// A Batch is scratch memory, about 15 KiB, for one goroutine at a time. Between
// calls it keeps nothing of what it was given. The zero value is ready; it must
// not be copied once it was used.
type Batch struct {
	lanes    aescbc.Lanes
	sums     mac.Lanes
	chains   [batchSize]aescbc.Message
	messages [batchSize]mac.Message
	work     [batchSize]work
	scratch  aeadScratch
}

// work is what is known of the packet of a job between its stages.
type work struct {
	job int
	pkt []byte
	seq uint64
}

// SealJob is a packet to seal: what Outbound.Seal is called with, and what it
// returns. Dst and Plain of one job must not share memory with those of another.
type SealJob struct {
	SA         *Outbound
	Dst        []byte // where the packet goes, as for Outbound.Seal
	Plain      []byte // the payload
	NextHeader uint8
	// Tailroom is how many bytes behind Plain, within its capacity, may be
	// overwritten. If that is TrailerMax or more, and Plain is not in the memory
	// of Dst, the payload is encrypted from where it is; otherwise it is copied
	// first, unless it already begins HeaderLen bytes into Dst.
	Tailroom int

	Packet []byte // the result: the sealed packet
	Err    error  // or the reason why there is none
}

// OpenJob is a packet to open: what Inbound.Open is called with, and what it
// returns. Packets of different jobs must not share memory.
type OpenJob struct {
	SA     *Inbound
	Packet []byte // decrypted in place

	Payload    []byte // the result: a part of Packet
	NextHeader uint8
	Err        error // or the reason why there is none
}

// SideBySide reports whether a Batch seals packets of this SA, several at once,
// faster than Seal does one by one.
func (o *Outbound) SideBySide() bool {
	return o.cbc != nil && o.cbc.aes != nil && aescbc.SideBySide()
}

// SideBySide reports whether a Batch opens packets of this SA, several at once,
// faster than Open does one by one.
func (i *Inbound) SideBySide() bool {
	return i.cbc != nil && i.cbc.aes != nil && i.cbc.mac.sums != nil
}

// SealOne does one job, as Outbound.Seal does, but without looking for scratch
// memory that is free.
func (b *Batch) SealOne(j *SealJob) {
	pkt, src, seq, err := j.SA.lay(j.Dst, j.Plain, j.NextHeader, j.Tailroom)
	if j.Packet, j.Err = pkt, err; err == nil {
		b.complete(j.SA, pkt, src, seq)
	}
}

// complete seals a packet that lay began, on its own.
func (b *Batch) complete(o *Outbound, pkt, src []byte, seq uint64) {
	if o.aead.aead != nil {
		o.aead.seal(&b.scratch, pkt, src, seq)
		return
	}
	o.seal(pkt, src, seq)
}

// Seal does all jobs, in their order as far as sequence numbers go, and fills
// in the results of each.
func (b *Batch) Seal(jobs []SealJob) {
	for len(jobs) > 0 {
		n := min(len(jobs), batchSize)
		b.seal(jobs[:n])
		jobs = jobs[n:]
	}
}

func (b *Batch) seal(jobs []SealJob) {
	n := 0
	for i := range jobs {
		if b.begin(&jobs[i], n) {
			b.work[n].job = i
			n++
		}
	}
	b.lanes.Encrypt(b.chains[:n])
	sums := 0
	for i := range n {
		w, o := &b.work[i], jobs[b.work[i].job].SA
		if o.cbc.mac.sums == nil {
			o.authenticate(w.pkt, w.seq)
			continue
		}
		o.cbc.mac.message(&b.messages[sums], w.pkt, w.seq)
		b.work[sums].pkt = w.pkt
		sums++
	}
	b.sums.Sum(b.messages[:sums])
	for i := range sums {
		m, pkt := &b.messages[i], b.work[i].pkt
		copy(pkt[len(m.Data):], m.Sum[:])
	}
	runtime.KeepAlive(jobs) // or the keys of their SAs are wiped too soon
	b.forget(n)
}

// begin lays the packet of a job and notes it as number n of those to be
// encrypted. It reports false if there is no more to do.
func (b *Batch) begin(j *SealJob, n int) bool {
	o := j.SA
	pkt, src, seq, err := o.lay(j.Dst, j.Plain, j.NextHeader, j.Tailroom)
	j.Packet, j.Err = pkt, err
	switch {
	case err != nil:
		return false
	case o.cbc == nil || o.cbc.aes == nil:
		b.complete(o, pkt, src, seq)
		return false
	}
	m := o.cbc.message(pkt)
	o.cbc.putIV((*[aescbc.BlockSize]byte)(m), seq)
	b.chains[n] = aescbc.Message{Key: o.cbc.aes, Message: m, Src: src}
	b.work[n] = work{pkt: pkt, seq: seq}
	return true
}

// authenticate completes an encrypted packet.
func (o *Outbound) authenticate(pkt []byte, seq uint64) {
	lane := o.lanes.claim()
	lane.work.(*cbcSealer).auth.put(pkt, seq)
	lane.release()
	runtime.KeepAlive(o)
}

// OpenOne does one job, as Inbound.Open does, but without looking for scratch
// memory that is free.
func (b *Batch) OpenOne(j *OpenJob) {
	j.Payload, j.NextHeader, j.Err = b.openOne(j.SA, j.Packet)
}

func (b *Batch) openOne(i *Inbound, pkt []byte) (payload []byte, nh uint8, err error) {
	if i.aead.aead == nil {
		return i.Open(pkt)
	}
	seq, err := i.admit(pkt)
	if err != nil {
		return nil, 0, err
	}
	if !i.aead.open(&b.scratch, pkt, seq) {
		return nil, 0, ErrAuth
	}
	return i.finish(pkt, seq)
}

// Open does all jobs, with regard to the replay window in their order, and
// fills in the results of each.
func (b *Batch) Open(jobs []OpenJob) {
	for len(jobs) > 0 {
		n := min(len(jobs), batchSize)
		b.open(jobs[:n])
		jobs = jobs[n:]
	}
}

func (b *Batch) open(jobs []OpenJob) {
	n := 0
	for i := range jobs {
		if b.check(&jobs[i], n) {
			b.work[n].job = i
			n++
		}
	}
	b.sums.Sum(b.messages[:n])
	for i := range n {
		j := &jobs[b.work[i].job]
		if !j.SA.cbc.mac.equal(j.Packet, b.messages[i].Sum[:]) {
			j.Err = j.SA.refusal(b.work[i].seq)
			continue
		}
		j.SA.cbc.aes.Decrypt(j.SA.cbc.message(j.Packet))
		j.Payload, j.NextHeader, j.Err = j.SA.finish(j.Packet, b.work[i].seq)
	}
	runtime.KeepAlive(jobs)
	b.forget(n)
}

// check looks at a packet's shape and number and notes it as number n of those
// to be verified. It reports false if there is no more to do.
func (b *Batch) check(j *OpenJob, n int) bool {
	i := j.SA
	if !i.SideBySide() {
		b.OpenOne(j)
		return false
	}
	j.Payload, j.NextHeader = nil, 0
	var seq uint64
	if seq, j.Err = i.admit(j.Packet); j.Err != nil {
		return false
	}
	i.cbc.mac.message(&b.messages[n], j.Packet, seq)
	b.work[n].seq = seq
	return true
}

// forget lets go of the first n packets, and of their keys.
func (b *Batch) forget(n int) {
	clear(b.chains[:n])
	clear(b.messages[:n])
	clear(b.work[:n])
}
