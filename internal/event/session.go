package event

import (
	"net/netip"
	"time"
)

// Session is the session that an event is about, and whose.
type Session struct {
	Peer
	ID      uint64     `json:"session"` // never used twice
	User    string     `json:"user,omitempty"`
	Address netip.Addr `json:"address,omitzero"`
}

// LoginRefused: somebody who has the key, or a certificate, does not get in.
type LoginRefused struct {
	warning `event:"login-refused"`
	Peer
	Session uint64     `json:"session,omitempty"`
	User    string     `json:"user"`
	Address netip.Addr `json:"address,omitzero"` // that he has, where he logs in again
	Login   string     `json:"login,omitempty"`  // as whom, where that is another
	Method  string     `json:"method,omitempty"` // by which he showed who he is
	Cause   string     `json:"cause"`
	Hint    string     `json:"hint"`
	Err     error      `json:"error,omitempty"`
	Quiet   bool       `json:"-"` // it is not worth a line of the log: there are too many
}

// LoginsThrottled: so many wrong passwords came that logins are refused unseen.
type LoginsThrottled struct {
	warning `event:"logins-throttled"`
	Tenant  string         `json:"tenant"`
	User    string         `json:"user"`
	Client  netip.AddrPort `json:"client"`
	Device  string         `json:"device"`
	What    string         `json:"what"` // is held up
	Hint    string         `json:"hint"`
}

// SessionUp: a client is in the network of its tenant.
type SessionUp struct {
	info `event:"session-up"`
	Session
	MTU    int          `json:"mtu"` // of what it may send, in bytes
	Prefix netip.Prefix `json:"prefix,omitzero"`
	System string       `json:"system,omitempty"` // that it says it has
}

// SessionIPv6: a client that came up by IPv4 has its prefix of IPv6.
type SessionIPv6 struct {
	info `event:"session-ipv6"`
	Session
	Prefix netip.Prefix `json:"prefix"`
}

// NoPrefix: a client is given no prefix, since all are in use.
type NoPrefix struct {
	warning `event:"no-ipv6"`
	Session
	Err  error  `json:"error"`
	Hint string `json:"hint"`
}

// SessionDown: a client has left the network of its tenant.
type SessionDown struct {
	info `event:"session-down"`
	Session
	Reason     string        `json:"reason"`
	After      time.Duration `json:"after"`
	BytesUp    uint64        `json:"bytes_up"` // that it sent
	BytesDown  uint64        `json:"bytes_down"`
	Unanswered int           `json:"unanswered,omitempty"` // echo requests that it owes an answer, by PPP
}
