package bench

import (
	"context"
	"os"
)

// l2tpnsProgram is the file of Debian's package.
const l2tpnsProgram = "/usr/sbin/l2tpns"

// l2tpnsWay is l2tpns, which has L2TP in user space and leaves IPsec to the
// kernel: to carry the same work, the kernel must have ESP in transport mode.
func l2tpnsWay() way {
	return way{
		name: "l2tpns", title: "l2tpns",
		missing: func() error {
			if _, err := os.Stat(l2tpnsProgram); err != nil {
				return missing("l2tpns: apt install l2tpns")
			}
			return missing("l2tpns has no IPsec of its own: a server without encryption does not do the same work")
		},
		start: func(context.Context, *road) error { return nil },
	}
}
