// Package nstest lets tests make network namespaces and TUN devices without
// being root: a test binary starts itself again in namespaces of its own, in
// which it is. Run does that, from TestMain; Want is for the tests that need it,
// where the kernel lets nobody but root make namespaces. No product code imports
// it.
package nstest
