package policy

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
)

// shard has the flows of some sessions of a tenant. Its memory grows with the most flows
// that it ever had, and stays: then a new flow costs no allocation.
type shard struct {
	mu      sync.Mutex
	seed    maphash.Seed
	chunks  []*[chunkFlows]flow
	buckets []uint32 // the first flow of each; grown one by one, see grow
	free    uint32   // the first of those that are free, by next
	used    uint32   // places in chunks that were ever used; 0 is none's
	count   uint32
	oldest  uint32 // by last
	newest  uint32
	seats   []seat
	freed   []uint32      // seats to have
	tail    atomic.Uint32 // when the oldest was last seen, and maxTail if there is none
}

// seat is a session in its shard; 0 is none.
type seat struct {
	who            *Party
	oldest, newest uint32
	count          uint32
}

const (
	chunkFlows = 136 // what fits best into a size that memory is given out in
	maxTail    = ^uint32(0)
)

func newShard(seed maphash.Seed) *shard {
	s := &shard{seed: seed, used: 1, buckets: make([]uint32, 1), seats: make([]seat, 1)}
	s.tail.Store(maxTail)
	return s
}

func (s *shard) at(i uint32) *flow { return &s.chunks[i/chunkFlows][i%chunkFlows] }

// hash is of a session's flow: its lower half says which bucket it is in, the upper one
// tells it from most others there.
func (s *shard) hash(k *key, seat uint32) (bucket uint32, tag uint16) {
	k[38], k[39] = byte(seat), byte(seat>>8)
	h := maphash.Bytes(s.seed, k[:])
	k[38], k[39] = 0, 0
	return uint32(h), uint16(h >> 48)
}

// bucketOf returns which bucket a flow is in.
func (s *shard) bucketOf(f *flow) uint32 {
	hash, _ := s.hash(&f.key, f.seat)
	return s.bucket(hash)
}

// bucket returns which one a hash is of. There may be any number of them: those that
// were not split yet are of one bit less (linear hashing).
func (s *shard) bucket(hash uint32) uint32 {
	n := uint32(len(s.buckets))
	whole := wholeOf(n)
	if b := hash & (whole<<1 - 1); b < n {
		return b
	}
	return hash & (whole - 1)
}

// wholeOf is the largest power of two that is no more than n.
func wholeOf(n uint32) uint32 { return 1 << (bits.Len32(n) - 1) }

// grow adds a bucket and gives it what is its own of another one, so that no packet
// waits for all of them.
func (s *shard) grow() {
	n := uint32(len(s.buckets))
	from := n - wholeOf(n)
	s.buckets = append(s.buckets, 0)
	i := s.buckets[from]
	s.buckets[from] = 0
	for i != 0 {
		f := s.at(i)
		next, b := f.next, s.bucketOf(f)
		f.next, s.buckets[b] = s.buckets[b], i
		i = next
	}
}

// find returns the flow of a seat with a key; 0: there is none.
func (s *shard) find(k *key, seat uint32) uint32 {
	hash, tag := s.hash(k, seat)
	for i := s.buckets[s.bucket(hash)]; i != 0; {
		f := s.at(i)
		if f.hash == tag && f.seat == seat && f.key == *k {
			return i
		}
		i = f.next
	}
	return 0
}

// add makes a flow the newest of its seat and of all.
func (s *shard) add(k *key, seat, now uint32) *flow {
	i := s.free
	if i != 0 {
		s.free = s.at(i).next
	} else {
		i = s.used
		if int(i/chunkFlows) == len(s.chunks) {
			s.chunks = append(s.chunks, new([chunkFlows]flow))
		}
		s.used++
	}
	if s.count++; s.count > uint32(len(s.buckets)) {
		s.grow()
	}
	f := s.at(i)
	hash, tag := s.hash(k, seat)
	b := s.bucket(hash)
	*f = flow{key: *k, hash: tag, next: s.buckets[b], seat: seat, began: now, last: now}
	s.buckets[b] = i
	s.seats[seat].count++
	s.push(i)
	return f
}

// remove forgets a flow.
func (s *shard) remove(i uint32) {
	f := s.at(i)
	at := &s.buckets[s.bucketOf(f)]
	for *at != i {
		at = &s.at(*at).next
	}
	*at = f.next
	s.pull(i)
	s.seats[f.seat].count--
	s.count--
	*f = flow{next: s.free}
	s.free = i
}

// touch makes a flow the newest.
func (s *shard) touch(i, now uint32) {
	f := s.at(i)
	if f.last == now {
		return
	}
	s.pull(i)
	f.last = now
	s.push(i)
}

func (s *shard) push(i uint32) {
	f, seat := s.at(i), &s.seats[s.at(i).seat]
	f.newer, f.older, f.after, f.prior = 0, s.newest, 0, seat.newest
	if s.newest != 0 {
		s.at(s.newest).newer = i
	} else {
		s.oldest = i
	}
	if seat.newest != 0 {
		s.at(seat.newest).after = i
	} else {
		seat.oldest = i
	}
	s.newest, seat.newest = i, i
	s.noteTail()
}

func (s *shard) pull(i uint32) {
	f, seat := s.at(i), &s.seats[s.at(i).seat]
	if f.newer != 0 {
		s.at(f.newer).older = f.older
	} else {
		s.newest = f.older
	}
	if f.older != 0 {
		s.at(f.older).newer = f.newer
	} else {
		s.oldest = f.newer
	}
	if f.after != 0 {
		s.at(f.after).prior = f.prior
	} else {
		seat.newest = f.prior
	}
	if f.prior != 0 {
		s.at(f.prior).after = f.after
	} else {
		seat.oldest = f.after
	}
	s.noteTail()
}

// noteTail has others know how old the oldest flow is.
func (s *shard) noteTail() {
	last := maxTail
	if s.oldest != 0 {
		last = min(s.at(s.oldest).last, maxTail-1)
	}
	if s.tail.Load() != last {
		s.tail.Store(last)
	}
}

// sit gives a session a seat.
func (s *shard) sit(who *Party) uint32 {
	if n := len(s.freed); n > 0 {
		i := s.freed[n-1]
		s.freed = s.freed[:n-1]
		s.seats[i] = seat{who: who}
		return i
	}
	s.seats = append(s.seats, seat{who: who})
	return uint32(len(s.seats) - 1)
}
