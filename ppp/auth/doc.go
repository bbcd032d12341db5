// Package auth is the arithmetic of PPP's authentication protocols: MS-CHAPv2 (RFC
// 2759), CHAP with MD5 (RFC 1994) and PAP (RFC 1334), and the MPPE keys that come
// of MS-CHAPv2 (RFC 3079).
//
// Everything here is a function of its arguments. Verify, VerifyMD5, VerifyPAP and
// VerifyPAPHash compare in constant time. Arguments are not kept, and copies of
// passwords and hashes that a function makes are zeroed before it returns. What is
// returned belongs to the caller, who zeroes what is secret.
//
// MD4, DES and SHA-1 are here because MS-CHAPv2 is made of them; an NT hash is as
// good as the password for whoever holds it. MS-CHAPv1, LAN Manager hashes and the
// change of passwords are not spoken.
package auth
