package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os/exec"
)

// iperfProgram is the other traffic tool.
const iperfProgram = "iperf3"

// checkIperf says whether iperf3 can be used.
func checkIperf() error {
	if _, err := exec.LookPath(iperfProgram); err != nil {
		return missing("iperf3: apt install iperf3, or leave --tool out")
	}
	return nil
}

// carryIperf is carry with iperf3 at both ends.
func (r *road) carryIperf(ctx context.Context, from, to *namespace, at netip.Addr, l load, t timing) (transfer, error) {
	mark := r.mark()
	defer r.closeTo(mark)
	limit, cancel := context.WithTimeout(ctx, t.warmup+t.duration+patience)
	defer cancel()
	server, err := r.start(to, "iperf3 server", iperfProgram, "-s", "-1", "--forceflush", "-B", at.String())
	if err != nil {
		return transfer{}, err
	}
	if _, err := server.wantLine(limit, "Server listening"); err != nil {
		return transfer{}, err
	}
	client, err := r.start(from, "iperf3 client", append([]string{iperfProgram}, iperfArguments(at, l, t)...)...)
	if err != nil {
		return transfer{}, err
	}
	out, err := client.result(limit)
	if err != nil {
		return transfer{}, err
	}
	return parseIperf(out, l)
}

func iperfArguments(at netip.Addr, l load, t timing) []string {
	args := []string{
		"-c", at.String(), "-J", "-P", fmt.Sprint(max(1, l.streams)),
		"-t", fmt.Sprintf("%.0f", max(1, t.duration.Seconds())), "-O", fmt.Sprintf("%.0f", t.warmup.Seconds()),
	}
	if l.down {
		args = append(args, "-R")
	}
	if l.proto == "udp" {
		rate := "0"
		if l.rate > 0 {
			rate = fmt.Sprintf("%.0f", l.rate*float64(l.sizes[0]-udpOverhead)*8)
		}
		args = append(args, "-u", "-b", rate, "-l", fmt.Sprint(l.sizes[0]-udpOverhead))
	}
	return args
}

// parseIperf reads what iperf3 -J writes: what the receiver got.
func parseIperf(out string, l load) (transfer, error) {
	var report struct {
		Error string `json:"error"`
		End   struct {
			Received struct {
				Bytes   uint64  `json:"bytes"`
				Packets uint64  `json:"packets"`
				Lost    uint64  `json:"lost_packets"`
				Seconds float64 `json:"seconds"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		return transfer{}, failed("iperf3: %w", err)
	}
	got := report.End.Received
	if report.Error != "" || got.Seconds <= 0 {
		return transfer{}, failed("iperf3: %s", report.Error)
	}
	t := transfer{Bytes: got.Bytes, Seconds: got.Seconds}
	if l.proto == "udp" {
		t.Packets = got.Packets - min(got.Packets, got.Lost)
		if got.Bytes == 0 {
			t.Bytes = t.Packets * uint64(l.sizes[0]-udpOverhead)
		}
	}
	return t, nil
}
