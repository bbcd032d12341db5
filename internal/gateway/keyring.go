package gateway

import (
	"crypto/sha256"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/culvert-vpn/culvert/ike"
	"github.com/culvert-vpn/culvert/internal/config"
)

// maxLocals bounds how many local addresses the keyring remembers candidates for.
const maxLocals = 1024

// keyring knows which pre-shared keys, and which names of ours, open what. Tenants that share a key form
// a group: the realm of the login tells them apart later.
type keyring struct {
	tenants []*tenantState
	named   map[string]*tenantState
	groups  map[string][]*tenantState // by label
	kept    map[string]bool           // those of groups that an older keyring had
	byLocal *simplelru.LRU[netip.Addr, []ike.Candidate]
	related *simplelru.LRU[relation, []*tenantState]
}

// relation is whose relatives at which of our addresses; maxRelations bounds how many
// are remembered.
type relation struct {
	tenant *tenantState
	local  netip.Addr
}

const maxRelations = 64

func newKeyring(tenants []*tenantState) *keyring {
	named := make(map[string]*tenantState, len(tenants))
	for _, t := range tenants {
		named[t.Name] = t
	}
	return &keyring{
		tenants: tenants, named: named, groups: make(map[string][]*tenantState), kept: make(map[string]bool),
		byLocal: remembered[netip.Addr, []ike.Candidate](maxLocals), related: remembered[relation, []*tenantState](maxRelations),
	}
}

// remembered is what is found again without looking, of which the least recently used
// goes first.
func remembered[K comparable, V any](most int) *simplelru.LRU[K, V] {
	l, err := simplelru.NewLRU[K, V](most, nil)
	if err != nil {
		panic(err) // most is not positive
	}
	return l
}

// candidates returns the keys of the tenants whose clients dial local.
func (k *keyring) candidates(local, _ netip.Addr) []ike.Candidate {
	if found, ok := k.byLocal.Get(local); ok {
		return found
	}
	found := k.collect(local)
	k.byLocal.Add(local, found)
	return found
}

// follow finds at once what k is to know since an older one knows it: peers have its
// labels, or exchanges that are under way. A label that no key has any more stands for those
// of its tenants that stay with the keys they had; one that is of no peer is known for as
// long as one follows the other.
func (k *keyring) follow(older *keyring, ofPeers map[string]bool, stays map[*tenantState]bool) {
	for _, local := range older.byLocal.Keys() {
		k.candidates(local, netip.Addr{})
	}
	for label, owners := range older.groups {
		if k.groups[label] != nil || older.kept[label] && !ofPeers[label] {
			continue
		}
		left := slices.DeleteFunc(slices.Clone(owners), func(t *tenantState) bool { return !stays[t] })
		if len(left) > 0 {
			k.groups[label], k.kept[label] = left, true
		}
	}
}

func (k *keyring) collect(local netip.Addr) []ike.Candidate {
	var keys []config.Secret
	var owners [][]*tenantState
	index := make(map[[sha256.Size]byte]int) // of keys, by their hash
	var certified, groups []ike.Candidate
	for _, t := range k.tenants {
		if !t.dialledAt(local) {
			continue
		}
		if t.Certificate != nil {
			certified = append(certified, k.certificateCandidate(t))
		}
		if len(t.Match.Groups) > 0 {
			groups = append(groups, k.groupCandidate(t))
		}
		for _, psk := range t.PSKs {
			sum := sha256.Sum256(psk.Bytes())
			i, known := index[sum]
			if !known {
				i = len(keys)
				index[sum] = i
				keys, owners = append(keys, psk), append(owners, nil)
			}
			owners[i] = append(owners[i], t)
		}
	}
	candidates := make([]ike.Candidate, 0, len(keys))
	for i, psk := range keys {
		candidates = append(candidates, k.candidate(psk, owners[i]))
	}
	return slices.Concat(candidates, certified, groups)
}

// groupCandidate is the way into a tenant by aggressive mode. The client says no more
// than the name of its group before it wants to see that we have the key: of several,
// the first has to do.
func (k *keyring) groupCandidate(t *tenantState) ike.Candidate {
	c := k.candidate(t.PSKs[0], []*tenantState{t})
	c.Groups = t.Match.Groups
	return c
}

