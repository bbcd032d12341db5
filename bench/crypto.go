package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"github.com/culvert-vpn/culvert/esp"
)

// CryptoConfig says which ESP transforms are measured.
type CryptoConfig struct {
	// Suites are names of ESP transforms, such as aes256gcm16; empty: the ones
	// that native clients negotiate.
	Suites []string
	// Sizes are the payloads in bytes; empty: 64, 512 and 1400.
	Sizes []int
	// Duration of each measurement; 0: one second.
	Duration time.Duration
	// Rounds is how often each is repeated; 0: 3.
	Rounds int
}

// usualSuites is what clients negotiate, the strongest first.
func usualSuites() []string {
	return []string{"aes256gcm16", "aes128gcm16", "aes256-sha256", "aes256-sha1", "aes128-sha1"}
}

func (c CryptoConfig) withDefaults() (CryptoConfig, error) {
	if len(c.Suites) == 0 {
		c.Suites = usualSuites()
	}
	if len(c.Sizes) == 0 {
		c.Sizes = []int{64, 512, 1400}
	}
	if err := defaultTimes(&c.Duration, time.Second, &c.Rounds, 3); err != nil {
		return c, err
	}
	for _, name := range c.Suites {
		if _, err := transformNamed(name); err != nil {
			return c, err
		}
	}
	return c, checkSizes(c.Sizes, 9000)
}

// defaultTimes fills in what is zero and refuses what makes no sense.
func defaultTimes(duration *time.Duration, usual time.Duration, rounds *int, often int) error {
	if *duration == 0 {
		*duration = usual
	}
	if *rounds == 0 {
		*rounds = often
	}
	switch {
	case *duration < time.Millisecond || *duration > time.Hour:
		return badOption("a measurement of %v: between 1 ms and an hour", *duration)
	case *rounds < 1 || *rounds > 1000:
		return badOption("%d rounds: between 1 and 1000", *rounds)
	}
	return nil
}

func checkSizes(sizes []int, most int) error {
	for _, size := range sizes {
		if size < 28 || size > most {
			return badOption("packets of %d bytes: between 28 and %d", size, most)
		}
	}
	return nil
}

// transformNamed finds an ESP transform by the name it has in logs.
func transformNamed(name string) (esp.Transform, error) {
	all := esp.Transforms()
	i := slices.IndexFunc(all, func(t esp.Transform) bool { return t.String() == name })
	if i < 0 {
		return esp.Transform{}, badOption("no ESP suite %q; there are %v", name, all)
	}
	return all[i], nil
}

// Crypto measures sealing and opening on one core.
func Crypto(ctx context.Context, c CryptoConfig, p *Progress) (Section, error) {
	s := Section{
		Name: "crypto", Title: "ESP on one core",
		About: "Packets sealed and opened in memory, one after the other: what one core does, and nothing else.",
	}
	c, err := c.withDefaults()
	if err != nil {
		return s, err
	}
	seal := Chart{Title: "Sealed on one core, Gbit/s of payload", Unit: BitsPerSecond, Kind: Groups, Labels: sizeLabels(c.Sizes)}
	open := Chart{Title: "Opened on one core, Gbit/s of payload", Unit: BitsPerSecond, Kind: Groups, Labels: sizeLabels(c.Sizes)}
	for _, name := range c.Suites {
		sealed, opened := Series{Name: name}, Series{Name: name}
		for i, size := range c.Sizes {
			a, b, err := cryptoOne(ctx, c, name, size, p)
			if err != nil {
				return s, err
			}
			s.Figures = append(s.Figures, a, b)
			sealed.Points = append(sealed.Points, pointOf(float64(i), a))
			opened.Points = append(opened.Points, pointOf(float64(i), b))
		}
		seal.Series, open.Series = append(seal.Series, sealed), append(open.Series, opened)
	}
	s.Charts = []Chart{seal, open}
	return s, nil
}

func sizeLabels(sizes []int) []string {
	var labels []string
	for _, size := range sizes {
		labels = append(labels, fmt.Sprintf("%d B", size))
	}
	return labels
}

// cryptoOne measures one suite with one size.
func cryptoOne(ctx context.Context, c CryptoConfig, name string, size int, p *Progress) (sealed, opened Figure, err error) {
	var seals, opens []float64
	for range c.Rounds {
		if err := ctx.Err(); err != nil {
			return sealed, opened, err
		}
		pair, err := newSAPair(name, size)
		if err != nil {
			return sealed, opened, err
		}
		s, o := pair.measure(c.Duration)
		seals, opens = append(seals, s), append(opens, o)
	}
	sealed = NewFigure(fmt.Sprintf("seal %s %d B", name, size), BitsPerSecond, seals...)
	opened = NewFigure(fmt.Sprintf("open %s %d B", name, size), BitsPerSecond, opens...)
	p.Say("crypto %-16s %4d B   seal %s   open %s", name, size, BitsPerSecond.Format(sealed.Median), BitsPerSecond.Format(opened.Median))
	return sealed, opened, nil
}

// saPair is both ends of one SA, and room for a batch of packets.
type saPair struct {
	out  *esp.Outbound
	in   *esp.Inbound
	size int
	room [][]byte
	pkts [][]byte
}

// cryptoBatch is how many packets are sealed, and then opened, in turn.
const cryptoBatch = 64

func newSAPair(name string, size int) (*saPair, error) {
	t, err := transformNamed(name)
	if err != nil {
		return nil, err
	}
	keys := esp.Keys{Encryption: make([]byte, t.EncryptionKeyLen()), Integrity: make([]byte, t.IntegrityKeyLen())}
	rand.Read(keys.Encryption)
	rand.Read(keys.Integrity)
	p := &saPair{size: size, pkts: make([][]byte, cryptoBatch)}
	if p.out, err = esp.NewOutbound(esp.OutboundConfig{SPI: 4096, Transform: t, Keys: keys}); err != nil {
		return nil, failed("%w", err)
	}
	if p.in, err = esp.NewInbound(esp.InboundConfig{SPI: 4096, Transform: t, Keys: keys}); err != nil {
		return nil, failed("%w", err)
	}
	for range cryptoBatch {
		p.room = append(p.room, make([]byte, t.SealedLen(size)+t.TrailerMax()+t.HeaderLen()))
	}
	return p, nil
}

// seal fills the batch.
func (p *saPair) seal() {
	header := p.out.HeaderLen()
	for i, room := range p.room {
		p.pkts[i], _ = p.out.Seal(room, room[header:header+p.size], 17)
	}
}

// open empties it, and reports whether all of it was authentic.
func (p *saPair) open() bool {
	good := true
	for _, pkt := range p.pkts {
		_, _, err := p.in.Open(pkt)
		good = good && err == nil
	}
	return good
}

// measure returns the rates of payload through Seal and Open, in bits a second.
func (p *saPair) measure(d time.Duration) (seal, open float64) {
	var sealing, opening time.Duration
	packets := 0
	for sealing+opening < d {
		began := time.Now()
		p.seal()
		between := time.Now()
		if !p.open() {
			return 0, 0
		}
		sealing += between.Sub(began)
		opening += time.Since(between)
		packets += cryptoBatch
	}
	bits := float64(packets * p.size * 8)
	return rate(bits, sealing), rate(bits, opening)
}
