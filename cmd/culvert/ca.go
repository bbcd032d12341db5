package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/culvert-vpn/culvert/internal/ca"
)

// newCA returns the commands of the certificate authority.
func newCA(s streams) *cobra.Command {
	c := &caCommand{streams: s}
	group := newGroup("ca", "Be a certificate authority for servers and clients",
		`Makes a certificate authority in a directory, and certificates that the IKEv2
clients of Windows, macOS, iOS and Android accept as they are.

Keys are readable by their owner only. Nothing that exists is overwritten.`,
		c.init(), c.server(), c.client(), c.revoke(), c.crl(), c.list())
	group.PersistentFlags().StringVar(&c.dir, "dir", "culvert-ca", "`DIRECTORY` of the authority")
	return group
}

// caCommand has the flags of the commands of the authority.
type caCommand struct {
	streams
	dir    string
	days   int
	ecdsa  bool
	modern bool
	stdin  bool
	name   string
	url    string
	reason string
}

// valid is the period of --days, zero for the default.
func (c *caCommand) valid() (time.Duration, error) {
	if c.days < 0 || c.days > 36500 {
		return 0, usageError{errors.New("--days is a number from 1 to 36500")}
	}
	return time.Duration(c.days) * 24 * time.Hour, nil
}

// daysFlag adds --days to a command.
func (c *caCommand) daysFlag(cmd *cobra.Command, standard time.Duration) *cobra.Command {
	cmd.Flags().IntVar(&c.days, "days", 0, fmt.Sprintf("`DAYS` for which it is valid (default %d)", int(standard.Hours()/24)))
	return cmd
}

// with opens the authority around a command.
func (c *caCommand) with(do func(*ca.CA, time.Duration) error) error {
	valid, err := c.valid()
	if err != nil {
		return err
	}
	a, err := ca.Open(c.dir, time.Now(), rand.Reader)
	if err != nil {
		return err
	}
	return errors.Join(do(a, valid), a.Close())
}

func (c *caCommand) init() *cobra.Command {
	cmd := &cobra.Command{
		Use: "init", Short: "Make an authority",
		Long: `Makes the key and the certificate of an authority, and an empty revocation list.

Keys are RSA with 3072 bits, of the authority and of all that it issues. With
--ecdsa they are P-256: shorter messages, but iPhones whose VPN was set up by
hand refuse a server's certificate of that kind.`,
		Args: arguments(),
		RunE: func(*cobra.Command, []string) error {
			valid, err := c.valid()
			if err != nil {
				return err
			}
			if c.url != "" && !strings.HasPrefix(c.url, "http://") {
				return usageError{errors.New("--crl-url begins with http://, for it has to be read before anything is trusted")}
			}
			a, err := ca.Init(c.dir, ca.Options{Name: c.name, ECDSA: c.ecdsa, Valid: valid, CRLURL: c.url, Now: time.Now(), Rand: rand.Reader})
			if err != nil {
				return err
			}
			fmt.Fprintf(c.out, "authority %q in %s\nclients need %s/ca.crt; keep %s/ca.key to yourself\n", c.name, c.dir, c.dir, c.dir)
			return a.Close()
		},
	}
	cmd.Flags().StringVar(&c.name, "name", "culvert VPN", "`NAME` of the authority, as clients show it")
	cmd.Flags().BoolVar(&c.ecdsa, "ecdsa", false, "P-256 keys instead of RSA")
	cmd.Flags().StringVar(&c.url, "crl-url", "", "`URL` where you will publish the revocation list, written into certificates")
	return c.daysFlag(cmd, ca.DefaultAuthority)
}

func (c *caCommand) server() *cobra.Command {
	return c.daysFlag(&cobra.Command{
		Use: "server NAME...", Short: "Issue the certificate of a server",
		Long: `Issues the certificate of a server. Give every host name and address that
clients dial: what they dial has to stand in the certificate.`,
		Args: atLeastOne("a NAME"),
		RunE: func(_ *cobra.Command, names []string) error {
			return c.with(func(a *ca.CA, valid time.Duration) error {
				got, err := a.Server(ca.ServerOptions{Names: names, Valid: valid})
				return c.show(got, err)
			})
		},
	}, ca.DefaultIssued)
}