func (k *keyring) candidate(psk config.Secret, owners []*tenantState) ike.Candidate {
	names := make([]string, 0, len(owners))
	policy := policyOf(owners[0].Tenant)
	for _, t := range owners {
		names = append(names, t.Name)
		policy.Legacy = policy.Legacy || t.Legacy
	}
	label := strings.Join(names, ",")
	k.groups[label] = owners
	xauth := slices.ContainsFunc(owners, func(t *tenantState) bool { return t.Auth.Allow.XAUTH })
	c := ike.Candidate{Tenant: label, PSK: psk.Bytes(), Policy: policy, XAUTH: xauth}
	if x := owners[0].Certificate; x != nil && len(owners) == 1 && x.ForPSK != "none" {
		c.Shown, c.ShowAlways = certificateOf(x), x.ForPSK == "all"
	}
	setPPK(&c, owners)
	return c
}

// setPPK lets clients add the post-quantum keys of the tenants they may be of.
func setPPK(c *ike.Candidate, owners []*tenantState) {
	c.PPKRequired = owners[0].PPK.Required
	if !slices.ContainsFunc(owners, func(t *tenantState) bool { return len(t.PPK.Keys) > 0 }) {
		return
	}
	c.PPK = func(id []byte) []byte {
		for _, t := range owners { // not the control loop: see tenantState.conf
			if secret := t.conf.Load().PPK.Secret(string(id)); secret != nil {
				return secret
			}
		}
		return nil
	}
}

func certificateOf(c *config.Certificate) *ike.Certificate {
	return &ike.Certificate{Chain: c.Chain, Signer: c.Key}
}

func policyOf(t *config.Tenant) *ike.Policy {
	return &ike.Policy{
		Legacy: t.Legacy, IKELifetime: t.IKE.Lifetime, ChildLifetime: t.IKE.ChildLifetime,
		Rekey: t.IKE.InitiateRekey, DPD: t.IKE.DPD.Interval, DPDTries: t.IKE.DPD.Tries,
	}
}

// group returns the tenants whose key the peer has, and their names.
func (k *keyring) group(label string) ([]*tenantState, []string) {
	owners := k.groups[label]
	names := make([]string, 0, len(owners))
	for _, t := range owners {
		names = append(names, t.Name)
	}
	return owners, names
}

// byCertificate ends the labels of tenants that prove themselves by certificate,
// among ike's candidates; the others are those of pre-shared keys.
const byCertificate = "+certificate"

// tenantsOf is what the log says of a label.
func tenantsOf(label string) string { return strings.TrimSuffix(label, byCertificate) }

// certificateCandidate is the way into a tenant that has a certificate.
func (k *keyring) certificateCandidate(t *tenantState) ike.Candidate {
	label := t.Name + byCertificate
	k.groups[label] = []*tenantState{t}
	c := ike.Candidate{
		Tenant: label, Policy: policyOf(t.Tenant), Identity: t.Identity,
		Certificate: certificateOf(t.Certificate),
		EAP:         t.Auth.Allow.EAP || t.Auth.Allow.EAPTLS,
		XAUTH:       t.Auth.Allow.XAUTH,
	}
	setPPK(&c, []*tenantState{t})
	if t.Auth.Allow.Certificate {
		c.Verify, c.Authorities = t.verifyClient, t.CA
	}
	return c
}

// relatives are the tenants whose users may log in to a client that was shown that
// one's certificate: those that have the same one and are dialled at the same address.
// A key opens the tenants that have it, whatever certificates they have beside it.
func (k *keyring) relatives(label string, local netip.Addr) []*tenantState {
	group, _ := k.group(label)
	if !strings.HasSuffix(label, byCertificate) || len(group) != 1 {
		return group
	}
	key := relation{group[0], local}
	if found, ok := k.related.Get(key); ok {
		return found
	}
	found := []*tenantState{group[0]}
	for _, t := range k.tenants {
		if t != group[0] && t.dialledAt(local) && t.Certificate != nil && t.Certificate.Chain[0].Equal(group[0].Certificate.Chain[0]) {
			found = append(found, t)
		}
	}
	k.related.Add(key, found)
	return found
}

// homeless reports whether a peer's key opens no tenant any more.
func (p *peer) homeless(k *keyring) bool {
	group, _ := k.group(p.Label)
	return p.Suite != "" && len(group) == 0
}
