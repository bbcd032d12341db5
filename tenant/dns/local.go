package dns

import (
	"strings"

	"github.com/miekg/dns"
)

// isLocal reports whether a question is about a name that means something on one
// host or one link only: localhost and what is below it (RFC 6761 section 6.3), the
// names of mDNS (RFC 6762 section 22.1), and names of one label, for which a host's
// resolver looks into its own hosts file, search domains and links. What clients
// learnt by asking for those would be about the host, not about the network. The
// top level domains themselves may be asked for what validators want to know.
func isLocal(q dns.Question) bool {
	name := strings.TrimSuffix(q.Name, ".")
	if name == "" {
		return false
	}
	switch last := name[strings.LastIndexByte(name, '.')+1:]; {
	case last == "localhost", last == "local":
		return true
	case last != name:
		return false
	}
	switch q.Qtype {
	case dns.TypeA, dns.TypeAAAA, dns.TypeANY, dns.TypeHTTPS, dns.TypeSVCB, dns.TypeMX, dns.TypeTXT:
		return true
	}
	return false
}