func (c *caCommand) client() *cobra.Command {
	cmd := &cobra.Command{
		Use: "client NAME", Short: "Issue the certificate of a client",
		Long: `Issues the certificate of a client, and a PKCS#12 file with which it, its key
and the authority's certificate are imported on phones and on Windows. The
password of that file is asked for; an empty answer, or no terminal to ask on,
makes a random one, which is printed this once.`,
		Args: arguments("a NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			return c.with(func(a *ca.CA, valid time.Duration) error {
				p, err := readPassword(c.streams, args[0], c.stdin)
				if err != nil {
					return err
				}
				got, err := a.Client(ca.ClientOptions{Name: args[0], Valid: valid, Password: p.text, Modern: c.modern})
				if err = c.show(got, err); err == nil {
					p.show(c.streams)
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&c.stdin, "password-stdin", false, "read the password from the first line of standard input")
	cmd.Flags().BoolVar(&c.modern, "modern", false, "encrypt the PKCS#12 file with AES, which older systems of Apple and Microsoft cannot open")
	return c.daysFlag(cmd, ca.DefaultIssued)
}

// show says what was written.
func (c *caCommand) show(got ca.Issued, err error) error {
	if err != nil {
		return err
	}
	for _, f := range got.Files {
		fmt.Fprintln(c.out, f)
	}
	fmt.Fprintf(c.out, "valid until %s\n", got.Certificate.NotAfter.UTC().Format("2006-01-02"))
	return nil
}

func (c *caCommand) revoke() *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke NAME", Short: "Take a certificate back",
		Long: `Takes back the certificate of that name, or of that serial number, and writes
the revocation list anew. Servers refuse it once they have the list.`,
		Args: arguments("a NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			return c.with(func(a *ca.CA, _ time.Duration) error {
				e, err := a.Revoke(args[0], c.reason)
				if errors.Is(err, ca.ErrNotFound) {
					return fmt.Errorf("the authority in %s has issued no certificate %s; culvert ca list shows those that it has", c.dir, args[0])
				}
				if err != nil {
					return err
				}
				fmt.Fprintf(c.out, "%s %s (serial %s) is revoked; %s/crl.pem says so\n", e.Kind, e.Name, e.Serial, c.dir)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&c.reason, "reason", "unspecified", "`REASON`, one of "+strings.Join(ca.Reasons(), ", "))
	return cmd
}

func (c *caCommand) crl() *cobra.Command {
	return c.daysFlag(&cobra.Command{
		Use: "crl", Short: "Write the revocation list anew",
		Long: "Writes the revocation list with a new number. Do so before the old one runs out.",
		Args: arguments(),
		RunE: func(*cobra.Command, []string) error {
			return c.with(func(a *ca.CA, valid time.Duration) error {
				if valid == 0 {
					valid = ca.DefaultCRL
				}
				if err := a.WriteCRL(valid); err != nil {
					return err
				}
				fmt.Fprintf(c.out, "%s/crl.pem\n", c.dir)
				return nil
			})
		},
	}, ca.DefaultCRL)
}

func (c *caCommand) list() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Show what was issued",
		Long: "Shows the certificates that were issued, and which of them were revoked.",
		Args: arguments(),
		RunE: func(*cobra.Command, []string) error {
			return c.with(func(a *ca.CA, _ time.Duration) error {
				w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "NAME\tKIND\tVALID UNTIL\tSTATE\tSERIAL")
				for _, e := range a.Entries() {
					state := "good"
					if !e.Revoked.IsZero() {
						state = "revoked"
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", e.Name, e.Kind, e.NotAfter.Format("2006-01-02"), state, e.Serial)
				}
				return w.Flush()
			})
		},
	}
}

// atLeastOne makes the rule that a command has arguments of one kind.
func atLeastOne(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return nil
		}
		return usageError{fmt.Errorf("%s takes %s, or several", c.CommandPath(), what)}
	}
}
