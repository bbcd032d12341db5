package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/culvert-vpn/culvert/bench"
)

func TestBenchRefusesWhatCannotWork(t *testing.T) {
	for says, args := range map[string][]string{
		"no ESP suite":               {"crypto", "--suites", "rot13"},
		"packets of 5 bytes":         {"forward", "--sizes", "5"},
		"no load":                    {"throughput", "--loads", "carrier-pigeon"},
		"no egress":                  {"throughput", "--egress", "tap"},
		"group":                      {"logins", "--groups", "modp7"},
		"--server is not an address": {"sessions", "--server", "here"},
		"are for --server":           {"sessions", "--user", "alice"},
		"clients":                    {"storm", "--clients", "-1"},
		"to compare with":            {"compare", "--with", "pptp"},
		"listen or dial":             {"traffic"},
		"--addr":                     {"traffic", "listen", "--addr", "x"},
		"--address":                  {"wireguard", "--address", "x"},
		"unknown command":            {"everything"},
		"no part":                    {"all", "--parts", "lunch"},
		"is a file":                  {"crypto", "--report", "main.go"},
	} {
		wantCall(t, exitUsage, says, "", append([]string{"bench"}, args...)...)
	}
}

func TestBenchWritesJSONAndAPage(t *testing.T) {
	dir := t.TempDir()
	o := wantCall(t, exitOK, "", "", "bench", "crypto", "--sizes", "64", "--duration", "1ms", "--json", "--report", dir)
	var r bench.Report
	if err := json.Unmarshal([]byte(o.out), &r); err != nil {
		t.Fatalf("%v in %s", err, o.out)
	}
	if r.Command != "culvert bench crypto" || len(r.Sections) != 1 || len(r.Sections[0].Figures) != 10 {
		t.Errorf("%+v", r)
	}
	page, err := os.ReadFile(dir + "/index.html")
	if err != nil || !strings.Contains(string(page), "<svg") {
		t.Errorf("no page: %v", err)
	}
	joined := wantCall(t, exitOK, "", "", "bench", "join", "--json", dir+"/report.json", dir+"/report.json")
	if err := json.Unmarshal([]byte(joined.out), &r); err != nil || len(r.Sections) != 2 {
		t.Errorf("%v in %s", err, joined.out)
	}
	wantCall(t, exitUsage, "is no report", "", "bench", "join", dir+"/index.html")
	wantCall(t, exitFailed, "no such file", "", "bench", "join", dir+"/nothing")
	if !strings.Contains(o.err, "index.html") {
		t.Error(o.err)
	}
}
