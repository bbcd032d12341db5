package config

import (
	_ "embed"
	"fmt"
	"net/netip"
	"strings"
)

//go:embed example.yaml
var example string

// Example returns a configuration that has every key, each explained. It is
// valid as it is.
func Example() []byte { return []byte(example) }

// QuickstartConfig is what the configuration of a first run is made of.
type QuickstartConfig struct {
	// State is the directory the configuration is for, an absolute path.
	State string
	// Pool of the one tenant; 10.123.0.0/24 when it is not valid.
	Pool netip.Prefix
	// PSK, User and Password are written into the file as they are.
	PSK, User, Password string
}

// Quickstart returns the configuration of a first run: one tenant that takes
// everybody with the key, one user, egress that needs no privilege. It holds
// secrets: it belongs into a file of mode 0600.
func Quickstart(c QuickstartConfig) []byte {
	if !c.Pool.IsValid() {
		c.Pool = netip.MustParsePrefix("10.123.0.0/24")
	}
	return fmt.Appendf(nil, quickstartText, quote(c.State), quote(c.PSK), quote(c.User), quote(c.Password), c.Pool)
}

// quickstartText is the file that Quickstart fills in.
const quickstartText = `# Made by culvert quickstart, which uses this file again when it finds it.
# It holds secrets: keep it readable by its owner only. It serves as well by
# culvert serve --config FILE; culvert config example explains every key.
state: %s
tenants:
  - name: default
    default: true
    psk: [%s]
    auth: {local: {users: [{name: %s, password: %s}]}}
    pool: [%s]
    egress: netstack
`

// quote writes a string as a YAML scalar in single quotes.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}
