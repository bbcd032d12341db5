package bans

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/gaissmai/bart"
)

func feedOf(t *testing.T, text string) *Feed {
	t.Helper()
	f, err := readFeed(strings.NewReader(text), MaxFeeds)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFeed(t *testing.T) {
	f := feedOf(t, "\ufeff# a list\r\n192.0.2.0/24 ; SBL1\r\n\n198.51.100.7\n2001:db8::/32#comment\n  203.0.113.9  \n192.0.2.0/24\n; end")
	if f.Networks != 4 || f.Skipped != 0 {
		t.Errorf("%+v", f)
	}
	for addr, in := range map[string]bool{"192.0.2.9": true, "198.51.100.7": true, "198.51.100.8": false, "2001:db8:1::1": true, "203.0.113.9": true} {
		if f.Table.Lookup(netip.MustParseAddr(addr)) != in {
			t.Errorf("%s is in it: %v", addr, !in)
		}
	}
	if f := feedOf(t, ""); f.Networks != 0 {
		t.Errorf("%+v", f)
	}
}

// TestFeedSkips: lines that make no sense are named, a bounded number of them in a bounded
// number of words, and the others count.
func TestFeedSkips(t *testing.T) {
	var b strings.Builder
	for n := range 200 {
		fmt.Fprintf(&b, "192.0.2.%d\n", n)
	}
	b.WriteString("192.0.2.7/24\nexample.org\n" + strings.Repeat("x", 100_000) + "\n1.2.3.4 5.6.7.8\n")
	for range 50 {
		b.WriteString("junk\n")
	}
	f := feedOf(t, b.String())
	if f.Networks != 200 || f.Skipped != 54 || len(f.Told) != maxFeedTold {
		t.Errorf("%d networks, %d skipped: %v", f.Networks, f.Skipped, f.Told)
	}
	for n, want := range []string{"line 201: 192.0.2.7/24 has bits", "line 202: ", "line 203: the line has more", "line 204: "} {
		if !strings.HasPrefix(f.Told[n], want) || len(f.Told[n]) > 300 {
			t.Errorf("%q, want %q", f.Told[n], want)
		}
	}
}

// TestFeedIsRefused: what is no list, or would refuse everybody, is not taken at all.
func TestFeedIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1\n0.0.0.0/0\n": ":2: 0.0.0.0/0 is everybody",
		"128.0.0.0/1":            ":1: 128.0.0.0/1 is everybody",
		"::/0":                   "is everybody",
		"2000::/3":               "is everybody",
		"<html>\n<body>\n":       "it is no list of networks",
		"192.0.2.1\n" + strings.Repeat("<p>\n", 100):      "it is no list of networks",
		"192.0.2.1\n192.0.2.2\n192.0.2.3\n192.0.2.4":      ":4: it has more networks than the 3",
		"{\"addresses\": [\"192.0.2.1\", \"192.0.2.2\"]}": "it is no list of networks",
	} {
		if f, err := readFeed(strings.NewReader(text), 3); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %+v, %v", text, f, err)
		}
	}
	for _, text := range []string{"224.0.0.0/3", "8000::/1\n4000::/2", "192.0.2.1\nx\n"} {
		if _, err := readFeed(strings.NewReader(text), 3); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestReadFeed: a file that is none is not waited for.
func TestReadFeed(t *testing.T) {
	dir := t.TempDir()
	good, pipe := filepath.Join(dir, "good"), filepath.Join(dir, "pipe")
	if err := os.WriteFile(good, []byte("192.0.2.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := ReadFeed(good, 1); err != nil || f.Networks != 1 {
		t.Error(f, err)
	}
	for path, want := range map[string]string{dir: "is no file", pipe: "is no file", filepath.Join(dir, "none"): "no such file"} {
		if _, err := ReadFeed(path, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestFeedIsBoundedInMemory: as many addresses as there may be, none beside another, take 96
// bytes each at most.
func TestFeedIsBoundedInMemory(t *testing.T) {
	const most = 96
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	feed := &Feed{Table: new(bart.Lite)}
	for n := range uint32(MaxFeeds) {
		x := n * 2654435761 // apart, and none twice
		p := Whole(netip.AddrFrom4([4]byte{byte(x >> 24), byte(x >> 16), byte(x >> 8), byte(x)}))
		if err := feed.add(1, p.Addr().String(), MaxFeeds); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := float64(after.HeapAlloc-before.HeapAlloc) / float64(feed.Networks); each > most {
		t.Errorf("%.0f bytes each", each)
	} else {
		t.Logf("%.1f bytes each, of %d", each, feed.Networks)
	}
	runtime.KeepAlive(feed)
}

// FuzzFeed: whatever is in a file, it is read to its end, within its room, and what is taken
// of it is what its lines say.
func FuzzFeed(f *testing.F) {
	f.Add([]byte("192.0.2.0/24 # x\n2001:db8::1\n"))
	f.Add([]byte("0.0.0.0/0"))
	f.Add([]byte("junk\n::ffff:1.2.3.4/100\n\n;"))
	f.Fuzz(func(t *testing.T, b []byte) {
		const room = 16
		feed, err := readFeed(strings.NewReader(string(b)), room)
		if err != nil {
			if feed != nil {
				t.Error("a feed in spite of an error")
			}
			return
		}
		if feed.Networks > room || feed.Networks != feed.Table.Size() || len(feed.Told) > maxFeedTold || feed.Skipped < len(feed.Told) {
			t.Errorf("%+v", feed)
		}
		again, found := make(map[netip.Prefix]bool), 0
		for line := range strings.Lines(string(b)) {
			if p, err := ParsePrefix(fieldOf([]byte(line))); err == nil && len(line) < maxFeedLine {
				again[p] = true
			}
		}
		for p := range again {
			if feed.Table.Get(p) {
				found++
			}
		}
		if found != feed.Networks || found != len(again) {
			t.Errorf("%d networks, of %d in the file %d are there", feed.Networks, len(again), found)
		}
	})
}
