package auth

// MasterSession is the MSK of an MSCHAPv2 login: the server's receive key, its send key,
// and zeroes (RFC 3079 section 3). It is the caller's.
func MasterSession(hash [16]byte, response [24]byte) []byte {
	master := MasterKey(hash, response)
	defer clear(master[:])
	receive, send := StartKey(master, false, true), StartKey(master, true, true)
	return append(append(append(make([]byte, 0, 64), receive[:]...), send[:]...), make([]byte, 32)...)
}
