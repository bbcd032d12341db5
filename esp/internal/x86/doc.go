// Package x86 says which instructions the processor has that the packages
// beside it are written for. It knows no other use of them, keeps no state and
// owns no memory. On other processors, and when built with the tag purego, the
// answer is always none.
package x86
