package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/culvert-vpn/culvert/internal/secretfile"
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

// surroundings are the real files, relative to the configuration's directory, and
// environment. Who owns the configuration may own its secrets, too: he decides anyway.
func surroundings(path string) outside {
	var owners []int
	if info, err := os.Stat(path); err == nil {
		if owner, ok := secretfile.Owner(info); ok {
			owners = append(owners, owner)
		}
	}
	dir := filepath.Dir(path)
	return outside{
		file: func(path string) ([]byte, error) {
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			return secretfile.Read(path, maxSecret, owners...)
		},
		env: os.LookupEnv,
	}
}

// ResolveSecret returns a secret that a command was given the way a file has
// it: as itself, file:PATH (relative to where the command runs) or env:NAME.
func ResolveSecret(text string) (Secret, error) {
	if path, ok := strings.CutPrefix(text, "file:"); ok {
		b, err := secretfile.Read(path, maxSecret)
		if err != nil {
			return Secret{}, fmt.Errorf("config: %w", err)
		}
		defer clear(b)
		text = string(b)
	} else if name, ok := strings.CutPrefix(text, "env:"); ok {
		if text, ok = os.LookupEnv(name); !ok {
			return Secret{}, fmt.Errorf("config: the environment has no %s", name)
		}
	}
	if isUTF16(text) {
		return Secret{}, errors.New("config: the secret is written in UTF-16; save it as UTF-8")
	}
	if text = strings.TrimRight(strings.TrimPrefix(text, byteOrderMark), newline); text == "" {
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
	return v.secretText(s, v.path)
}

// hideBelow marks the lines under the value as parts of its secret.
func (v value) hideBelow(lines int) {
	for i := range lines {
		v.r.src.hidden[v.line()+1+i] = true
	}
}

// secretFile reads a secret out of a file, without the newline at its end.
func (v value) secretFile(path string) (Secret, bool) {
	v.r.names(path)
	b, err := v.r.outside.file(path)
	if refused := (*secretfile.Error)(nil); errors.As(err, &refused) {
		v.refuse(v.path+": "+refused.Text, refused.Remedy)
		return Secret{}, false
	}
	if err != nil {
		v.refuse(v.path+": "+err.Error(), "see to the file")
		return Secret{}, false
	}
	defer clear(b)
	if isUTF16(b) {
		v.refuse(v.path+": "+path+" is written in UTF-16, which no client's key is", "save it as UTF-8 or plain ASCII")
		return Secret{}, false
	}
	trimmed := bytes.TrimRight(bytes.TrimPrefix(b, []byte(byteOrderMark)), newline)
	if len(trimmed) == 0 {
		v.refuse(v.path+": "+path+" is empty", "write the secret into it")
		return Secret{}, false
	}
	return v.finished(trimmed, path), true
}

// secretEnv reads a secret out of the environment.
func (v value) secretEnv(name string) (Secret, bool) {
	s, ok := v.r.outside.env(name)
	if !ok || s == "" {
		v.refuse(fmt.Sprintf("%s: the environment has no %s", v.path, name),
			"set it for the process (systemd: EnvironmentFile=), or use file:PATH")
		return Secret{}, false
	}
	return v.secretText(s, "the environment's "+name)
}

// newline is what ends a line, and no secret: nobody types it into a client.
const newline = "\r\n"

// byteOrderMark is what some editors begin a file in UTF-8 with. It says how the text is
// written and is no part of it.
const byteOrderMark = "\ufeff"

// isUTF16 reports whether a text begins with the byte order mark of UTF-16.
func isUTF16[T string | []byte](text T) bool {
	return len(text) >= 2 && (text[0] == 0xff && text[1] == 0xfe || text[0] == 0xfe && text[1] == 0xff)
}

// secretText makes a secret of a text, without the newline that a block of YAML or a
// careless export put at its end; what is where the text stands.
func (v value) secretText(text, what string) (Secret, bool) {
	trimmed := strings.TrimRight(text, newline)
	if trimmed == "" {
		v.refuse(what+" holds nothing but a newline", "write the secret into it")
		return Secret{}, false
	}
	if trimmed != text {
		v.warn(what+" ends with a newline, which is left out of the secret", "in YAML write |- in place of |, or the secret on one line; in a shell, printf in place of echo")
	}
	return v.finished([]byte(trimmed), what), true
}

// finished makes a secret of b, and warns of space at its ends: nobody sees it, and a
// client's own form may keep it or not. It copies b.
func (v value) finished(b []byte, what string) Secret {
	if len(bytes.TrimSpace(b)) != len(b) {
		v.warn(what+" begins or ends with a space or tab, which is part of the secret", "leave it out, unless clients type it as well")
	}
	return NewSecret(b)
}
