package tun

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	clonePath  = "/dev/net/tun"
	offloadTCP = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN
	offloadUDP = unix.TUN_F_USO4 | unix.TUN_F_USO6
)

// granted is what the kernel gave.
type granted struct {
	name      string
	vnet, uso bool
}

// openQueues opens the queues of a device, which the first one makes. It is to
// be called in the namespace of the device.
func openQueues(cfg Config) (files []*os.File, got granted, err error) {
	flags := uint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if cfg.Queues > 1 {
		flags |= unix.IFF_MULTI_QUEUE
	}
	got = granted{name: cfg.Name, vnet: !cfg.NoOffload}
	for range cfg.Queues {
		file, err := openQueue(&got, flags)
		if err != nil {
			closeAll(files)
			return nil, got, err
		}
		files = append(files, file)
	}
	return files, got, nil
}

// openQueue opens one queue, without vnet headers where the kernel has none.
func openQueue(got *granted, flags uint16) (*os.File, error) {
	fd, err := unix.Open(clonePath, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, openError(err)
	}
	if got.vnet {
		err = attach(fd, got, flags|unix.IFF_VNET_HDR)
		if err == nil {
			err = offload(fd, got)
		}
		if errors.Is(err, unix.EINVAL) {
			unix.Close(fd)
			got.vnet = false
			return openQueue(got, flags)
		}
	} else {
		err = attach(fd, got, flags)
	}
	if err != nil {
		unix.Close(fd)
		return nil, attachError(got.name, err)
	}
	return os.NewFile(uintptr(fd), clonePath), nil
}

// attach makes the device, or a further queue of it, and takes its name.
func attach(fd int, got *granted, flags uint16) error {
	req, err := unix.NewIfreq(got.name)
	if err != nil {
		return err
	}
	req.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return err
	}
	got.name = req.Name()
	return nil
}

// offload says what the kernel may leave to us: segments of TCP, and of UDP
// where it knows how (Linux 6.2).
func offload(fd int, got *granted) error {
	got.uso = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, offloadTCP|offloadUDP) == nil
	if got.uso {
		return nil
	}
	return unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, offloadTCP)
}

func openError(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("tun: %s is missing: the kernel has no TUN, try: modprobe tun: %w", clonePath, err)
	}
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%w: opening %s: %w", ErrPermission, clonePath, err)
	}
	return fmt.Errorf("tun: open %s: %w", clonePath, err)
}

func attachError(name string, err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: making device %q needs CAP_NET_ADMIN: %w", ErrPermission, name, err)
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EEXIST):
		return fmt.Errorf("%w: %q: %w; choose another name, end who has it, or, if nobody has, remove it: ip link del %s", ErrBusy, name, err, name)
	}
	return fmt.Errorf("tun: make device %q: %w", name, err)
}

// Possible reports what is sure to keep New from making a device of that name: that the
// namespace is missing, or that something there is called so and is no TUN device.
func Possible(name, netns string) error {
	return inNamespace(netns, func() error {
		link, err := netlink.LinkByName(name)
		if _, is := link.(*netlink.Tuntap); err != nil || is || link.Type() == "tun" {
			return nil
		}
		return attachError(name, unix.EEXIST)
	})
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
