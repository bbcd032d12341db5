package v2

import (
	"io"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// Owner is what a Session acts upon. Its methods are called from within the
// Session's own, and must not call back into it.
type Owner interface {
	// Rand is the source of randomness.
	Rand() io.Reader
	// Candidates lists how the peer on this path may prove who it is.
	Candidates(p Path) *Directory
	// Send sends a message; it is kept by the Session and may be sent again.
	Send(p Path, msg []byte)
	// Compute runs do anywhere and then calls then. stranger says that nobody
	// vouches for who caused it; it is false if there is too much of that.
	Compute(do func() any, stranger bool, then func(now time.Time, result any)) bool
	// Consult is Compute for what asks a Verify, which may wait. The result is an error
	// if too much waits already.
	Consult(p Path, do func() any, then func(now time.Time, result any))
	// AllocateSPI returns a fresh inbound SPI for ESP.
	AllocateSPI() uint32
	// AllocateIKE returns a fresh SPI of ours for an IKE SA and leads messages
	// with it to s, until Forget.
	AllocateIKE(s *Session) wire.Cookie
	Forget(spi wire.Cookie)
	// Try asks whether as many as n candidates may be tried for a source. If so,
	// Tried says how many it took, and whether one fitted. If not, Search is called
	// when they may.
	Try(now time.Time, s *Session, source netip.Addr, n int) bool
	Tried(now time.Time, source netip.Addr, allowed, took int, fits bool)
	// Known names the tenants whose client it probably is that comes from a source
	// and calls itself so. TryKnown asks whether those few may be tried, and Met says
	// whose it turned out to be.
	Known(source netip.Addr, identity string) []string
	TryKnown(now time.Time, source netip.Addr) bool
	Met(source netip.Addr, identity, tenant string)

	// Claim says that a message of the peer's was authentic: it has received what was
	// sent to its address.
	Claim(s *Session)
	// Established says that both sides are authentic.
	Established(now time.Time, s *Session)
	// EAP hands out what EAP says: as responder the peer's answer (nil to
	// begin), as initiator the server's request. EAPReply answers.
	EAP(s *Session, packet []byte)
	// Assign asks what an authentic initiator is given. Assigned answers.
	Assign(s *Session, w Wants)
	// Configured says what we were given as initiator.
	Configured(s *Session, a Assignment)
	Installed(s *Session, c Child)
	Activated(s *Session, in uint32)
	Removed(s *Session, in, out uint32)
	// Moved says that the peer is sent to on another path, or, with proven, that it
	// has shown that it receives on this one.
	Moved(s *Session, p Path, proven bool)
	// Answered says that a peer that was probed lives.
	Answered(s *Session)
	Keepalive(s *Session, p Path)
	Redirected(s *Session, gateway string)
	Failed(now time.Time, s *Session, c Cause, detail string)
	// Closed says that the Session has ended; nothing more comes of it.
	Closed(now time.Time, s *Session, r Reason, c Cause, detail string)
}
