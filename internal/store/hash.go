package store

import "github.com/culvert-vpn/culvert/ppp/auth"

// HashPassword returns what is kept of a password: its NT hash.
func HashPassword(password string) Hash { return auth.NTHash(password) }
