package ppp

// PersonaNames lists the names that Personas knows.
func PersonaNames() []string {
	var names []string
	for _, p := range personas() {
		names = append(names, p.name)
	}
	return names
}
