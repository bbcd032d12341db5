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

// ErrNoTenant is returned when the server has no tenant of that name.
var ErrNoTenant = errors.New("admin: no such tenant")

// MaxFlows are how many flows are listed at a time at most.
const MaxFlows = 10_000

// Policy are the rules of a tenant, and what they have decided.
type Policy struct {
	Tenant  string    `json:"tenant"`
	At      time.Time `json:"at"`
	InForce bool      `json:"in_force"` // in a server that runs; false: they are those of the file, and nothing was counted
	Clients string    `json:"clients"`  // "isolated" or "open"
	Sets    []RuleSet `json:"sets"`     // each must allow; none: what is not closed by design may be
}

// RuleSet are rules of one origin. The first that is about a flow decides, else the default.
type RuleSet struct {
	Name    string   `json:"name"`          // "policy", or "filter:" and its name
	For     []string `json:"for,omitempty"` // of a filter: whom the file has under it, as "group:guests"; users of the store may be, too
	Rules   []Rule   `json:"rules"`
	Default Rule     `json:"default"` // of flows that no rule is about
}

// Rule is a rule in the words of the file, and what it has decided.
type Rule struct {
	Name  string    `json:"name"`
	From  []string  `json:"from,omitempty"`  // none: everybody
	To    []string  `json:"to,omitempty"`    // none: everywhere
	Ports []string  `json:"ports,omitempty"` // none: all
	When  string    `json:"when,omitempty"`  // empty: always
	Now   bool      `json:"now"`             // it decides at this time
	Allow bool      `json:"allow"`
	Log   string    `json:"log"`           // "none" or "first"
	Flows uint64    `json:"flows"`         // that it has decided on since the server runs
	Last  time.Time `json:"last,omitzero"` // when it did last; zero: never
}

// FlowCounts are what became of a tenant's flows.
type FlowCounts struct {
	Live            int64  `json:"live"` // now
	Begun           uint64 `json:"begun"`
	Denied          uint64 `json:"denied"`
	PushedBySession uint64 `json:"pushed_by_session"` // they made room for others: beyond limits.flows
	PushedByTenant  uint64 `json:"pushed_by_tenant"`  // beyond what a tenant may have
	PushedByAll     uint64 `json:"pushed_by_all"`     // since all tenants together have no more
	Full            uint64 `json:"full"`              // refused: there was no room
	Lost            uint64 `json:"lost"`              // ended by rules that came later
	Stray           uint64 `json:"stray"`             // packets: answers, fragments and errors of no flow
	Forged          uint64 `json:"forged"`            // packets: such as no honest host sends
}

// FlowQuery says which flows are asked for.
type FlowQuery struct {
	Tenant string
	User   string       // whose; empty: everybody's
	To     netip.Prefix // where they lead; invalid: anywhere
	Limit  int          // so many of them; from 1 to MaxFlows
}

// Flow is one flow that was allowed, at one moment.
type Flow struct {
	Session     uint64         `json:"session"`
	User        string         `json:"user"`
	Protocol    uint8          `json:"protocol"` // its number
	Source      netip.AddrPort `json:"source"`   // who began it
	Destination netip.AddrPort `json:"destination"`
	To          string         `json:"to"`             // the destination as `culvert policy test` takes it
	Set         string         `json:"set,omitempty"`  // that allowed it; empty: the rules have changed, and it was silent since
	Rule        string         `json:"rule,omitempty"` // of the set
	Age         int            `json:"age_seconds"`
	Idle        int            `json:"idle_seconds"`
	Up          uint64         `json:"bytes_up"`   // from who began it
	Down        uint64         `json:"bytes_down"` // to it
	State       string         `json:"state"`
}

// FlowList are some of a tenant's flows, those that were in use last first.
type FlowList struct {
	Tenant  string     `json:"tenant"`
	At      time.Time  `json:"at"`
	Rules   bool       `json:"rules"` // the tenant has rules of flows; without, nothing is known of any
	Flows   []Flow     `json:"flows"`
	More    int        `json:"more"` // that were asked for and are not listed
	Counted FlowCounts `json:"counted"`
}

// Policy returns the rules in force of a tenant; ErrNoTenant: the server has none of that name.
func (c *Client) Policy(ctx context.Context, tenant string) (Policy, error) {
	var p Policy
	err := c.get(ctx, "/tenants/"+url.PathEscape(tenant)+"/policy", &p)
	return p, err
}

// Flows returns flows of a tenant; ErrNoTenant: the server has none of that name.
func (c *Client) Flows(ctx context.Context, q FlowQuery) (FlowList, error) {
	values := url.Values{"limit": {strconv.Itoa(q.Limit)}}
	if q.User != "" {
		values.Set("user", q.User)
	}
	if q.To.IsValid() {
		values.Set("to", q.To.String())
	}
	var l FlowList
	err := c.get(ctx, "/tenants/"+url.PathEscape(q.Tenant)+"/flows?"+values.Encode(), &l)
	return l, err
}

// policyRoutes answers what is asked about rules and flows.
func policyRoutes(mux *http.ServeMux, g Gateway) {
	mux.HandleFunc("GET /tenants/{tenant}/policy", func(w http.ResponseWriter, r *http.Request) {
		p, err := g.Policy(r.Context(), r.PathValue("tenant"))
		if err != nil {
			refuse(w, err)
			return
		}
		answer(w, p)
	})
	mux.HandleFunc("GET /tenants/{tenant}/flows", func(w http.ResponseWriter, r *http.Request) {
		q, err := flowQuery(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		l, err := g.Flows(r.Context(), q)
		if err != nil {
			refuse(w, err)
			return
		}
		answer(w, l)
	})
}

// flowQuery reads which flows are asked for.
func flowQuery(r *http.Request) (q FlowQuery, err error) {
	q.Tenant, q.User = r.PathValue("tenant"), r.FormValue("user")
	if to := r.FormValue("to"); to != "" {
		if q.To, err = netip.ParsePrefix(to); err != nil {
			return q, fmt.Errorf("to is no network: %q", to)
		}
	}
	if q.Limit, err = strconv.Atoi(r.FormValue("limit")); err != nil || q.Limit < 1 || q.Limit > MaxFlows {
		return q, fmt.Errorf("limit is a number from 1 to %d", MaxFlows)
	}
	return q, nil
}
