package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// maxSecret bounds the file a secret is in, in bytes.
const maxSecret = 4096

// outside is what a configuration may refer to outside of its file.
type outside struct {
	// file returns what a secret file holds.
	file func(path string) ([]byte, error)
	// env returns an environment variable.
	env func(name string) (string, bool)
	// outline: the values are references, not secrets.
	outline bool
}

// surroundings are the real files, relative to a directory, and environment.
func surroundings(dir string) outside {
	return outside{
		file: func(path string) ([]byte, error) {
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			return readSecretFile(path)
		},
		env: os.LookupEnv,
	}
}

// secretError is a secret file that was refused, with what to do.
type secretError struct{ text, remedy string }

// Error implements error.
func (e *secretError) Error() string { return e.text + "; " + e.remedy }

// readSecretFile reads a file that only its owner may read.
func readSecretFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, missingSecret(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, &secretError{path + " is not a file", "name a file that holds the secret and nothing else"}
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, &secretError{
			fmt.Sprintf("%s may be read by others than its owner (mode %04o)", path, perm),
			"chmod 600 " + path,
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, missingSecret(path, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return nil, missingSecret(path, err)
	}
	if len(b) > maxSecret {
		return nil, &secretError{fmt.Sprintf("%s is larger than %d bytes", path, maxSecret), "name a file that holds the secret and nothing else"}
	}
	return b, nil
}

// missingSecret says what to do about a secret file that does not open.
func missingSecret(path string, err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return &secretError{path + " does not exist", "write the secret into it and chmod 600 " + path}
	case errors.Is(err, os.ErrPermission):
		return &secretError{path + " may not be read by this user", "chown it to the user culvert runs as"}
	}
	return &secretError{path + " does not open: " + err.Error(), "see to the file system"}
}

// ResolveSecret returns a secret that a command was given the way a file has
// it: as itself, file:PATH (relative to where the command runs) or env:NAME.
func ResolveSecret(text string) (Secret, error) {
	if path, ok := strings.CutPrefix(text, "file:"); ok {
		b, err := readSecretFile(path)
		if err != nil {
			return Secret{}, fmt.Errorf("config: %w", err)
		}
		defer clear(b)
		text = string(bytes.TrimRight(b, "\r\n"))
	} else if name, ok := strings.CutPrefix(text, "env:"); ok {
		if text, ok = os.LookupEnv(name); !ok {
			return Secret{}, fmt.Errorf("config: the environment has no %s", name)
		}
	}
	if text == "" {
		return Secret{}, errors.New("config: the secret is empty")
	}
	return NewSecret([]byte(text)), nil
}

// secret reads a value that is a secret: itself, file:PATH or env:NAME.
func (v value) secret() (Secret, bool) {
	if literal, ok := v.node.(*ast.LiteralNode); ok {
		v.hideBelow(strings.Count(literal.Value.GetToken().Origin, "\n"))
	}
	s, ok := v.text()
	if !ok {
		return Secret{}, false
	}
	if path, ok := strings.CutPrefix(s, "file:"); ok {
		return v.secretFile(path)
	}
	if name, ok := strings.CutPrefix(s, "env:"); ok {
		return v.secretEnv(name)
	}
	p := v.position()
	v.r.src.secrets[p.Line] = append(v.r.src.secrets[p.Line], p.Column)
	v.hideBelow(strings.Count(strings.TrimRight(v.node.GetToken().Origin, "\r\n "), "\n"))
	v.r.config.inline = true
	return NewSecret([]byte(s)), true
}

// hideBelow marks the lines under the value as parts of its secret.
func (v value) hideBelow(lines int) {
	for i := range lines {
		v.r.src.hidden[v.line()+1+i] = true
	}
}

// secretFile reads a secret out of a file, without the newline at its end.
func (v value) secretFile(path string) (Secret, bool) {
	b, err := v.r.outside.file(path)
	if refused := (*secretError)(nil); errors.As(err, &refused) {
		v.refuse(v.path+": "+refused.text, refused.remedy)
		return Secret{}, false
	}
	if err != nil {
		v.refuse(v.path+": "+err.Error(), "see to the file")
		return Secret{}, false
	}
	defer clear(b)
	trimmed := bytes.TrimRight(b, "\r\n")
	if len(trimmed) == 0 {
		v.refuse(v.path+": "+path+" is empty", "write the secret into it")
		return Secret{}, false
	}
	return NewSecret(trimmed), true
}

// secretEnv reads a secret out of the environment.
func (v value) secretEnv(name string) (Secret, bool) {
	s, ok := v.r.outside.env(name)
	if !ok || s == "" {
		v.refuse(fmt.Sprintf("%s: the environment has no %s", v.path, name),
			"set it for the process (systemd: EnvironmentFile=), or use file:PATH")
		return Secret{}, false
	}
	return NewSecret([]byte(s)), true
}
