package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestCA(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	at := func(args ...string) []string { return append(append([]string{"ca"}, args...), "--dir", dir) }
	wantCall(t, exitFailed, "culvert ca init makes one", "", at("server", "vpn")...)
	wantCall(t, exitUsage, "--crl-url begins with http://", "", at("init", "--crl-url", "https://x/crl")...)
	wantCall(t, exitUsage, "--days", "", at("init", "--days", "-1")...)
	wantCall(t, exitOK, "ca.crt", "", at("init", "--ecdsa", "--name", "Acme")...)
	wantCall(t, exitFailed, "exists already", "", at("init", "--ecdsa")...)
	wantCall(t, exitUsage, "takes a NAME", "", at("server")...)
	wantCall(t, exitOK, "vpn.example.org.crt", "", at("server", "vpn.example.org", "192.0.2.1", "--days", "30")...)
	wantCall(t, exitFailed, "neither a host name", "", at("server", "a b")...)
	made := wantCall(t, exitOK, "alice.p12", "", at("client", "alice")...)
	if !strings.Contains(made.out, "password: ") {
		t.Error("the password that was made is not shown")
	}
	given := wantCall(t, exitOK, "bob.p12", "secret\n", at("client", "bob", "--password-stdin", "--modern")...)
	if strings.Contains(given.out+given.err, "secret") {
		t.Error("a password that was given is shown")
	}
	wantCall(t, exitOK, "client alice", "", at("revoke", "alice", "--reason", "keyCompromise")...)
	wantCall(t, exitFailed, "revoked already", "", at("revoke", "alice")...)
	wantCall(t, exitFailed, "has issued no certificate carol; culvert ca list", "", at("revoke", "carol")...)
	wantCall(t, exitFailed, "is none of", "", at("revoke", "bob", "--reason", "bored")...)
	wantCall(t, exitOK, "crl.pem", "", at("crl")...)
	o := wantCall(t, exitOK, "vpn.example.org", "", at("list")...)
	if !strings.Contains(o.out, "revoked") || strings.Count(o.out, "good") != 2 {
		t.Error(o.out)
	}
}
