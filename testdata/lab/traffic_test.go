package lab

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

const fileTime = 2 * time.Minute

// moveFile fetches a file from the site and sends one to it, and compares the SHA-256 of both ends.
func (c *client) moveFile(size int64) {
	c.t.Helper()
	start := time.Now()
	got := c.must(fileTime, fmt.Sprintf(`
		curl -sS -f -o - 'http://%[1]s/file?bytes=%[2]d' | sha256sum | cut -d' ' -f1
		curl -sS -f 'http://%[1]s/sum?bytes=%[2]d'`, siteAddr, size))
	c.wantSame("down", got)
	down := time.Since(start)
	start = time.Now()
	sent := c.must(fileTime, fmt.Sprintf(`
		mkfifo /tmp/copy
		sha256sum < /tmp/copy > /tmp/sum &
		head -c %[2]d /dev/urandom | tee /tmp/copy | curl -sS -f -T - http://%[1]s/upload
		wait; cut -d' ' -f1 /tmp/sum; rm /tmp/copy`, siteAddr, size))
	c.wantSame("up", sent)
	c.t.Logf("%s: %d MB down in %.1f s, up in %.1f s, equal SHA-256", c.name, size>>20, down.Seconds(), time.Since(start).Seconds())
}

// wantSame expects two equal sums on two lines.
func (c *client) wantSame(way, sums string) {
	c.t.Helper()
	f := strings.Fields(sums)
	if len(f) != 2 || len(f[0]) != 64 || f[0] != f[1] {
		c.t.Fatalf("%s: file %s: SHA-256 differ: %q", c.name, way, sums)
	}
}

var rate = regexp.MustCompile(`([0-9.]+) Mbits/sec.*receiver`)

// iperf measures both ways for a few seconds and prints what the receiver saw.
func (c *client) iperf(seconds int) {
	c.t.Helper()
	for way, flag := range map[string]string{"up": "", "down": "-R"} {
		out := c.must(time.Duration(seconds+20)*time.Second,
			fmt.Sprintf("iperf3 -f m -c %s -t %d %s", siteAddr, seconds, flag))
		m := rate.FindStringSubmatch(out)
		if m == nil {
			c.t.Fatalf("%s: iperf3 %s: %s", c.name, way, out)
		}
		c.t.Logf("%s: iperf3 %s: %s Mbit/s", c.name, way, m[1])
	}
}

// ping expects an answer to each of some pings.
func (c *client) ping(count int) {
	c.t.Helper()
	c.must(time.Duration(count+20)*time.Second, fmt.Sprintf("ping -q -c %d -i 0.2 -w %d %s", count, count+10, siteAddr))
}
