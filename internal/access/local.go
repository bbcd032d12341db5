package access

import (
	"errors"
	"time"

	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/store"
	"github.com/culvert-vpn/culvert/ppp/auth"
)

// Local is the Authority of the users of the configuration, and those of the state store. All
// that it wants done is Work.
type Local struct {
	stored Users
	queue  queue
	asked  map[uint64]bool // logins without an answer; true: nobody waits for it
}

// NewLocal returns the authority. Without stored, which may be nil, it knows the users of
// the configuration only.
func NewLocal(stored Users) *Local { return &Local{stored: stored, asked: make(map[uint64]bool)} }

// Ask implements Authority.
func (l *Local) Ask(_ time.Time, id uint64, who Who, p Proof) {
	l.asked[id] = false
	l.queue.add(Work{ID: id, users: l.stored, who: who, proof: p})
}

// Worked implements Authority.
func (l *Local) Worked(_ time.Time, id uint64, j Judgement) {
	forgotten, asked := l.asked[id]
	if !asked || forgotten {
		clear(j.MSK)
		j.MSK, j.Success = nil, ""
	}
	if asked {
		delete(l.asked, id)
		l.queue.add(Answer{id, j})
	}
}

// Forget implements Authority.
func (l *Local) Forget(id uint64) {
	if _, asked := l.asked[id]; asked {
		l.asked[id] = true
	}
}

// Advance implements Authority: there is nothing to do by the clock.
func (l *Local) Advance(time.Time) {}

// Deadline implements Authority.
func (l *Local) Deadline() time.Time { return time.Time{} }

// Next implements Authority.
func (l *Local) Next() (Event, bool) { return l.queue.next() }

// Users are those of a state store. It is asked about everybody whom the configuration does
// not know, also where the name leads to no tenant: else the time that takes would tell.
type Users interface {
	// User returns a user of a tenant, or store.ErrNotFound.
	User(tenant, name string) (store.User, error)
}

// Work is a look at somebody that takes time. Do is called once, on any goroutine; what it
// returns goes back by Worked, or whatever kept it from being done.
type Work struct {
	ID    uint64
	users Users
	who   Who
	proof Proof
}

func (Work) event() {}

// Do looks, and overwrites the proof. It panics where the proof is none.
func (w Work) Do() Judgement {
	defer w.proof.Zero()
	return judge(w.users, w.who, w.proof)
}

// nobody is a password that is compared where there is no user, so that the time an
// answer takes does not say whether there is one.
const nobody = "the password of nobody"

// judge compares what somebody proves with what is known of him. If nothing is, or his
// name leads nowhere, that takes as long. It reads the store, from a disk.
func judge(stored Users, who Who, p Proof) Judgement {
	if shown, ok := p.(Shown); ok {
		return locked(stored, who, shown.Account)
	}
	if who.Refusal != None {
		_, _, _ = kept(stored, "", who.User)
		return likeNobody(p, Judgement{Refusal: who.Refusal, Err: who.Err})
	}
	if !p.allowed(who.Tenant.Auth.Allow) {
		return Judgement{Refusal: Method}
	}
	a, why, err := find(stored, who.Tenant, who.User)
	defer clear(a.hash[:])
	if why != None {
		return likeNobody(p, Judgement{Refusal: why, Err: err})
	}
	return p.check(&a)
}

// likeNobody takes as long as a comparison, and is another judgement.
func likeNobody(p Proof, j Judgement) Judgement {
	a := account{hash: auth.NTHash(nobody), password: []byte(nobody)}
	clear(p.check(&a).MSK)
	return j
}

// locked judges somebody who has proved himself without a password: he needs no account,
// but one that is disabled counts, whichever of his names it has, and so does that one is
// gone by which he has proved himself. So do the filters of all of them; his groups are those
// of the first.
func locked(stored Users, who Who, had bool) Judgement {
	var own *Own
	for n, name := range who.names() {
		a, why, err := find(stored, who.Tenant, name)
		clear(a.hash[:])
		switch {
		case why == None && a.disabled:
			return Judgement{Refusal: Disabled}
		case why != None && (why != UnknownUser || had && n == 0):
			return Judgement{Refusal: why, Err: err}
		case n == 0:
			own = a.own
		default:
			own = own.holds(who.Tenant, name, a.own)
		}
	}
	return Judgement{Own: own}
}

// find finds a user: in the configuration first, then in the state store.
func find(stored Users, t *config.Tenant, user string) (account, Refusal, error) {
	u, ok := t.User(user)
	if !ok {
		return kept(stored, t.Name, user)
	}
	var a account
	if u.NTHash.Len() == len(a.hash) {
		copy(a.hash[:], u.NTHash.Bytes())
		return a, None, nil
	}
	a.password = u.Password.Bytes()
	a.hash = auth.NTHash(string(a.password))
	return a, None, nil
}

// kept finds a user in the state store.
func kept(stored Users, tenant, user string) (account, Refusal, error) {
	if stored == nil {
		return account{}, UnknownUser, nil
	}
	u, err := stored.User(tenant, user)
	if errors.Is(err, store.ErrNotFound) {
		return account{}, UnknownUser, nil
	}
	if err != nil {
		return account{}, StoreFailed, err
	}
	return account{hash: u.Hash, disabled: u.Disabled, own: OwnOf(u)}, None, nil
}
