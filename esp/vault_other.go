//go:build !linux

package esp

// chunk is memory of a Vault.
type chunk struct{ room []byte }

func newChunk(size int) chunk { return chunk{room: make([]byte, size)} }

func (c chunk) close() {}
