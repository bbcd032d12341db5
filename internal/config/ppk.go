package config

import "fmt"

// PPK are the post-quantum pre-shared keys of a tenant (RFC 8784): they make what
// IKEv2 negotiates safe from who records it today and breaks the key exchange
// later.
type PPK struct {
	// Required refuses clients of IKEv2 that have none of Keys.
	Required bool
	// Keys by their names, which clients send; no two have the same.
	Keys []PPKKey
}

// PPKKey is one post-quantum pre-shared key.
type PPKKey struct {
	ID     string
	Secret Secret
}

// Secret returns the key of that name, nil if there is none.
func (p PPK) Secret(id string) []byte {
	for _, k := range p.Keys {
		if k.ID == id {
			return k.Secret.Bytes()
		}
	}
	return nil
}

// minPPK is what a PPK should have: "at least 256 bits of entropy" (RFC 8784,
// section 6), in bytes.
const minPPK = 32

// readPPK reads the post-quantum keys.
func (t *tenantValues) readPPK(v value) {
	v.fields([]field{
		{"required", "true", false, func(v value) { v.boolean(&t.PPK.Required) }},
		{"keys", "[{id: office, secret: file:office.ppk}]", true, func(v value) {
			if v.isEmptyList() {
				v.refuse(v.path+" is empty", "write [{id: office, secret: file:office.ppk}], or leave ppk out")
			}
			v.items(t.readPPKKey)
		}},
	})
}

func (t *tenantValues) readPPKKey(v value) {
	var k PPKKey
	v.fields([]field{
		{"id", "office", true, func(v value) { k.ID, _ = v.text() }},
		{"secret", "file:office.ppk", true, func(v value) {
			var ok bool
			if k.Secret, ok = v.secret(); ok && k.Secret.Len() < minPPK {
				v.warn(fmt.Sprintf("%s is %d bytes long: a key that shall outlive today's key exchanges has 32 random bytes", v.path, k.Secret.Len()),
					"make one with: openssl rand -base64 32")
			}
		}},
	})
	switch {
	case len(k.ID) > 128:
		v.refuse(v.path+".id has more than 128 bytes", "write the name that clients send, as in id: office")
	case t.PPK.Secret(k.ID) != nil:
		v.refuse(fmt.Sprintf("%s: there is a key with the id %s already", v.path, k.ID), "give each key a name of its own")
	case k.ID != "" && k.Secret.Len() > 0:
		t.PPK.Keys = append(t.PPK.Keys, k)
	}
}

// sameAs reports whether clients that may be either tenant's can be told what to do
// about post-quantum keys.
func (p PPK) sameAs(other PPK) bool {
	for _, k := range p.Keys {
		if b := other.Secret(k.ID); b != nil && !k.Secret.Equal(NewSecret(b)) {
			return false
		}
	}
	return p.Required == other.Required
}
