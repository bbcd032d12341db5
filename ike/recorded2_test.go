package ike

import (
	"encoding/hex"
	"errors"
	"testing"

	"github.com/culvert-vpn/culvert/ike/wire"
)

// An exchange recorded with Windows' RRAS: an initiator that forgets the key
// length of AES, and the answer of Windows.
const (
	recordedInit = "" +
		"4e4b4577536e524200000000000000002120220800000000000001c42200002c0000002801010004030000080100000c0300" +
		"000803000002030000080200000200000008040000022800008800020000b0e8ca924fda4bd818a7efb1a98fef3afc95e791" +
		"1810e9a3d20fc8214915bfd46069014d34d0ef9e31ed231039114ac673335a6af93d7ffbcdbde2d168ed5757a603b321b547" +
		"bc9d90b9a4d9dd95727d65601afc287ef4e3375dc7285c28f871af6e32ccec9257bd2151e9428e412745dea351cf6b34c531" +
		"cfef254bd3ae63fd000000f4f9738cc1394e1b7a54e92824cdf7c8cefb7d3ac135d9fde76d9f254e7e85e0c703e5e68f1f3a" +
		"b949ac1c97ebfe7da8de68f1560071b86606426ca2a0370d711a5a841a088abf94dbfd11b14b1059ec06e3e94f1f25bec7be" +
		"3b02f24c82c88479b930b0e7c95b54462412aefb28f0d1ebd77efc07d2baee7099e7db1b1ff507a56ef7a1853329a4a436c8" +
		"0477d9969e0686087caf3b826d51d7a4cab2d4007b58221bb3ced19913f1b94fb1d1d7f81e8f990e0a9d678d36d34de44021" +
		"cd51b047b9f3c9010100ad9808b702ca1e1a0165c9786d4d27dcefdd3ed8416f2f35ac6e1ee85f4270db47027b9e25589b3a" +
		"a2e3"
	recordedAnswer = "" +
		"4e4b4577536e5242bfa6452e02986e7521202220000000000000016c220000300000002c010100040300000c0100000c800e" +
		"00800300000803000002030000080200000200000008040000022800008800020000862b25b4471787c60c023de65a1b7cc5" +
		"7e159b9fdd23ba4e423cbf63012213295d1054966c55aa0ee5ede1a1a181a6c36dcd6eeda2a8b63f9969c07ece851b35d616" +
		"0b42f0f3be2ee268b267915860f71b6082eb3b79bdc0d8e00c67ca50e2cdc2832a7c9bb968170698ad6239cfb69cb8f419f3" +
		"508b8f5dc6f1c16293c047e8290000344be5cb680286ba782bc5178be468e13cab388d77f88e86b5f0bd6a921b9a945ef201" +
		"f46e1d4f43c2bc3d4d99d321a9112900001c00004004a5b832bbf8c24f0837aeee2da2697037f36833ab2b00001c00004005" +
		"dfba457a05e006612bac9f660cbd778072d224202b0000181e2b516905991c7d7c96fcbfb587e4610000000900000014fb1d" +
		"e3cdf341b7ea16b7e5be0855f120"
)

func TestV2RecordedInit(t *testing.T) {
	for name, policy := range map[string]*Policy{"strict": nil, "legacy": {Legacy: true}} {
		p := newPair(t, 1, Config{V2: true, Candidates: psk("acme", "secret", policy)})
		path := Path{Local: serverIKE, Remote: clientIKE}
		msg, err := hex.DecodeString(recordedInit)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.server.s.Input(p.now, path, msg); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: AES without key length: %v", name, err)
		}
		p.drain(p.server)
		if len(p.server.sent) != 1 {
			t.Fatalf("%s: %d messages sent", name, len(p.server.sent))
		}
		h, body, _ := wire.ConsumeHeader(p.server.sent[0])
		n, err := wire.ConsumeNotify2(body[4:])
		if err != nil || n.Type != wire.Notify2NoProposalChosen || !h.Responder.IsZero() {
			t.Errorf("%s: answered %v", name, n.Type)
		}
		answer, _ := hex.DecodeString(recordedAnswer)
		if err := p.server.s.Input(p.now, path, answer); !errors.Is(err, ErrUnknownSA) {
			t.Errorf("%s: an answer to nobody: %v", name, err)
		}
		p.closeAll()
	}
}
