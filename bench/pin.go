package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// cpus is a set of CPUs; nil: all of them.
type cpus []int

// allowedCPUs are those that we may use.
func allowedCPUs() (cpus, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, failed("CPUs: %w", err)
	}
	var all cpus
	for i := range 64 * len(set) {
		if set.IsSet(i) {
			all = append(all, i)
		}
	}
	return all, nil
}

// do runs f on a thread that is confined to the set, as what f starts will be.
// f must not leave its goroutine, which is locked to its thread.
func (c cpus) do(f func() error) error {
	if c == nil {
		return f()
	}
	var before, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return failed("CPUs: %w", err)
	}
	for _, n := range c {
		set.Set(n)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return failed("CPUs %v: %w", c, err)
	}
	defer unix.SchedSetaffinity(0, &before)
	return f()
}

// String lists them.
func (c cpus) String() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint([]int(c)), " ", ", "), "[]")
}

// mask is the set as the kernel writes it: groups of 32, the highest first.
func (c cpus) mask() string {
	groups := []uint32{0}
	for _, n := range c {
		for n/32 >= len(groups) {
			groups = append(groups, 0)
		}
		groups[n/32] |= 1 << (n % 32)
	}
	var words []string
	for i := len(groups) - 1; i >= 0; i-- {
		words = append(words, fmt.Sprintf("%08x", groups[i]))
	}
	return strings.Join(words, ",")
}

// steer has the CPUs do the kernel's work for what a device of a namespace
// receives, as the interrupts of a network card would (RPS); otherwise the CPU of
// the sender does it.
func (s *site) steer(ns *namespace, device string, to cpus) error {
	dir := filepath.Join(s.dir, "sys")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return failed("%w", err)
	}
	return ns.do(func() error {
		// A mount of sysfs shows the devices of the namespace that it was made in.
		if err := unix.Mount("sysfs", dir, "sysfs", 0, ""); err != nil {
			return missing("a sysfs of a namespace (%v)", err)
		}
		defer unix.Unmount(dir, unix.MNT_DETACH)
		queue := filepath.Join(dir, "class/net", device, "queues/rx-0/rps_cpus")
		if err := os.WriteFile(queue, []byte(to.mask()), 0o600); err != nil {
			return missing("receive packet steering (%v)", err)
		}
		return nil
	})
}
