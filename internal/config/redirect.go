package config

import (
	"fmt"
	"net/netip"
)

// Redirect sends clients of IKEv2 to another gateway (RFC 5685), those that
// understand it: Apple's, strongSwan and culvert connect. The others are served
// here.
type Redirect struct {
	// To is an address or a host name; empty: nobody is sent away.
	To string
	// Always sends new clients there before anything else. Otherwise only those
	// that are connected when the server ends are told.
	Always bool
}

// readRedirect reads where clients are sent.
func (r *reader) readRedirect(v value) {
	var when string
	v.fields([]field{
		{"to", "vpn2.example.com", true, func(v value) { r.config.Redirect.To, _ = v.gateway() }},
		{"when", "always", true, func(v value) { v.choice(&when, "always", "shutdown") }},
	})
	r.config.Redirect.Always = when == "always"
}

// gateway reads an address or a host name.
func (v value) gateway() (string, bool) {
	s, ok := v.text()
	if !ok {
		return "", false
	}
	if a, err := netip.ParseAddr(s); err == nil {
		if a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
			v.refuseValue("is no address of a gateway: " + s)
			return "", false
		}
		return a.Unmap().String(), true
	}
	if !isDomain(s) {
		v.refuse(fmt.Sprintf("%s: %q is neither an address nor a host name", v.path, s), "write it as in vpn2.example.com or 203.0.113.20")
		return "", false
	}
	return s, true
}

// checkRedirect refuses to send clients in a circle.
func (r *reader) checkRedirect(v value) {
	a, err := netip.ParseAddr(r.config.Redirect.To)
	if err != nil || !r.config.Redirect.Always {
		return
	}
	for _, l := range r.config.Listen {
		if l == a {
			v.refuse(fmt.Sprintf("redirect.to is %s, on which this server listens: clients would go in a circle", a), "write the other gateway's address")
		}
	}
}
