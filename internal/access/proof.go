package access

import (
	"github.com/culvert-vpn/culvert/internal/config"
	"github.com/culvert-vpn/culvert/internal/eap"
	"github.com/culvert-vpn/culvert/ppp"
	"github.com/culvert-vpn/culvert/ppp/auth"
)

// Proof is what a client shows to be who it says it is: a value of one of the types here.
type Proof interface {
	// allowed reports whether a tenant takes such a proof.
	allowed(m config.Methods) bool
	// check compares the proof with an account. It takes as long for a wrong one.
	check(a *account) Judgement
	// Zero overwrites what is secret in it, also where others have borrowed that.
	Zero()
}

// PPP is a proof of PAP, CHAP or MS-CHAPv2 in a PPP link.
type PPP struct{ ppp.Authenticate }

// EAP is a proof of MSCHAPv2 by EAP, in a PPP link or in IKEv2.
type EAP struct{ eap.Verify }

// XAUTH is a user and a password in IKEv1, as they are.
type XAUTH struct {
	User     string
	Password []byte
}

// Shown is what needs no password: a certificate, which somebody has verified already.
// The account, if there is one, may still be locked out.
type Shown struct {
	// Account says that there was one: its password was proved, some time ago.
	Account bool
}

func (p PPP) allowed(m config.Methods) bool {
	switch p.Method {
	case ppp.MSCHAPv2:
		return m.MSCHAPv2
	case ppp.CHAPMD5:
		return m.CHAP
	case ppp.PAP:
		return m.PAP
	}
	return false
}

func (p PPP) check(a *account) Judgement {
	var success string
	var ok bool
	switch {
	case a.password != nil:
		success, ok = p.VerifyPassword(a.password)
	case p.Method == ppp.CHAPMD5:
		return Judgement{Refusal: NeedsPassword}
	default:
		success, ok = p.VerifyHash(a.hash)
	}
	return a.judge(ok, Judgement{Success: success})
}

func (EAP) allowed(m config.Methods) bool { return m.EAP }

func (p EAP) check(a *account) Judgement {
	success, ok := auth.Verify(a.hash, p.Challenge, p.PeerChallenge, p.NTResponse, p.User)
	if !ok {
		return Judgement{Refusal: WrongPassword}
	}
	return a.judge(ok, Judgement{Success: success, MSK: auth.MasterSession(a.hash, p.NTResponse)})
}

func (XAUTH) allowed(m config.Methods) bool { return m.XAUTH }

func (p XAUTH) check(a *account) Judgement {
	return PPP{ppp.Authenticate{Method: ppp.PAP, User: p.User, Response: p.Password}}.check(a)
}

func (Shown) allowed(config.Methods) bool { return true } // or nobody had verified it

func (Shown) check(a *account) Judgement { return a.judge(true, Judgement{}) }

// Zero implements Proof: the response to a challenge is no secret.
func (EAP) Zero() {}

// Zero implements Proof.
func (p XAUTH) Zero() { clear(p.Password) }

// Zero implements Proof: there is nothing.
func (Shown) Zero() {}

// account is what is known of a user's secret.
type account struct {
	hash     [16]byte
	password []byte // nil where only the hash is known; borrowed from the configuration
	disabled bool
	own      *Own // nil: nothing
}

// judge is what a proof comes to: if it is right, whatever is against the account.
func (a *account) judge(right bool, j Judgement) Judgement {
	switch {
	case !right:
		return Judgement{Refusal: WrongPassword}
	case a.disabled:
		clear(j.MSK)
		return Judgement{Refusal: Disabled}
	}
	j.Own = a.own
	return j
}
