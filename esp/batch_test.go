package esp

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// batchEnds is one SA as a Batch sends on it, as Seal does, and as both are
// received.
type batchEnds struct {
	batch, single     *Outbound
	inBatch, inSingle *Inbound
	ref               reference
}

func wantEnds(t testing.TB, tr Transform, esn bool, salt byte) *batchEnds {
	t.Helper()
	keys := testKeys(tr)
	for _, k := range [][]byte{keys.Encryption, keys.Integrity} {
		for i := range k {
			k[i] ^= salt
		}
	}
	e := &batchEnds{ref: reference{name: tr.String(), keys: keys, spi: testSPI, esn: esn}}
	for _, o := range []**Outbound{&e.batch, &e.single} {
		var err error
		seed := bytes.NewReader(bytes.Repeat([]byte{salt}, 16))
		if *o, err = NewOutbound(OutboundConfig{SPI: testSPI, Transform: tr, Keys: keys, ESN: esn, Rand: seed}); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range []**Inbound{&e.inBatch, &e.inSingle} {
		var err error
		if *i, err = NewInbound(InboundConfig{SPI: testSPI, Transform: tr, Keys: keys, ESN: esn}); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// everyEnds is two SAs of every transform, with and without extended sequence
// numbers, the second of which is in its second 2^32.
func everyEnds(t testing.TB) (all []*batchEnds) {
	for _, tr := range Transforms() {
		for _, salt := range []byte{1, 2} {
			e := wantEnds(t, tr, salt == 2, salt)
			if salt == 2 {
				e.batch.sequence.Store(5 << 32)
				e.single.sequence.Store(5 << 32)
				e.inBatch.window.top = 5 << 32
				e.inSingle.window.top = 5 << 32
			}
			all = append(all, e)
		}
	}
	return all
}

// place makes a job's memory: payload in place, elsewhere in dst, or outside
// of it, with room behind it or without.
func place(pick *rand.Rand, e *batchEnds, plain []byte) SealJob {
	tr := e.batch.Transform()
	dst := bytes.Repeat([]byte{0xEE}, tr.SealedLen(len(plain))+128)
	j := SealJob{SA: e.batch, Dst: dst, NextHeader: uint8(pick.IntN(256)), Tailroom: pick.IntN(2) * tr.TrailerMax()}
	switch pick.IntN(4) {
	case 0:
		j.Plain = dst[tr.HeaderLen():][:copy(dst[tr.HeaderLen():], plain)]
	case 1:
		at := pick.IntN(40)
		j.Plain = dst[at:][:copy(dst[at:], plain)]
	case 2:
		room := append(bytes.Clone(plain), make([]byte, pick.IntN(2*tr.TrailerMax()))...)
		j.Plain = room[:len(plain)]
	default:
		j.Plain = bytes.Clone(plain)
	}
	return j
}

// Batches of any shape make the packets that Seal makes.
func TestBatchSeal(t *testing.T) {
	pick := rand.New(rand.NewPCG(1, 2))
	all := everyEnds(t)
	var b Batch
	for round := range 1500 {
		ends := all
		if round%3 == 0 { // of one transform
			i := pick.IntN(len(all))
			ends = all[i : i+1]
		}
		jobs, plains, from := make([]SealJob, 1+round%64), make([][]byte, 64), make([]*batchEnds, 64)
		for i := range jobs {
			from[i] = ends[pick.IntN(len(ends))]
			plains[i] = testPayload(pick.IntN([]int{1, 40, 300, 2000}[round%4]))
			jobs[i] = place(pick, from[i], plains[i])
		}
		b.Seal(jobs)
		for i, j := range jobs {
			want, err := from[i].single.Seal(make([]byte, 0, 4096), plains[i], j.NextHeader)
			if err != nil || j.Err != nil || !bytes.Equal(j.Packet, want) {
				t.Fatalf("round %d: job %d of %d, %v, %d bytes: %v\n%x, want\n%x", round, i, len(jobs), j.SA.transform, len(plains[i]), j.Err, j.Packet, want)
			}
			if &j.Packet[0] != &j.Dst[0] {
				t.Fatal("the packet is not in Dst")
			}
			if _, err := from[i].ref.open(from[i].single.HighSequence(), j.Packet); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantSameCounts(t, all, true)
}

func wantSameCounts(t *testing.T, all []*batchEnds, sealed bool) {
	t.Helper()
	for _, e := range all {
		p1, b1 := e.batch.Sealed()
		p2, b2 := e.single.Sealed()
		if !sealed {
			p1, b1 = e.inBatch.Opened()
			p2, b2 = e.inSingle.Opened()
		}
		if p1 != p2 || b1 != b2 || e.inBatch.HighSequence() != e.inSingle.HighSequence() {
			t.Errorf("%v: counted otherwise", e.batch.Transform())
		}
	}
}

// Batches open what Open opens and refuse what it refuses, for the same reason.
func TestBatchOpen(t *testing.T) {
	pick := rand.New(rand.NewPCG(3, 4))
	all := everyEnds(t)
	var b Batch
	var kept [][]byte
	var keptOf []*batchEnds
	counts := map[error]int{}
	for round := range 600 {
		jobs, from := make([]OpenJob, 1+round%64), make([]*batchEnds, 64)
		for i := range jobs {
			e := all[pick.IntN(len(all))]
			pkt, err := e.single.Seal(make([]byte, 0, 4096), testPayload(pick.IntN([]int{1, 40, 300, 2000}[round%4])), 17)
			if err != nil {
				t.Fatal(err)
			}
			kept, keptOf = append(kept, bytes.Clone(pkt)), append(keptOf, e)
			switch pick.IntN(12) {
			case 0: // again, or out of order
				k := len(kept) - 1 - pick.IntN(min(len(kept), 100))
				pkt, e = bytes.Clone(kept[k]), keptOf[k]
			case 1:
				pkt[pick.IntN(len(pkt))] ^= 1
			case 2:
				pkt = pkt[:pick.IntN(len(pkt))]
			}
			jobs[i], from[i] = OpenJob{SA: e.inBatch, Packet: pkt}, e
		}
		singles := make([][]byte, len(jobs))
		for i := range jobs {
			singles[i] = bytes.Clone(jobs[i].Packet)
		}
		b.Open(jobs)
		for i, j := range jobs {
			want, nh, err := from[i].inSingle.Open(singles[i])
			counts[err]++
			if j.Err != err || j.NextHeader != nh || !bytes.Equal(j.Payload, want) {
				t.Fatalf("round %d: job %d of %d, %v: %v, want %v\n%x, want\n%x", round, i, len(jobs), j.SA.transform, j.Err, err, j.Payload, want)
			}
		}
	}
	wantSameCounts(t, all, false)
	for _, err := range []error{nil, ErrReplay, ErrAuth, ErrShort, ErrSPI} {
		if counts[err] == 0 {
			t.Errorf("never: %v", err)
		}
	}
}

// One packet twice in a batch is opened once.
func TestBatchReplay(t *testing.T) {
	forEach(t, func(t *testing.T, tr Transform, esn bool) {
		out, in, _ := wantPair(t, tr, esn)
		pkt, _ := out.Seal(make([]byte, 0, 256), testPayload(50), 17)
		jobs := []OpenJob{{SA: in, Packet: bytes.Clone(pkt)}, {SA: in, Packet: bytes.Clone(pkt)}, {SA: in, Packet: pkt}}
		new(Batch).Open(jobs)
		if jobs[0].Err != nil || jobs[1].Err != ErrReplay || jobs[2].Err != ErrReplay || jobs[1].Payload != nil {
			t.Errorf("%v, %v, %v", jobs[0].Err, jobs[1].Err, jobs[2].Err)
		}
	})
}

// A job that cannot be done costs the others nothing, and takes no number.
func TestBatchErrors(t *testing.T) {
	forEach(t, func(t *testing.T, tr Transform, esn bool) {
		out, in, _ := wantPair(t, tr, esn)
		spent, _, _ := wantPair(t, tr, esn)
		spent.sequence.Store(spent.limit)
		dst := func() []byte { return make([]byte, 256) }
		jobs := []SealJob{
			{SA: out, Dst: dst(), Plain: testPayload(10)},
			{SA: out, Dst: dst()[:0:8], Plain: testPayload(10)},
			{SA: spent, Dst: dst(), Plain: testPayload(10)},
			{SA: out, Dst: dst(), Plain: nil},
		}
		var b Batch
		b.Seal(jobs)
		if jobs[1].Err != ErrSpace || jobs[2].Err != ErrSequenceExhausted || jobs[1].Packet != nil || jobs[2].Packet != nil {
			t.Errorf("%v, %v", jobs[1].Err, jobs[2].Err)
		}
		opens := []OpenJob{{SA: in, Packet: jobs[0].Packet}, {SA: in, Packet: nil}, {SA: in, Packet: jobs[3].Packet}}
		b.Open(opens)
		if opens[0].Err != nil || opens[1].Err != ErrShort || opens[2].Err != nil || !bytes.Equal(opens[0].Payload, testPayload(10)) {
			t.Errorf("%v, %v, %v", opens[0].Err, opens[1].Err, opens[2].Err)
		}
		if out.HighSequence() != 2 {
			t.Errorf("%d numbers were taken", out.HighSequence())
		}
		b.Seal(nil)
		b.Open(nil)
	})
}

// Nothing behind a payload is touched but the room that was given.
func TestBatchTailroom(t *testing.T) {
	forEach(t, func(t *testing.T, tr Transform, esn bool) {
		out, _, _ := wantPair(t, tr, esn)
		for _, room := range []int{-1, 0, 1, 5, tr.TrailerMax()} {
			for n := range 40 {
				memory := bytes.Repeat([]byte{0xEE}, n+64)
				copy(memory, testPayload(n))
				jobs := []SealJob{{SA: out, Dst: make([]byte, 256), Plain: memory[:n], Tailroom: room}, {SA: out, Dst: make([]byte, 256)}}
				new(Batch).Seal(jobs)
				behind := memory[n+max(room, 0):]
				if jobs[0].Err != nil || !bytes.Equal(memory[:n], testPayload(n)) || !bytes.Equal(behind, bytes.Repeat([]byte{0xEE}, len(behind))) {
					t.Fatalf("%d bytes, room for %d: %v, %x", n, room, jobs[0].Err, memory)
				}
			}
		}
	})
}

// Batches, Seals and Opens of several goroutines meet on one SA.
func TestBatchConcurrent(t *testing.T) {
	forEach(t, func(t *testing.T, tr Transform, esn bool) {
		out, in, _ := wantPair(t, tr, esn)
		const workers, each = 6, 40
		done := make(chan int)
		for range workers {
			go func() {
				var b Batch
				opened := 0
				jobs, opens := make([]SealJob, each), make([]OpenJob, each)
				for i := range jobs {
					jobs[i] = SealJob{SA: out, Dst: make([]byte, 256), Plain: testPayload(i)}
				}
				b.Seal(jobs)
				for i, j := range jobs {
					opens[i] = OpenJob{SA: in, Packet: j.Packet}
				}
				b.Open(opens)
				for i, j := range opens {
					if j.Err == nil && bytes.Equal(j.Payload, testPayload(i)) {
						opened++
					}
				}
				done <- opened
			}()
		}
		total := 0
		for range workers {
			total += <-done
		}
		if total != workers*each {
			t.Errorf("opened %d of %d", total, workers*each)
		}
	})
}

func TestBatchAllocations(t *testing.T) {
	all := everyEnds(t)
	jobs, opens := make([]SealJob, 64), make([]OpenJob, 64)
	var b Batch
	n := testing.AllocsPerRun(50, func() {
		for i := range jobs {
			e := all[i%len(all)]
			if jobs[i].Dst == nil {
				jobs[i] = SealJob{SA: e.batch, Dst: make([]byte, 2048), Plain: make([]byte, 1400)}
			}
			opens[i].SA = e.inBatch
		}
		b.Seal(jobs)
		for i := range jobs {
			opens[i].Packet = jobs[i].Packet
		}
		b.Open(opens)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
	for i := range opens {
		if opens[i].Err != nil {
			t.Fatal(opens[i].Err)
		}
	}
}
