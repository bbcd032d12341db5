package wire

import (
	"crypto/sha1"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strconv"
)

// ParseDN reads the DER name of an ID of type IDDERASN1DN, which must fill its
// bytes.
func ParseDN(der []byte) (name pkix.Name, err error) {
	var rdn pkix.RDNSequence
	rest, err := asn1.Unmarshal(der, &rdn)
	if err != nil || len(rest) != 0 {
		return name, ErrValue
	}
	name.FillFromRDNSequence(&rdn)
	return name, nil
}

// quoted bounds and quotes text that a peer chose.
func quoted(s string) string { return strconv.QuoteToASCII(s[:min(len(s), maxIDText)]) }

func sha1Sum(b []byte) [sha1.Size]byte { return sha1.Sum(b) }
