package bench

import (
	"errors"
	"fmt"
)

var (
	// ErrOptions says that what was asked for cannot work. Nothing was created.
	ErrOptions = errors.New("bench: options")
	// ErrMissing says that the machine lacks something that is needed.
	ErrMissing = errors.New("bench: missing")
	// ErrFailed says that a part of a measurement did not do what it should.
	ErrFailed = errors.New("bench: failed")
)

func badOption(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrOptions, fmt.Sprintf(format, args...))
}

func missing(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMissing, fmt.Sprintf(format, args...))
}

func failed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrFailed, fmt.Errorf(format, args...))
}
