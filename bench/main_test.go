package bench

import (
	"os"
	"testing"

	"github.com/culvert-vpn/culvert/internal/x/nstest"
)

// TestMain runs the tests where they may change namespaces, whoever runs them.
func TestMain(m *testing.M) { os.Exit(nstest.Run(m.Run)) }
