package tun

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/culvert-vpn/culvert/tenant"
)

const maxPiece = 65535 // bytes of what the kernel hands over at once

// source reads one queue of the device.
type source struct {
	file *os.File
	vnet bool
	buf  []byte
	cut  segmenter
}

func newSource(file *os.File, vnet bool, mtu int) *source {
	size := mtu
	if vnet {
		size = maxPiece
	}
	return &source{file: file, vnet: vnet, buf: make([]byte, tenant.Headroom+size+tenant.Tailroom)}
}

// Read implements tenant.Source.
func (s *source) Read() error {
	s.cut = segmenter{}
	start := tenant.Headroom
	if s.vnet {
		start -= vnetLen
	}
	n, err := s.file.Read(s.buf[start : len(s.buf)-tenant.Tailroom])
	if errors.Is(err, unix.EBADFD) { // the device is gone
		return os.ErrClosed
	}
	if err != nil {
		return err
	}
	var h vnetHeader
	if s.vnet {
		if n < vnetLen {
			return errVnet
		}
		h = parseVnet(s.buf[start:])
	}
	if err := s.cut.start(s.buf, tenant.Headroom, start+n, h); err != nil {
		s.cut = segmenter{}
		return err
	}
	return nil
}

// Next implements tenant.Source.
func (s *source) Next() (buf []byte, off int, ok bool) {
	if s.cut.buf == nil {
		return nil, 0, false
	}
	return s.cut.next()
}
