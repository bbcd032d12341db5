package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Reloaded is what reading the configuration anew has changed: tenants by name, in its order.
type Reloaded struct {
	Added   []string `json:"added,omitempty"`
	Changed []string `json:"changed,omitempty"`
	Removed []string `json:"removed,omitempty"`
	// RestartNeeded is what stays as it was until the server is started anew.
	RestartNeeded []string `json:"restart_needed,omitempty"`
	// Outside are sessions whose users would be given other addresses by now. They have
	// ended, if that was asked for.
	Outside []Outside `json:"outside,omitempty"`
	// Warnings are what is legal in the configuration, and unwise.
	Warnings []string `json:"warnings,omitempty"`
}

// reloadTime is how long a server may take to apply a configuration.
const reloadTime = 50 * time.Second

// Reload has the server read its configuration anew. With now, sessions end whose users would
// be given other addresses by now. The error is Refused if nothing has changed, for what is wrong
// with the configuration.
func (c *Client) Reload(ctx context.Context, now bool) (done Reloaded, err error) {
	path := "/reload"
	if now {
		path += "?now=true"
	}
	r, err := c.ask(ctx, http.MethodPost, path)
	if errors.Is(err, ErrNoSession) {
		return done, fmt.Errorf("admin: the server that runs does not know this command: it is older, send it SIGHUP")
	}
	if err != nil {
		return done, err
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(&done); err != nil {
		return done, fmt.Errorf("admin: the answer makes no sense: %w", err)
	}
	return done, nil
}

// reload answers a Reload.
func reload(w http.ResponseWriter, r *http.Request, g Gateway) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(reloadTime)) // else it is as for all
	done, err := g.Reload(r.Context(), r.URL.Query().Get("now") == "true")
	if err != nil {
		refuse(w, Refused(err.Error()))
		return
	}
	answer(w, done)
}
