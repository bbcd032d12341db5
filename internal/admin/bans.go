package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// Ban is somebody who is not to dial in.
type Ban struct {
	Prefix    netip.Prefix `json:"prefix"`              // from where
	Tenant    string       `json:"tenant,omitempty"`    // empty: whatever the tenant
	User      string       `json:"user,omitempty"`      // whom alone it is about
	Device    string       `json:"device,omitempty"`    // likewise, as it calls itself in IKE
	Strangers bool         `json:"strangers,omitempty"` // only devices that nobody was in from before
	Keep      bool         `json:"keep,omitempty"`      // sessions from there stay
	By        string       `json:"by"`                  // who made it: operator, lockout
	Reason    string       `json:"reason,omitempty"`
	Made      time.Time    `json:"made"`
	Until     time.Time    `json:"until,omitzero"` // zero: for ever
}

// Feed is a file of addresses that nobody dials in from.
type Feed struct {
	File     string    `json:"file"`
	Networks int       `json:"networks"` // in force
	Skipped  int       `json:"skipped,omitempty"`
	At       time.Time `json:"at"`              // when it was read last
	Error    string    `json:"error,omitempty"` // why what is in force is from before
}

// Bans is who is not to dial in, at one moment.
type Bans struct {
	Bans  []Ban  `json:"bans"`
	Feeds []Feed `json:"feeds"`
}

// BanOrder is a ban that an operator wants.
type BanOrder struct {
	Prefix netip.Prefix  `json:"prefix"`
	Tenant string        `json:"tenant,omitempty"`
	For    time.Duration `json:"for,omitempty"` // in nanoseconds; 0: for ever
	Reason string        `json:"reason,omitempty"`
	Keep   bool          `json:"keep,omitempty"`
	Force  bool          `json:"force,omitempty"` // also if it is everybody
}

// Banned is what came of it.
type Banned struct {
	Ban      Ban   `json:"ban"`
	Replaced bool  `json:"replaced,omitempty"` // one of the same
	Ended    int   `json:"ended"`              // sessions
	Overlaps []Ban `json:"overlaps,omitempty"` // 16 at most
}

// Refused is what a server says to an order that it does not carry out.
type Refused string

// Error implements error.
func (r Refused) Error() string { return string(r) }

// maxOrder bounds what an operator's command says, in bytes.
const maxOrder = 64 << 10

// banRoutes answers what is about bans.
func banRoutes(mux *http.ServeMux, g Gateway) {
	mux.HandleFunc("GET /bans", func(w http.ResponseWriter, r *http.Request) {
		list, err := g.Bans(r.Context())
		if err != nil {
			refuse(w, err)
			return
		}
		answer(w, list)
	})
	mux.HandleFunc("POST /bans", func(w http.ResponseWriter, r *http.Request) {
		var o BanOrder
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder)).Decode(&o); err != nil || !o.Prefix.IsValid() || o.For < 0 {
			http.Error(w, "a network is wanted, as {\"prefix\": \"192.0.2.0/24\"}", http.StatusBadRequest)
			return
		}
		done, err := g.Ban(r.Context(), o)
		if err != nil {
			refuse(w, err)
			return
		}
		answer(w, done)
	})
	mux.HandleFunc("DELETE /bans", func(w http.ResponseWriter, r *http.Request) {
		p, err := netip.ParsePrefix(r.URL.Query().Get("prefix"))
		if err != nil {
			http.Error(w, "a network is wanted, as in ?prefix=192.0.2.0/24", http.StatusBadRequest)
			return
		}
		gone, err := g.Unban(r.Context(), p, r.URL.Query().Get("tenant"))
		if err != nil {
			refuse(w, err)
			return
		}
		answer(w, gone)
	})
}

// Bans returns who is not to dial in.
func (c *Client) Bans(ctx context.Context) (Bans, error) {
	var b Bans
	err := c.get(ctx, "/bans", &b)
	return b, err
}

// Ban bans a network.
func (c *Client) Ban(ctx context.Context, o BanOrder) (done Banned, err error) {
	order, err := json.Marshal(o)
	if err != nil {
		return done, fmt.Errorf("admin: %w", err)
	}
	return done, c.order(ctx, http.MethodPost, "/bans", order, &done)
}

// Unban takes every ban of just that network back, of all tenants or of one.
func (c *Client) Unban(ctx context.Context, p netip.Prefix, tenant string) (gone []Ban, err error) {
	q := url.Values{"prefix": {p.String()}}
	if tenant != "" {
		q.Set("tenant", tenant)
	}
	return gone, c.order(ctx, http.MethodDelete, "/bans?"+q.Encode(), nil, &gone)
}

// order has the server do something, and reads what came of it.
func (c *Client) order(ctx context.Context, method, path string, body []byte, value any) error {
	r, err := c.send(ctx, method, path, bytes.NewReader(body))
	if errors.Is(err, ErrNoSession) {
		return c.older("bans")
	}
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(value); err != nil {
		return fmt.Errorf("admin: the answer makes no sense: %w", err)
	}
	return nil
}
