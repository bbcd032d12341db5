package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/culvert-vpn/culvert/internal/quickstart"
)

// password is one that was given or made.
type password struct {
	text string
	made bool
}

// readPassword takes a password from standard input, from whoever sits at the
// terminal, or makes one.
func readPassword(s streams, user string, stdin bool) (password, error) {
	if stdin {
		return passwordLine(s.in)
	}
	if f, ok := s.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p, err := askPassword(s, int(f.Fd()), user)
		if err != nil || p.text != "" {
			return p, err
		}
	}
	text, err := quickstart.NewPassword(rand.Reader)
	return password{text, true}, err
}

// passwordLine reads a password from the first line of standard input.
func passwordLine(in io.Reader) (password, error) {
	line, err := bufio.NewReader(io.LimitReader(in, 1024)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return password{}, err
	}
	text := strings.TrimRight(line, "\r\n")
	if text == "" {
		return password{}, errors.New("standard input holds no password")
	}
	return password{text, false}, nil
}

// askPassword asks twice, without showing what is typed. An empty answer is
// an empty password.
func askPassword(s streams, fd int, user string) (password, error) {
	fmt.Fprintf(s.err, "Password for %s (empty: one is made): ", user)
	first, err := term.ReadPassword(fd)
	fmt.Fprintln(s.err)
	if err != nil || len(first) == 0 {
		return password{}, err
	}
	fmt.Fprint(s.err, "Again: ")
	second, err := term.ReadPassword(fd)
	fmt.Fprintln(s.err)
	if err != nil {
		return password{}, err
	}
	if string(first) != string(second) {
		return password{}, errors.New("the two passwords differ; nothing was changed")
	}
	return password{string(first), false}, nil
}

// show prints a password that was made; it is not to be had again.
func (p password) show(s streams) {
	if p.made {
		fmt.Fprintf(s.out, "password: %s\n", p.text)
	}
}
