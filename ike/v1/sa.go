package v1

import (
	"bytes"
	"crypto/subtle"
	"io"

	"github.com/culvert-vpn/culvert/ike/suite"
	"github.com/culvert-vpn/culvert/ike/wire"
)

// SA is an ISAKMP SA that stands: it protects quick modes and informational
// messages.
type SA struct {
	Initiator, Responder wire.Cookie
	Choice               suite.IKE // what was agreed
	Features             Features  // of the peer
	Aggressive           bool      // made in aggressive mode

	keys keys
	last []byte // last block of ciphertext of phase 1
}

// Zero overwrites the keys. The SA is of no use afterwards.
func (sa *SA) Zero() { sa.keys.zero() }

// A thread is the encryption of one exchange: each message continues where the
// one before it ended (RFC 2409, appendix B).
type thread struct {
	sa *SA
	id wire.MessageID
	iv []byte
}

func (sa *SA) thread(id wire.MessageID) thread {
	return thread{sa: sa, id: id, iv: phase2IV(sa.Choice.Hash, sa.last, id)}
}

// start begins a message of exchange t in this thread.
func (t *thread) start(x wire.ExchangeType) *wire.Message {
	return wire.StartMessage(nil, wire.Header{
		Initiator: t.sa.Initiator, Responder: t.sa.Responder, Version: wire.V1, Exchange: x,
		Flags: wire.FlagEncryption, MessageID: t.id,
	})
}

// sealHashed fills in the HASH payload, whose body begins at byte at of m, over
// the message ID, the nonces and what follows it; then it encrypts.
func (t *thread) sealHashed(m *wire.Message, at int, nonces ...[]byte) []byte {
	b := m.Bytes()
	size := t.sa.Choice.Hash.Size()
	copy(b[at:], t.hash(b[at+size:], nonces...))
	return t.seal(m)
}

// seal pads and encrypts everything behind the header.
func (t *thread) seal(m *wire.Message) []byte {
	m.Pad(t.sa.keys.cbc.BlockSize())
	b := m.Finish()
	body := b[wire.HeaderLen:]
	if t.sa.keys.cbc.Encrypt(t.iv, body) != nil {
		return nil
	}
	t.iv = lastBlock(body, len(t.iv))
	return b
}

// hash is HASH(1) and, with nonces, HASH(2) of RFC 2409 section 5.5:
//
//	HASH(1) = prf(SKEYID_a, M-ID | SA | Ni [ | KE ] [ | IDci | IDcr )
//	HASH(2) = prf(SKEYID_a, M-ID | Ni_b | SA | Nr [ | KE ] [ | IDci | IDcr )
func (t *thread) hash(rest []byte, nonces ...[]byte) []byte {
	parts := append([][]byte{be32(uint32(t.id))}, nonces...)
	return t.sa.Choice.Hash.PRF(t.sa.keys.a, append(parts, rest)...)
}

// opened is a decrypted message. next is the IV to go on with, once the message
// has proved to be authentic.
type opened struct {
	chain []wire.Payload // without the HASH
	rest  []byte         // the bytes of that chain
	hash  wire.Hash
	next  []byte
}

// open decrypts the body of a message in place. Phase 2 messages begin with a
// HASH payload ("MUST immediately follow the ISAKMP header", RFC 2409 section
// 5.5).
func (t *thread) open(h wire.Header, body []byte) (opened, error) {
	if h.Flags&wire.FlagEncryption == 0 || h.Next != wire.PayloadHash {
		return opened{}, ErrPayloads
	}
	bs := len(t.iv)
	if len(body) < bs {
		return opened{}, ErrPayloads
	}
	next := lastBlock(body, bs)
	if err := t.sa.keys.cbc.Decrypt(body, t.iv, body); err != nil {
		return opened{}, err
	}
	chain, n, err := wire.ParseDecrypted(nil, h.Next, body)
	if err != nil {
		return opened{}, err
	}
	first := chain[0]
	return opened{chain: chain[1:], rest: body[len(first.Raw):n], hash: first.Body, next: next}, nil
}

// verify compares the HASH of an opened message in constant time and, if it is
// right, moves the thread behind the message.
func (t *thread) verify(o opened, nonces ...[]byte) error {
	return t.verifyHash(o, t.hash(o.rest, nonces...))
}

func (t *thread) verifyHash(o opened, want []byte) error {
	if subtle.ConstantTimeCompare(want, o.hash) != 1 {
		return ErrAuth
	}
	t.iv = o.next
	return nil
}

// lastBlock copies the last n bytes of b.
func lastBlock(b []byte, n int) []byte { return bytes.Clone(b[len(b)-n:]) }

// random reads n bytes.
func random(r io.Reader, n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}
