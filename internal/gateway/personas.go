package gateway

import (
	"fmt"

	"github.com/culvert-vpn/culvert/l2tp"
	l2tppersona "github.com/culvert-vpn/culvert/l2tp/persona"
	"github.com/culvert-vpn/culvert/ppp"
	ppppersona "github.com/culvert-vpn/culvert/ppp/persona"
)

// lac is the native client as L2TP has it.
func (c DialConfig) lac() (*l2tp.Persona, error) {
	p, ok := l2tppersona.Named(c.Persona)
	if !ok {
		return nil, fmt.Errorf("%w: %q; by L2TP there are %v", ErrPersona, c.Persona, l2tppersona.Names())
	}
	return p, nil
}

// link is the native client as PPP has it.
func (c DialConfig) link() (*ppp.Persona, error) {
	p, ok := ppppersona.Named(c.Persona)
	if !ok {
		return nil, fmt.Errorf("%w: %q; by PPP there are %v", ErrPersona, c.Persona, ppppersona.Names())
	}
	return p, nil
}
