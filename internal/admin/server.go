package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// socketName is the socket's name in the state directory.
const socketName = "admin.sock"

// maxPath is how long the path of a socket may be in bytes (unix(7)).
const maxPath = 107

// The errors of Listen.
var (
	ErrRunning  = errors.New("admin: a culvert with the same state directory is running")
	ErrLongPath = errors.New("admin: the path of the state directory is too long for a socket")
)

// Listen opens the socket in the state directory, which it makes if need be, and
// takes the place of one that a killed server left behind.
func Listen(state string) (net.Listener, error) {
	path := filepath.Join(state, socketName)
	if len(path) > maxPath {
		return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrLongPath, path, maxPath)
	}
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, fmt.Errorf("%w: %s", ErrRunning, path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("admin: %w", err)
	}
	owners := net.ListenConfig{Control: ownersOnly}
	l, err := owners.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	return l, nil
}

// ownersOnly has a socket that is not yet bound come into the file system with the mode
// 0600: a mode that is set afterwards leaves others the time between, with any umask and
// in any directory.
func ownersOnly(_, _ string, c syscall.RawConn) error {
	var mode error
	if err := c.Control(func(fd uintptr) { mode = syscall.Fchmod(int(fd), 0o600) }); err != nil {
		return err
	}
	return mode
}

// Serve answers on the socket until ctx is done, and closes it.
func Serve(ctx context.Context, l net.Listener, g Gateway) error {
	s := &http.Server{
		Handler: routes(g), ReadTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, MaxHeaderBytes: 8 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin: %w", err)
	}
	return nil
}

func routes(g Gateway) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sessions", func(w http.ResponseWriter, r *http.Request) {
		list, err := g.Sessions(r.Context())
		if err != nil {
			refuse(w, err)
			return
		}
		Sort(list)
		answer(w, list)
	})
	mux.HandleFunc("GET /figures", func(w http.ResponseWriter, r *http.Request) {
		f, err := g.Figures(r.Context())
		if err != nil {
			refuse(w, err)
			return
		}
		answer(w, f)
	})
	mux.HandleFunc("DELETE /sessions/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
		if err != nil {
			http.Error(w, "the number of a session is wanted", http.StatusBadRequest)
			return
		}
		if err := g.CloseSession(r.Context(), id); err != nil {
			refuse(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	banRoutes(mux, g)
	mux.HandleFunc("POST /reload", func(w http.ResponseWriter, r *http.Request) { reload(w, r, g) })
	poolRoutes(mux, g)
	policyRoutes(mux, g)
	return mux
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	// An error means that the command has gone away.
	_ = json.NewEncoder(w).Encode(value)
}

func refuse(w http.ResponseWriter, err error) {
	status := http.StatusServiceUnavailable
	switch refused := Refused(""); {
	case errors.Is(err, ErrNoSession), errors.Is(err, ErrNoPool), errors.Is(err, ErrNoTenant):
		status = http.StatusNotFound
	case errors.As(err, &refused):
		status = http.StatusUnprocessableEntity
	}
	http.Error(w, err.Error(), status)
}
