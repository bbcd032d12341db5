package gateway

import (
	"time"

	"github.com/culvert-vpn/culvert/internal/access"
	"github.com/culvert-vpn/culvert/internal/engine"
	"github.com/culvert-vpn/culvert/internal/x/deadline"
)

// Proofs are judged here: the throttle says when, an authority what they come to. The
// authority is a machine, driven by the control loop as those of the protocols are.

// maxHeldUp bounds the logins that wait at a time.
const maxHeldUp = 4096

// judge is the way of every proof, whatever protocol brings it: the authority is asked when
// the throttle lets it be, and the carrier takes what came of it. Nobody is told while the
// client that it is for is gone.
func (g *logins) judge(now time.Time, a *attempt) {
	if !a.carrier.holds(g, a) {
		a.proof.Zero()
		return
	}
	switch why := g.against(now, a); why {
	case access.None:
	case access.Throttled:
		g.throttle.Unseen(now, &a.tried)
		g.found(now)
		g.refuseUnseen(now, a)
		return
	default:
		a.proof.Zero()
		g.judged(now, a, access.Judgement{Refusal: why})
		return
	}
	r := g.throttle.Ask(now, &a.tried)
	g.found(now)
	switch {
	case r.Busy:
		a.proof.Zero()
		g.judged(now, a, access.Judgement{Refusal: access.Busy})
	case r.Refuse:
		if r.Tell {
			g.server.tellThrottled(&a.tried, r.By)
		}
		g.refuseUnseen(now, a)
	case r.Wait > 0 && g.heldUp < maxHeldUp:
		g.hold(now, a, r.Wait)
	case r.Wait > 0:
		a.proof.Zero()
		g.judged(now, a, access.Judgement{Refusal: access.Throttled})
	default:
		g.consult(now, a)
	}
}

// refuseUnseen refuses a login without a look at its proof, and not sooner than others are.
func (g *logins) refuseUnseen(now time.Time, a *attempt) {
	a.proof.Zero()
	a.unseen = true
	g.hold(now, a, access.LongestDelay-now.Sub(a.tried.Began))
}

// hold has a login wait; not at all where too many do.
func (g *logins) hold(now time.Time, a *attempt, d time.Duration) {
	if d <= 0 || g.heldUp >= maxHeldUp {
		g.goOn(now, a)
		return
	}
	g.heldUp++
	g.held.Set(a, now.Add(d))
}

// goOn is what follows when a login has waited.
func (g *logins) goOn(now time.Time, a *attempt) {
	if !a.unseen {
		g.judge(now, a)
		return
	}
	a.unseen = false
	g.judged(now, a, access.Judgement{Refusal: access.Throttled})
}

// judged says what was found out, if anybody waits for it.
func (g *logins) judged(now time.Time, a *attempt, j access.Judgement) {
	if a.carrier.holds(g, a) {
		a.taker.judged(g, now, a, j)
		return
	}
	clear(j.MSK)
}

// consult asks the authority about a login, whose answer is taken by answer. It may have
// waited, and is judged by the configuration that counts now.
func (g *logins) consult(now time.Time, a *attempt) {
	if a.tenant != nil {
		a.who.Tenant = a.tenant.Tenant
	}
	g.lastAsked++
	a.asked = g.lastAsked
	g.attempts[a.asked] = a
	g.spare(now, a.asked, func() { g.authority.Ask(now, a.asked, a.who, a.proof) })
}

// forget gives up a login whose client has left: it waits no longer, or the authority is told
// that nobody waits for its answer any more.
func (g *logins) forget(now time.Time, a *attempt) {
	switch {
	case a == nil:
	case !a.Deadline().IsZero():
		g.held.Stop(a)
		g.heldUp--
		a.proof.Zero()
	case g.attempts[a.asked] == a:
		g.spare(now, a.asked, func() { g.authority.Forget(a.asked) })
	}
}

// answers carries out what the authority wants, and reports whether there was anything.
func (g *logins) answers(now time.Time) bool {
	some := false
	for len(g.attempts) > 0 {
		var event access.Event
		ok := false
		g.spare(now, 0, func() { event, ok = g.authority.Next() })
		if !ok {
			return some
		}
		some = true
		switch e := event.(type) {
		case access.Work:
			g.compare(now, e)
		case access.Answer:
			g.answer(now, e)
		}
	}
	return some
}

