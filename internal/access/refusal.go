package access

// Refusal is why somebody does not get in. The zero Refusal is none.
type Refusal uint8

// The refusals. What each is for the client, and for the operator, is in one table.
const (
	None          Refusal = iota
	UnknownUser           // no such user, or no tenant that the name leads to
	WrongPassword         // what was proved is not this user's
	Disabled              // the user is right, and locked out
	Method                // the tenant does not allow the way of logging in
	NeedsPassword         // CHAP cannot be compared with a hash
	PoolEmpty             // no address is free
	TenantFull            // limits.sessions
	UserFull              // limits.sessions_per_user
	Busy                  // too many logins wait for something
	OtherUser             // a client that is in logs in as somebody else
	Throttled             // too many wrong passwords came before
	Fault                 // the program met a fault of its own
	StoreFailed           // the state store cannot be read
	EAPFailed             // the client and we came to no end
	Ambiguous             // several tenants take the certificate
	KeyAlone              // a key names no user
	NoAddress             // the client asks for no address
	NoFilter              // the user has a group or a filter that the tenant does not have
	Banned                // nobody logs in from there
	NoPool                // the user is to have addresses of a pool that the tenant does not have
	refusals
)

// refused is what a refusal is for others.
type refused struct {
	code    int    // of MS-CHAPv2 (RFC 2759 section 6)
	message string // for the client
	cause   string // for the log: stable
	hint    string // for the operator
}

// String returns the cause, as the log and counters name it. It never changes.
func (r Refusal) String() string { return table(r).cause }

// Hint says what to do about it.
func (r Refusal) Hint() string { return table(r).hint }

// Code is the error of MS-CHAPv2 that the client gets (RFC 2759 section 6).
func (r Refusal) Code() int { return table(r).code }

// Message is what the client is told.
func (r Refusal) Message() string { return table(r).message }

// IsRoom reports whether there is nothing against who comes, and no room for him.
func (r Refusal) IsRoom() bool {
	return r == PoolEmpty || r == TenantFull || r == UserFull || r == NoAddress || r == NoPool
}

// table has each refusal once. A user that there is not, and a password that is not right,
// are the same to the client.
func table(r Refusal) refused {
	switch r {
	case UnknownUser:
		return refused{691, "Access denied", "unknown user",
			"no such user in this tenant: add it with `culvert user add`, or name the realm in the login (Windows shows error 691)"}
	case WrongPassword:
		return refused{691, "Access denied", "wrong password",
			"the user exists and the password is another: `culvert user passwd` sets a new one (Windows shows error 691)"}
	case Disabled:
		return refused{647, "Account disabled", "account disabled",
			"the user exists and is disabled (Windows shows error 647)"}
	case Method:
		return refused{691, "Access denied", "method not allowed",
			"this tenant does not allow the method that the client chose: see auth.allow (Windows shows error 691 or 734)"}
	case NeedsPassword:
		return refused{691, "Access denied", "CHAP needs the password itself",
			"only the NT hash of this user is known: use MS-CHAPv2, or write the password into the configuration"}
	case PoolEmpty:
		return refused{691, "No address available", "pool empty",
			"every address of the tenant's pool is in use: enlarge pool (Windows shows error 691 or 738)"}
	case TenantFull:
		return refused{691, "Too many sessions", "session limit reached",
			"the tenant has as many sessions as limits.sessions allows"}
	case UserFull:
		return refused{691, "Too many sessions of this user", "too many sessions of this user",
			"the user has as many sessions as limits.sessions_per_user allows, and none of them is dead: `culvert sessions` shows them"}
	}
	return rarer(r)
}

// rarer are the refusals that are not about a user and a tenant's room.
func rarer(r Refusal) refused {
	switch r {
	case Busy:
		return refused{691, "Server busy, try again", "too many logins at once",
			"more logins wait for an answer of the state store, a directory or an authority than culvert keeps: see what does not answer"}
	case OtherUser:
		return refused{691, "Another user than before", "another user than before",
			"within one session a client may log in anew as the same user only: the session ends"}
	case Throttled:
		return refused{691, "Too many wrong passwords", "too many wrong passwords",
			"the password was not looked at: see logins-throttled, `culvert bans list`, and limits.login_failures (Windows shows error 691)"}
	case Fault:
		return refused{691, "Access denied", "a fault of the server",
			"the login met a fault of the program: see the line `fault`, and report it"}
	case StoreFailed:
		return refused{691, "Access denied", "state store failed",
			"the users cannot be read from the state directory: see the error"}
	case EAPFailed:
		return refused{691, "Access denied", "EAP failed",
			"the client and we came to no end by EAP: see the error, and auth.allow of the tenant (Windows shows error 691, 812 or 13801)"}
	case Ambiguous:
		return refused{691, "Access denied", "several tenants take the certificate",
			"more than one tenant trusts the authority that issued it: put the realm into its name (alice@REALM), or say which tenant is the default"}
	case KeyAlone:
		return refused{0, "", "a key alone is not enough",
			"clients of IKEv2 log in by EAP or certificate; to let them in with the pre-shared key alone, which names no user, add ikev2-psk to auth.allow"}
	case Banned:
		return refused{691, "Access denied", "banned",
			"the address is banned for this tenant, or in a file of its `block`: `culvert bans list` shows bans, and `culvert bans del` ends one (Windows shows error 691)"}
	case NoPool:
		return refused{691, "No address available", "no such pool",
			"the user is to have addresses of a pool that the tenant does not have: add it to pools, or give the user another with `culvert user set --pool` (Windows shows error 691 or 738)"}
	case NoAddress:
		return refused{0, "", "no address asked for",
			"the client wants a tunnel and asks for no address: set it to request a virtual address (configuration payload)"}
	case NoFilter:
		return refused{649, "No permission to dial in", "group or filter unknown",
			"the user is in a group, or under a filter, that is not in the tenant any more: write it there, or give the user others with `culvert user set` (Windows shows error 649)"}
	}
	return refused{}
}
