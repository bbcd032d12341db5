package dialer

import (
	"fmt"
	"strings"

	"github.com/culvert-vpn/culvert/ike"
	ikepersona "github.com/culvert-vpn/culvert/ike/persona"
	"github.com/culvert-vpn/culvert/l2tp"
	l2tppersona "github.com/culvert-vpn/culvert/l2tp/persona"
	"github.com/culvert-vpn/culvert/ppp"
	ppppersona "github.com/culvert-vpn/culvert/ppp/persona"
)

// speaking adds the native client as IKE has it.
func (c DialConfig) speaking(d ike.DialConfig) (ike.DialConfig, error) {
	if d.V2 == nil {
		p, err := ikepersona.V1(c.Persona)
		d.Persona = &p
		return d, err
	}
	p, err := ikepersona.V2(strings.TrimSuffix(c.Persona, byIKEv2) + byIKEv2)
	d.V2.Persona = &p
	return d, err
}

// byIKEv2 ends the names of clients that dial by IKEv2.
const byIKEv2 = "-ikev2"

// lac is the native client as L2TP has it.
func (c DialConfig) lac() (*l2tp.Persona, error) {
	p, ok := l2tppersona.Named(c.Persona)
	if !ok {
		return nil, fmt.Errorf("%w: %q; by L2TP there are %v", ErrPersona, c.Persona, l2tppersona.Names())
	}
	return p, nil
}

// linkPersona is the native client as PPP has it.
func (c DialConfig) linkPersona() (*ppp.Persona, error) {
	p, ok := ppppersona.Named(c.Persona)
	if !ok {
		return nil, fmt.Errorf("%w: %q; by PPP there are %v", ErrPersona, c.Persona, ppppersona.Names())
	}
	return p, nil
}
