package bench

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// Host describes the machine, for whoever compares two reports.
type Host struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	System string `json:"system"`
	Go     string `json:"go"`
}

// ThisHost describes the machine that we run on.
func ThisHost() Host {
	return Host{
		CPU: cpuName(readAll("/proc/cpuinfo")), Cores: runtime.NumCPU(),
		Kernel: strings.TrimSpace(readAll("/proc/sys/kernel/osrelease")),
		System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
	}
}

// String describes the machine in one line.
func (h Host) String() string {
	return fmt.Sprintf("measured on %s, %d cores, %s %s, %s", h.CPU, h.Cores, h.System, h.Kernel, h.Go)
}

// cpuName finds the model in /proc/cpuinfo.
func cpuName(info string) string {
	for line := range strings.Lines(info) {
		if key, name, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(name)
		}
	}
	return "an unnamed CPU"
}

// readAll returns a small file of the kernel, or nothing.
func readAll(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(b)
}
