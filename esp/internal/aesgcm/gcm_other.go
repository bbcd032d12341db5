//go:build !amd64 || purego

package aesgcm

// Without assembly New returns the standard library's, and none of these is called.

func hashKeys(*Key) { panic("aesgcm: no assembly") }

func seal512(k *Key, dst, src *byte, n int, nonce, aad *byte, aadLen int) {
	panic("aesgcm: no assembly")
}

func open512(k *Key, dst, src *byte, n int, nonce, aad *byte, aadLen int) uint32 {
	panic("aesgcm: no assembly")
}

func seal256(k *Key, dst, src *byte, n int, nonce, aad *byte, aadLen int) {
	panic("aesgcm: no assembly")
}

func open256(k *Key, dst, src *byte, n int, nonce, aad *byte, aadLen int) uint32 {
	panic("aesgcm: no assembly")
}
