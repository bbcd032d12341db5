package bans

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"syscall"

	"github.com/gaissmai/bart"
)

const (
	// MaxFeeds is how many networks all feeds may have together.
	MaxFeeds = 2_000_000
	// maxFeedBytes bounds what is read of a file.
	maxFeedBytes = 256 << 20
	// maxFeedLine is how long a line may be in bytes, with its comment.
	maxFeedLine = 4096
	// maxFeedTold is how many lines that make no sense are named; more are counted.
	maxFeedTold = 8
	// patientLines is how many such lines make a file that is no list, if they are most of it.
	patientLines = 16
)

// Feed is what a file of networks says.
type Feed struct {
	Table    *bart.Lite // of the networks; it does not change
	Networks int        // in it
	Skipped  int        // lines that make no sense
	Told     []string   // the first of these, in words, with their numbers
}

// ReadFeed reads a file of addresses and networks, one a line, with comments behind # or ;. A
// line that makes no sense is skipped, and told. An error means that nothing of the file is to
// count: it cannot be read, has more than room networks, is mostly something else, or has a
// network that is everybody.
func ReadFeed(path string, room int) (*Feed, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // which waits for no writer of a pipe
	if err != nil {
		return nil, fmt.Errorf("bans: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("bans: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("bans: %s is no file", path)
	case info.Size() > maxFeedBytes:
		return nil, fmt.Errorf("bans: %s has more than %d MiB", path, maxFeedBytes>>20)
	}
	feed, err := readFeed(io.LimitReader(f, maxFeedBytes), room)
	if err != nil {
		return nil, fmt.Errorf("bans: %s%w", path, err)
	}
	return feed, nil
}

// feedError is what is wrong with a file, behind its name and at a line; 0: at none.
func feedError(line int, format string, args ...any) error {
	at := ": "
	if line > 0 {
		at = fmt.Sprintf(":%d: ", line)
	}
	return errors.New(at + fmt.Sprintf(format, args...))
}

func readFeed(r io.Reader, room int) (*Feed, error) {
	feed, lines := &Feed{Table: new(bart.Lite)}, bufio.NewReaderSize(r, maxFeedLine)
	for number := 1; ; number++ {
		line, long, err := nextLine(lines)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf(": %w", err)
		}
		text := fieldOf(line)
		switch {
		case long:
			feed.skip(number, "the line has more than 4096 bytes")
		case text == "":
		default:
			if err := feed.add(number, text, room); err != nil {
				return nil, err
			}
		}
	}
	if feed.Skipped > feed.Networks && (feed.Networks == 0 || feed.Skipped >= patientLines) {
		return nil, feedError(0, "it is no list of networks, one a line: of %d lines %d make no sense, the first of them: %s",
			feed.Skipped+feed.Networks, feed.Skipped, feed.Told[0])
	}
	return feed, nil
}

// nextLine reads a line, of which the rest is passed over if it is too long.
func nextLine(r *bufio.Reader) (line []byte, long bool, err error) {
	line, err = r.ReadSlice('\n')
	for err == bufio.ErrBufferFull {
		long = true
		_, err = r.ReadSlice('\n')
	}
	if err == io.EOF && (len(line) > 0 || long) {
		err = nil
	}
	return line, long, err
}

// fieldOf is what a line says before its comment; empty: nothing.
func fieldOf(line []byte) string {
	line = bytes.TrimPrefix(line, []byte("\ufeff"))
	if n := bytes.IndexAny(line, "#;"); n >= 0 {
		line = line[:n]
	}
	return string(bytes.TrimSpace(line))
}

// add takes the network of a line.
func (f *Feed) add(number int, text string, room int) error {
	p, err := ParsePrefix(text)
	switch {
	case err != nil:
		f.skip(number, strings.TrimPrefix(err.Error(), "bans: "))
	case everybody(p):
		return feedError(number, "%s is everybody", p)
	case f.Table.Get(p):
	case f.Networks == room:
		return feedError(number, "it has more networks than the %d there is room for, of %d in all feeds", room, MaxFeeds)
	default:
		f.Table.Insert(p)
		f.Networks++
	}
	return nil
}

func (f *Feed) skip(number int, why string) {
	if f.Skipped++; f.Skipped <= maxFeedTold {
		f.Told = append(f.Told, fmt.Sprintf("line %d: %s", number, why))
	}
}

// everybody reports whether a network is as good as all there are: a quarter of IPv4 or more,
// or all addresses of IPv6 that are given out. Lists of what nobody has name an eighth.
func everybody(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return p.Bits() < 3
	}
	return p.Contains(netip.AddrFrom16([16]byte{0x20})) && p.Bits() <= 3
}
