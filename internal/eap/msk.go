package eap

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"hash"
)

// exportMSK derives the MSK from a finished handshake. keylog is what crypto/tls
// wrote about it, and random the server's.
func exportMSK(state tls.ConnectionState, keylog, random []byte) ([]byte, error) {
	if state.Version >= tls.VersionTLS13 {
		// RFC 9190, section 2.3: the context is the method's type.
		key, err := state.ExportKeyingMaterial("EXPORTER_EAP_TLS_Key_Material", []byte{byte(TypeTLS)}, 2*mskLen)
		return cut(key), err
	}
	// RFC 5216, section 2.3.
	const label = "client EAP encryption"
	if key, err := state.ExportKeyingMaterial(label, nil, 2*mskLen); err == nil {
		return cut(key), nil
	}
	// crypto/tls refuses where the peer does not know the extended master secret (RFC
	// 7627), as strongSwan's. EAP binds the key to the outer authentication, so the
	// attack that the extension is against gains nothing here.
	client, master, ok := parseKeylog(keylog)
	if !ok || len(random) != 32 {
		return nil, fmt.Errorf("%w: no key can be exported", ErrTLS)
	}
	defer clear(master)
	return prf12(prfHash(state.CipherSuite), master, label, append(client, random...), mskLen), nil
}

// cut takes the MSK from the front of MSK and EMSK.
func cut(key []byte) []byte {
	if len(key) < mskLen {
		return nil
	}
	clear(key[mskLen:])
	return key[:mskLen:mskLen]
}

// parseKeylog reads the line "CLIENT_RANDOM client master".
func parseKeylog(b []byte) (client, master []byte, ok bool) {
	fields := bytes.Fields(b)
	if len(fields) < 3 || string(fields[0]) != "CLIENT_RANDOM" {
		return nil, nil, false
	}
	client, err1 := hex.DecodeString(string(fields[1]))
	master, err2 := hex.DecodeString(string(fields[2]))
	return client, master, err1 == nil && err2 == nil
}

// prfHash is the hash of TLS 1.2's PRF: SHA-256 but for the suites with SHA-384.
func prfHash(suite uint16) func() hash.Hash {
	switch suite {
	case tls.TLS_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:
		return sha512.New384
	}
	return sha256.New
}

// prf12 is the PRF of TLS 1.2 (RFC 5246, section 5).
func prf12(h func() hash.Hash, secret []byte, label string, seed []byte, n int) []byte {
	full := append([]byte(label), seed...)
	mac := func(parts ...[]byte) []byte {
		m := hmac.New(h, secret)
		for _, p := range parts {
			m.Write(p)
		}
		return m.Sum(nil)
	}
	var out []byte
	for a := mac(full); len(out) < n; a = mac(a) {
		out = append(out, mac(a, full)...)
	}
	return out[:n:n]
}

// serverRandom finds the random in the first record of a server's flight: record
// header 5, handshake header 4, version 2.
func serverRandom(flight []byte) []byte {
	const at = 5 + 4 + 2
	if len(flight) < at+32 || flight[0] != 22 || flight[5] != 2 {
		return nil
	}
	return flight[at : at+32]
}
