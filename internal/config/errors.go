package config

import "errors"

// ErrInvalid is what every [Problems] is, for errors.Is: the file was read
// and is wrong. Any other error means that it could not be read.
var ErrInvalid = errors.New("config: invalid")
