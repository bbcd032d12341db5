package bench

import (
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/culvert-vpn/culvert/tenant/ipkt"
)

// What a client's kernel would not send, a server would not join to larger pieces.
func TestFloodPacketIsWhole(t *testing.T) {
	for _, size := range []int{udpOverhead, 41, 512} {
		b := floodPacket(netip.MustParseAddr("10.0.0.1"), netip.MustParseAddrPort("10.0.0.2:5201"), size)
		ip, err := ipkt.Parse(b)
		if err != nil || len(b) != size || ip.Destination() != netip.MustParseAddr("10.0.0.2") {
			t.Fatalf("%x, %v", b, err)
		}
		datagram := ip.Payload()
		if datagram[6]|datagram[7] == 0 || ipkt.Checksum(datagram, ip.PseudoChecksum(len(datagram))) != 0xffff {
			t.Errorf("%d bytes: checksum of %x", size, datagram)
		}
	}
}

func TestMaskOfCPUs(t *testing.T) {
	for want, set := range map[string]cpus{
		"00000001": {0}, "00000006": {1, 2}, "80000000": {31}, "00000001,00000000": {32}, "00000002,00000000,00000001": {0, 65},
	} {
		if got := set.mask(); got != want {
			t.Errorf("%v is %s, want %s", set, got, want)
		}
	}
}

// Who is confined stays where it was put, and who confined it is free again.
func TestConfined(t *testing.T) {
	all, err := allowedCPUs()
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	var out []byte
	err = onOwnThread(func() error { return nil }, func() error {
		return all[len(all)-1:].do(func() (err error) {
			out, err = exec.Command("grep", "Cpus_allowed_list", "/proc/self/status").Output()
			return err
		})
	})
	if fields := strings.Fields(string(out)); err != nil || len(fields) != 2 || fields[1] != all[len(all)-1:].String() {
		t.Errorf("%q, %v; want %v", out, err, all[len(all)-1:])
	}
	if now, err := allowedCPUs(); err != nil || len(now) != len(all) {
		t.Errorf("%v are left of %v, %v", now, all, err)
	}
}

func TestAttemptOf(t *testing.T) {
	a, err := attemptOf(`{"packets": 1000, "seconds": 0.5}`, "ready\n"+`{"packets": 400, "seconds": 0.5, "all": 484000}`, 500*time.Millisecond, FloodJob{Size: 512})
	if err != nil || a.sent != 2000 || a.arrived != 800 || a.perCPU != 2000 {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := attemptOf("", "", 0, FloodJob{}); err == nil {
		t.Error("nothing at all is an attempt")
	}
}

// Every rate has its turn in each round, and the last of one is the first of the next.
func TestUpAndDown(t *testing.T) {
	var got []int
	for round := range 3 {
		for n := range 3 {
			got = append(got, upAndDown(round, n, 3))
		}
	}
	if !slices.Equal(got, []int{0, 1, 2, 2, 1, 0, 0, 1, 2}) {
		t.Error(got)
	}
}
