package persona

import "github.com/culvert-vpn/culvert/l2tp"

// Named returns the client of one of the Names; of culvert itself nil, which is what
// stands for it in a DialConfig. All who ask share it, and nobody writes to it.
func Named(name string) (*l2tp.Persona, bool) {
	for _, c := range clients() {
		if c.name == name {
			return c.persona, true
		}
	}
	return nil, false
}

// Names lists the names that Named knows.
func Names() []string {
	var names []string
	for _, c := range clients() {
		names = append(names, c.name)
	}
	return names
}

type client struct {
	name    string
	persona *l2tp.Persona
}

// clients are all of them: networkmanager is xl2tpd as NetworkManager-l2tp configures
// it, kl2tpd is go-l2tp.
func clients() []client {
	return []client{
		{"culvert", nil}, {"windows7", &windows7}, {"windows10", &windows10}, {"macos", &apple}, {"ios", &apple},
		{"android", &android}, {"chromeos", &chromeos}, {"mikrotik", &mikrotik}, {"networkmanager", &networkManager}, {"kl2tpd", &kl2tpd},
	}
}
