package policy

// A Party has its shard and its seat there in one number: the shard from 1 on in the
// upper half.
const seatGone = ^uint64(0)

// lock returns the shard that a session's flows are in, locked, and its seat; nil: it has
// none.
func (f *Flows) lock(who *Party) (*shard, uint32) {
	v := who.seat.Load()
	if v == 0 || v == seatGone || who.flows.Load() != f {
		return nil, 0
	}
	s, i := f.shards[v>>32-1], uint32(v)
	s.mu.Lock()
	if s.seats[i].who != who {
		s.mu.Unlock() // it has left since
		return nil, 0
	}
	return s, i
}

// join is lock for a session that has no flows yet. It returns nil for one that has left.
func (f *Flows) join(who *Party) (*shard, uint32) {
	if s, i := f.lock(who); s != nil {
		return s, i
	}
	n := f.turn.Add(1) % uint32(len(f.shards))
	s := f.shards[n]
	s.mu.Lock()
	i := s.sit(who)
	who.flows.CompareAndSwap(nil, f)
	if who.flows.Load() == f && who.seat.CompareAndSwap(0, uint64(n+1)<<32|uint64(i)) {
		return s, i
	}
	s.rise(i)
	s.mu.Unlock()
	return f.lock(who)
}

// rise gives a seat back.
func (s *shard) rise(i uint32) {
	s.seats[i] = seat{}
	s.freed = append(s.freed, i)
}

// leave ends the flows of a session, which has none afterwards.
func (f *Flows) leave(who *Party) {
	s, i := f.lock(who)
	who.seat.Store(seatGone)
	if s == nil {
		return
	}
	defer s.mu.Unlock()
	for s.seats[i].oldest != 0 {
		f.drop(s, s.seats[i].oldest)
	}
	s.rise(i)
}

// begin makes a flow of a session; ok: there is room.
func (f *Flows) begin(st *force, now Now, owner *Party, h *header, k *key, low bool, d Decision) (ok bool) {
	if !f.makeRoom(owner) {
		return false
	}
	s, seat := f.join(owner)
	if s == nil {
		f.exit()
		return false
	}
	defer s.mu.Unlock()
	if i := s.find(k, seat); i != 0 { // another packet of it was quicker, or it was over
		f.drop(s, i)
	}
	f.pushOwn(s, seat)
	fl := s.add(k, seat, now.Up)
	if low {
		fl.state = flowLow
	}
	fl.allowed(d, st.generation)
	fl.seen(h, false)
	return true
}

// makeRoom makes room for a flow: first among the session's own, then in the tenant.
func (f *Flows) makeRoom(owner *Party) bool {
	s, seat := f.join(owner)
	if s == nil {
		return false
	}
	f.pushOwn(s, seat)
	s.mu.Unlock()
	for !f.enter() {
		ofTenant := f.bounds.Budget == nil || f.live.Load() >= int64(f.bounds.Tenant)
		if !f.push() {
			f.reached.by(ofTenant).full.Add(1)
			return false
		}
		f.reached.by(ofTenant).pushed.Add(1)
	}
	return true
}

// pushOwn ends the oldest flows of a session that has as many as it may have.
func (f *Flows) pushOwn(s *shard, seat uint32) {
	for int64(s.seats[seat].count) >= f.most.Load() && s.seats[seat].oldest != 0 {
		f.drop(s, s.seats[seat].oldest)
		f.pushed.Add(1)
		f.reached.bySession(s.seats[seat].who)
	}
}

// push ends the oldest flow of the tenant.
func (f *Flows) push() bool {
	for {
		var from *shard
		least := maxTail
		for _, s := range f.shards {
			if tail := s.tail.Load(); tail < least {
				from, least = s, tail
			}
		}
		if from == nil {
			return false
		}
		from.mu.Lock()
		i := from.oldest
		if i != 0 {
			f.drop(from, i)
		}
		from.mu.Unlock()
		if i != 0 {
			return true
		}
	}
}

// enter counts a flow in, if there may be one more.
func (f *Flows) enter() bool {
	for {
		n := f.live.Load()
		shared := n >= int64(f.bounds.Reserve) && f.bounds.Budget != nil
		if n >= int64(f.bounds.Tenant) || shared && !f.bounds.Budget.take() {
			return false
		}
		if f.live.CompareAndSwap(n, n+1) {
			return true
		}
		if shared {
			f.bounds.Budget.left.Add(1)
		}
	}
}

// exit counts a flow out.
func (f *Flows) exit() {
	n := f.live.Add(-1)
	if n >= int64(f.bounds.Reserve) && f.bounds.Budget != nil {
		f.bounds.Budget.left.Add(1)
	}
}

// drop ends a flow; its shard is locked.
func (f *Flows) drop(s *shard, i uint32) {
	s.remove(i)
	f.exit()
}
