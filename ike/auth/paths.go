package auth

import (
	"bytes"
	"crypto/x509"
	"slices"
)

// maxSteps is how many times a certificate may be taken for the issuer of another, by its
// name, on all ways to the authorities together. Each is a signature to be verified, and
// who makes up certificates that all have one name makes it as many as there are orders
// of them. Real ones, cross-signed and renewed, need a dozen.
const maxSteps = 32

// ways finds those of the certificates between a leaf and the authorities that lie, by
// their names, on a way to one of these. That takes no signature, so that a stranger's
// certificates cost next to nothing.
type ways struct {
	roots, between []*x509.Certificate
	steps          int
	useful         []*x509.Certificate
}

// lead reports whether a way leads from the end of path to an authority.
func (w *ways) lead(path []*x509.Certificate) bool {
	c := path[len(path)-1]
	issues := func(by *x509.Certificate) bool { return bytes.Equal(by.RawSubject, c.RawIssuer) }
	found := slices.ContainsFunc(w.roots, c.Equal)
	for _, r := range w.roots {
		if issues(r) {
			w.steps++
			found = true
		}
	}
	if len(path) >= maxChain {
		return found
	}
	for _, by := range w.between {
		if !issues(by) || slices.ContainsFunc(path, by.Equal) {
			continue
		}
		if w.steps++; w.steps > maxSteps {
			return found
		}
		if w.lead(append(slices.Clip(path), by)) {
			found = true
			w.use(by)
		}
	}
	return found
}

func (w *ways) use(c *x509.Certificate) {
	if !slices.ContainsFunc(w.useful, c.Equal) {
		w.useful = append(w.useful, c)
	}
}

// between are the certificates that may lie on a path from sent[0] to a root. The error
// is a *CertificateError.
func (t *Trust) between(sent []*x509.Certificate) ([]*x509.Certificate, error) {
	w := ways{roots: t.Roots}
	for _, c := range slices.Concat(affordable(sent[1:]), t.Intermediates) {
		if !slices.ContainsFunc(w.between, c.Equal) {
			w.between = append(w.between, c)
		}
	}
	leads := w.lead(sent[:1:1])
	switch {
	case w.steps > maxSteps:
		return nil, fault(FaultPath, sent[0], "its issuers are ambiguous: too many certificates have one name")
	case !leads:
		return nil, fault(FaultUnknownCA, sent[0], "issuer %q", sent[0].Issuer.String())
	}
	return w.useful, nil
}
