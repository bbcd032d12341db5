// Package certificate reads certificates and revocation lists of X.509, those too that old
// authorities and Microsoft's have issued and that crypto/x509 refuses although RFC 5280 lets
// them be:
//
//   - a name with '@' or '_' in a PrintableString, which has neither,
//   - an empty subject beside a critical subject alternative name of a form that
//     crypto/x509 does not know, such as the name of a user of Active Directory.
//
// Negative serial numbers are read where the program is built with x509negativeserial=1, as
// go.mod says. What is read is verified over the bytes as they came. TLS reads certificates
// itself, so that the first of these cannot be used within EAP-TLS.
package certificate
