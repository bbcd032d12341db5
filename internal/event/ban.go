package event

import (
	"net/netip"
	"time"
)

// BruteForceSeen: many wrong passwords of one user come.
type BruteForceSeen struct {
	warning `event:"brute-force-seen"`
	Tenant  string         `json:"tenant,omitempty"` // empty: the name leads to none
	User    string         `json:"user"`
	State   string         `json:"state"` // begun, goes-on, over
	Tries   int            `json:"tries"`
	Sources int            `json:"sources"` // addresses, of IPv6 /64; 16: or more
	Sample  []netip.Prefix `json:"sample"`  // of these, those with the most tries
	Untold  int            `json:"untold,omitempty"`
	Hint    string         `json:"hint"`
}

// SprayingSeen: a few wrong passwords each of many users come.
type SprayingSeen struct {
	warning `event:"spraying-seen"`
	Tenant  string         `json:"tenant,omitempty"` // empty: the names lead to none
	State   string         `json:"state"`            // begun, goes-on, over
	Users   int            `json:"users"`
	Tries   int            `json:"tries"`
	Sources int            `json:"sources"` // addresses, of IPv6 /64; 1024: or more
	Sample  []netip.Prefix `json:"sample"`  // the last of these
	Hint    string         `json:"hint"`
}

// Ban is what an event of a ban is about.
type Ban struct {
	Tenant    string       `json:"tenant,omitempty"` // empty: all of them
	Prefix    netip.Prefix `json:"prefix"`
	User      string       `json:"user,omitempty"` // of whom alone
	Device    string       `json:"device,omitempty"`
	Strangers bool         `json:"strangers,omitempty"` // only devices that nobody was in from before
	By        string       `json:"by"`                  // who made it: operator, lockout
	Reason    string       `json:"reason,omitempty"`
}

// Banned: nobody dials in from there any more, or not that user or device.
type Banned struct {
	warning `event:"banned"`
	Ban
	For   time.Duration `json:"for,omitempty"`   // empty: for ever
	Ended int           `json:"ended,omitempty"` // sessions
}

// Unbanned: a ban was taken back.
type Unbanned struct {
	info `event:"unbanned"`
	Ban
}

// BanExpired: the time of a ban is over.
type BanExpired struct {
	info `event:"ban-expired"`
	Ban
}

// BansUntold: so many more bans of guessers came and went.
type BansUntold struct {
	info  `event:"bans-untold"`
	Bans  int `json:"bans"`
	Ended int `json:"ended"` // of which the time was over
}

// BansLost: who was banned is not known any more.
type BansLost struct {
	failure `event:"bans-lost"`
	Err     error  `json:"error"`
	Hint    string `json:"hint"`
}

// BansNotSaved: who is banned will not be known after a restart.
type BansNotSaved struct {
	failure `event:"bans-not-saved"`
	Err     error  `json:"error"`
	Hint    string `json:"hint"`
}

// FeedRead: a file of addresses that nobody dials in from was read.
type FeedRead struct {
	info     `event:"feed-read"`
	File     string `json:"file"`
	Networks int    `json:"networks"`
	Skipped  int    `json:"skipped,omitempty"` // lines that make no sense
	Ended    int    `json:"ended,omitempty"`   // sessions
}

// FeedRefused: such a file cannot be taken.
type FeedRefused struct {
	failure `event:"feed-refused"`
	File    string `json:"file"`
	Err     error  `json:"error"`
	Hint    string `json:"hint"`
}

// FeedLinesSkipped: lines of such a file make no sense.
type FeedLinesSkipped struct {
	warning `event:"feed-lines-skipped"`
	File    string   `json:"file"`
	Lines   []string `json:"lines"` // the first of them
	Skipped int      `json:"skipped"`
	Hint    string   `json:"hint"`
}
