package config

import "time"

// Bounds of timeouts. Those of the RFCs for NATs are least: RFC 4787 REQ-5 for UDP,
// RFC 5508 REQ-2 for ICMP, RFC 5382 REQ-5 for TCP; what is shorter for TCP warns.
const (
	leastUDP    = 2 * time.Minute
	leastDNS    = 5 * time.Second
	leastICMP   = time.Minute
	leastTCP    = 5 * time.Minute
	usualTCP    = 2*time.Hour + 4*time.Minute
	leastClosed = 4 * time.Minute
	longest     = 7 * 24 * time.Hour
)

// readTimeouts reads for how long netstack keeps what is silent.
func readTimeouts(v value, t *Timeouts) {
	span := func(into *time.Duration, least, most time.Duration) func(value) {
		return func(v value) { v.duration(into, least, most, false) }
	}
	v.fields([]field{
		{"tcp", "2h4m", false, func(v value) {
			v.duration(&t.TCP, leastTCP, longest, false)
			if t.TCP > 0 && t.TCP < usualTCP {
				v.warn(v.path+": "+short(t.TCP)+" is less than the two hours that hosts wait with their keepalives, so connections in use are cut",
					"write "+short(usualTCP)+" or more (RFC 5382)")
			}
		}},
		{"tcp_half_closed", "10m", false, span(&t.TCPHalfClosed, leastClosed, longest)},
		{"tcp_connect", "15s", false, span(&t.TCPConnect, time.Second, leastClosed)},
		{"udp", "5m", false, span(&t.UDP, leastUDP, longest)},
		{"dns", "30s", false, span(&t.DNS, leastDNS, longest)},
		{"icmp", "1m", false, span(&t.ICMP, leastICMP, time.Hour)},
	})
}
