package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// ErrNoServer is returned when there is nobody to ask.
var ErrNoServer = errors.New("admin: no server is running")

// Client asks a running server.
type Client struct {
	http http.Client
	path string
}

// NewClient returns a client of the server with that state directory. Nothing is
// opened before the first question.
func NewClient(state string) *Client {
	c := &Client{path: filepath.Join(state, socketName)}
	c.http = http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", c.path)
		},
	}}
	return c
}

// Sessions lists the sessions that are up, by tenant and user.
func (c *Client) Sessions(ctx context.Context) ([]Session, error) {
	var list []Session
	err := c.get(ctx, "/sessions", &list)
	return list, err
}

// Figures returns what the server has counted.
func (c *Client) Figures(ctx context.Context) (Figures, error) {
	var f Figures
	err := c.get(ctx, "/figures", &f)
	return f, err
}

// Reach reports whether there is a server to ask; ErrNoServer: there is none.
func (c *Client) Reach(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", c.path)
	if err != nil {
		return c.explain(err)
	}
	return conn.Close()
}

// get asks for a value.
func (c *Client) get(ctx context.Context, path string, value any) error {
	r, err := c.ask(ctx, http.MethodGet, path)
	if errors.Is(err, ErrNoSession) {
		return c.older(path)
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

// older says that a server does not know what it is asked.
func (c *Client) older(path string) error {
	return fmt.Errorf("admin: the server that runs does not know %s: it is older than this command, start it anew", path)
}

// CloseSession ends one session; ErrNoSession: there is none of that number.
func (c *Client) CloseSession(ctx context.Context, id uint64) error {
	r, err := c.ask(ctx, http.MethodDelete, fmt.Sprintf("/sessions/%d", id))
	if err != nil {
		return err
	}
	return r.Body.Close()
}

// maxWords bounds what a server says of what it does not do, in bytes: all that is wrong with
// a configuration.
const maxWords = 256 << 10

// ask sends a request and returns the answer if it is a good one.
func (c *Client) ask(ctx context.Context, method, path string) (*http.Response, error) {
	return c.send(ctx, method, path, nil)
}

// send is ask with something to say.
func (c *Client) send(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	q, err := http.NewRequestWithContext(ctx, method, "http://culvert"+path, body)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	r, err := c.http.Do(q)
	if err != nil {
		return nil, c.explain(err)
	}
	if r.StatusCode < 300 {
		return r, nil
	}
	defer r.Body.Close()
	words, _ := io.ReadAll(io.LimitReader(r.Body, maxWords))
	if r.StatusCode == http.StatusNotFound {
		if strings.TrimSpace(string(words)) == ErrNoTenant.Error() {
			return nil, ErrNoTenant
		}
		return nil, ErrNoSession
	}
	if r.StatusCode == http.StatusUnprocessableEntity {
		return nil, Refused(strings.TrimSpace(string(words)))
	}
	return nil, fmt.Errorf("admin: the server answers: %s", strings.TrimSpace(string(words)))
}

// explain says what to do about a server that cannot be asked.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w with the state directory %s; --config says which server is meant", ErrNoServer, filepath.Dir(c.path))
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("admin: %s belongs to another user: use sudo", c.path)
	}
	return fmt.Errorf("admin: %w", err)
}
