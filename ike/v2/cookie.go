package v2

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"net/netip"
	"time"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// Cookies makes and checks the cookies that a responder under load asks for, so
// that it keeps nothing of who cannot receive what it sends (RFC 7296, section
// 2.6):
//
//	Cookie = <VersionIDofSecret> | Hash(Ni | IPi | SPIi | <secret>)
//
// The secret changes with time; the one before it is still good.
type Cookies struct {
	version uint8
	since   time.Time
	secrets [2][32]byte // by the lowest bit of the version
}

// secretTime is how long a secret makes cookies.
const secretTime = 60 * time.Second

// turn makes a new secret if the one in use is old.
func (c *Cookies) turn(now time.Time, rand io.Reader) error {
	if !c.since.IsZero() && now.Sub(c.since) < secretTime {
		return nil
	}
	old := c.since
	c.version++
	if _, err := io.ReadFull(rand, c.secrets[c.version&1][:]); err != nil {
		return err
	}
	if c.since = now; old.IsZero() || now.Sub(old) > 2*secretTime {
		// The secret before is too old to be good for anything.
		_, err := io.ReadFull(rand, c.secrets[(c.version+1)&1][:])
		return err
	}
	return nil
}

func (c *Cookies) make(version uint8, ni []byte, source netip.Addr, spi wire.Cookie) []byte {
	h := hmac.New(sha256.New, c.secrets[version&1][:])
	h.Write(ni)
	h.Write(source.Unmap().AsSlice())
	h.Write(spi[:])
	return h.Sum([]byte{version})
}

// Ask returns the answer that asks the sender of q for a cookie: a header and the
// one notify, and nothing is kept.
func (c *Cookies) Ask(now time.Time, rand io.Reader, q *Request) ([]byte, error) {
	if err := c.turn(now, rand); err != nil {
		return nil, err
	}
	n := wire.Notify2{Type: wire.Notify2Cookie, Data: c.make(c.version, q.nonce, q.Path.Remote.Addr(), q.header.Initiator)}
	return q.refusal(n), nil
}

// Good reports whether q brings back a cookie that we made for it.
func (c *Cookies) Good(now time.Time, rand io.Reader, q *Request) bool {
	if len(q.cookie) == 0 || c.since.IsZero() || c.turn(now, rand) != nil {
		return false
	}
	v := q.cookie[0]
	if v != c.version && v != c.version-1 {
		return false
	}
	want := c.make(v, q.nonce, q.Path.Remote.Addr(), q.header.Initiator)
	return subtle.ConstantTimeCompare(want, q.cookie) == 1
}

func sha1Of(parts ...[]byte) []byte {
	h := sha1.New()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}
