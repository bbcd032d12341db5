package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

// The errors about pools.
var (
	ErrNoPool  = errors.New("admin: no such pool")
	errChanged = errors.New("admin: the pools were changed meanwhile: ask again")
)

// Pool is one pool of a tenant, of one family, at one moment.
type Pool struct {
	Tenant     string         `json:"tenant"`
	Name       string         `json:"name"`
	IPv6       bool           `json:"ipv6"` // it leases prefixes
	Ranges     []netip.Prefix `json:"ranges"`
	Bits       int            `json:"bits"` // how long a prefix is that it leases; 32: addresses of IPv4
	Size       int            `json:"size"`
	Used       int            `json:"used"`
	Static     int            `json:"static"`        // each for one user alone
	Idle       int            `json:"idle"`          // static, and not in use
	Remembered int            `json:"remembered"`    // not in use, and given to the same user again
	Next       netip.Prefix   `json:"next,omitzero"` // what somebody gets next who had none; invalid: there is none
}

// Percent is how much of the pool nobody else can have.
func (p *Pool) Percent() int { return int(int64(p.Used+p.Idle) * 100 / int64(max(p.Size, 1))) }

// PoolList are the pools of all tenants.
type PoolList struct {
	Pools   []Pool    `json:"pools"` // in the order of the configuration
	Outside []Outside `json:"outside,omitempty"`
}

// Outside are sessions of a tenant whose users would be given other addresses by now.
type Outside struct {
	Tenant   string `json:"tenant"`
	Sessions int    `json:"sessions"`
}

// LeasesQuery asks for a page of leases.
type LeasesQuery struct {
	Tenant, Pool string
	IPv6         bool
	From         int // 0, or the Next of the page before
}

// LeasesPage is some of the leases of a pool, in no order.
type LeasesPage struct {
	Leases []Lease `json:"leases"`
	Next   int     `json:"next"`  // 0: there are no more
	Epoch  uint64  `json:"epoch"` // of the pools: pages of another one do not fit
}

// Lease is an address or prefix that is somebody's, or was.
type Lease struct {
	Tenant  string       `json:"tenant"`
	Pool    string       `json:"pool"`
	Address netip.Prefix `json:"address"`
	User    string       `json:"user"`
	State   string       `json:"state"` // one of the Leased values
	Static  bool         `json:"static,omitempty"`
	// Since is for how long he has it, or when he left it; zero: he never had it.
	Since   time.Time `json:"since,omitzero"`
	Session uint64    `json:"session,omitempty"` // of an address of IPv4 in use
}

// What becomes of an address.
const (
	LeasedNow  = "in use"
	LeasedOnce = "remembered"
	LeasedIdle = "kept" // for its user alone
)

// Pools are the pools of all tenants.
func (c *Client) Pools(ctx context.Context) (PoolList, error) {
	var list PoolList
	err := c.get(ctx, "/pools", &list)
	return list, err
}

// Leases lists all leases of a pool, a page at a time.
func (c *Client) Leases(ctx context.Context, of Pool) ([]Lease, error) {
	const tries = 5
	var err error
	for range tries {
		var list []Lease
		if list, err = c.leases(ctx, of); !errors.Is(err, errChanged) {
			return list, err
		}
	}
	return nil, err
}

// leases is Leases once; errChanged: a page was of other pools than the one before.
func (c *Client) leases(ctx context.Context, of Pool) (list []Lease, err error) {
	q, epoch := LeasesQuery{Tenant: of.Tenant, Pool: of.Name, IPv6: of.IPv6}, uint64(0)
	for {
		v := url.Values{"tenant": {q.Tenant}, "pool": {q.Pool}, "ipv6": {strconv.FormatBool(q.IPv6)}, "from": {strconv.Itoa(q.From)}}
		var page LeasesPage
		if err := c.get(ctx, "/pools/leases?"+v.Encode(), &page); err != nil {
			return nil, err
		}
		if q.From > 0 && page.Epoch != epoch {
			return nil, errChanged
		}
		list = append(list, page.Leases...)
		if q.From, epoch = page.Next, page.Epoch; q.From == 0 {
			return list, nil
		}
	}
}

// readQuery reads what leases asks for.
func readQuery(v url.Values) (q LeasesQuery, err error) {
	q = LeasesQuery{Tenant: v.Get("tenant"), Pool: v.Get("pool"), IPv6: v.Get("ipv6") == "true"}
	if q.From, err = strconv.Atoi(v.Get("from")); err != nil || q.From < 0 {
		return q, fmt.Errorf("from is the number of a lease, and not %q", v.Get("from"))
	}
	return q, nil
}

// poolRoutes are the answers about pools.
func poolRoutes(mux *http.ServeMux, g Gateway) {
	mux.HandleFunc("GET /pools", func(w http.ResponseWriter, r *http.Request) {
		list, err := g.Pools(r.Context())
		if err != nil {
			refuse(w, err)
			return
		}
		answer(w, list)
	})
	mux.HandleFunc("GET /pools/leases", func(w http.ResponseWriter, r *http.Request) {
		q, err := readQuery(r.URL.Query())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		page, err := g.Leases(r.Context(), q)
		if err != nil {
			refuse(w, err)
			return
		}
		answer(w, page)
	})
}