// compare has the work of a login done in the pool of what waits.
func (g *logins) compare(now time.Time, w access.Work) {
	a := g.attempts[w.ID]
	if a == nil { // a panic has ended it
		g.compared(now, w.ID, access.Judgement{Refusal: access.Fault})
		return
	}
	done := g.server.later(a.owner(), func() {
		j := access.Judgement{Refusal: access.Fault}
		defer g.server.engine.Work.Post(func(now time.Time) { g.compared(now, w.ID, j) }) // also if it panics
		j = w.Do()
	})
	if !done {
		a.proof.Zero()
		g.compared(now, w.ID, access.Judgement{Refusal: access.Busy})
	}
}

// compared brings the authority what the work of a login came to.
func (g *logins) compared(now time.Time, id uint64, j access.Judgement) {
	g.spare(now, id, func() { g.authority.Worked(now, id, j) })
}

// answer takes what the authority says of a login. What goes wrong costs its client.
func (g *logins) answer(now time.Time, e access.Answer) {
	a := g.attempts[e.ID]
	if a == nil {
		clear(e.MSK)
		return
	}
	delete(g.attempts, e.ID)
	g.throttle.Settle(now, &a.tried, e.Outcome())
	g.found(now)
	if e.Refusal == access.None && a.tenant != nil && a.carrier.holds(g, a) {
		g.throttle.Welcome(now, a.tenant.Name, a.carrier.peer().Path.Remote)
	}
	was, session := g.serve(a)
	g.judged(now, a, a.fits(e.Judgement))
	g.server.engine.Serve(was, session)
}

// spare calls the authority. A panic of its ends here: it costs the login that it is asked
// about, or, where that is none in particular, those that wait for it. well: there was none.
func (g *logins) spare(now time.Time, id uint64, f func()) (well bool) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		g.server.faults.Caught("an authority of logins", v)
		failed := []uint64{id}
		if id == 0 {
			failed = failed[:0]
			for id := range g.attempts {
				failed = append(failed, id)
			}
		}
		for _, id := range failed {
			if a := g.attempts[id]; a != nil {
				a.proof.Zero()
				g.answer(now, access.Answer{ID: id, Judgement: access.Judgement{Refusal: access.Fault}})
			}
		}
	}()
	f()
	return true
}

// loginsDue is when something is due of logins; zero: nothing is.
func (g *logins) loginsDue(now time.Time) (at time.Time) {
	if len(g.attempts) > 0 && !g.spare(now, 0, func() { at = g.authority.Deadline() }) {
		return now // for what that has cost
	}
	return deadline.Earliest(at, g.held.Next())
}

// advanceLogins does what is due of them.
func (g *logins) advanceLogins(now time.Time) {
	if len(g.attempts) > 0 {
		g.spare(now, 0, func() { g.authority.Advance(now) })
	}
	for {
		a, ok := g.held.Due(now)
		if !ok {
			return
		}
		g.held.Stop(a)
		g.heldUp--
		g.serve(a)
		g.goOn(now, a)
		g.server.engine.Serve(nil, nil)
	}
}

// serve notes that whatever goes wrong from now on is of an attempt's client, and returns
// whose it was until now.
func (g *logins) serve(a *attempt) (*engine.Peer, *engine.Session) {
	if s := a.carrier.session(); s != nil {
		return g.server.engine.Serve(s.peer.Peer, s.Session)
	}
	return g.server.engine.Serve(a.carrier.peer().Peer, nil)
}

// owner is the tenant that a login takes the time of, as far as it is known.
func (a *attempt) owner() *tenantState {
	if a.tenant == nil && a.eap != nil && len(a.eap.group) > 0 {
		return a.eap.group[0]
	}
	return a.tenant
}

// after has f done in the control loop after a while; at once where too much waits.
func (g *logins) after(d time.Duration, f func(now time.Time)) {
	if d <= 0 || g.heldUp >= maxHeldUp {
		f(time.Now())
		return
	}
	g.heldUp++
	time.AfterFunc(d, func() {
		g.server.engine.Work.Post(func(now time.Time) {
			g.heldUp--
			f(now)
		})
	})
}
