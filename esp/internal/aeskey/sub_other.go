//go:build !amd64 || purego

package aeskey

func subWord(uint32) uint32 { panic("aeskey: no assembly") }
