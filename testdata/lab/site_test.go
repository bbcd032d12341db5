package lab

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// startSite puts a site into the network: HTTP, DNS and iperf3 on siteAddr, HTTP on siteAddr6 too.
func (n *network) startSite(t *testing.T) {
	t.Helper()
	background(t, "site", roleCommand(n.inet, "site"))
	background(t, "iperf3", treeCommand(n.inet, "iperf3", "--server"))
	within(t, 10*time.Second, "the site answers", func() bool { return listens(n.inet, siteAddr, 80) })
}

// serveSite is the site's own process. GET /file?bytes=N is N bytes that nobody can guess;
// GET /sum?bytes=N their SHA-256; PUT anywhere answers the SHA-256 of what came.
func serveSite(httpAddr, dnsAddr string) error {
	pc, err := net.ListenPacket("udp", dnsAddr)
	if err != nil {
		return err
	}
	go serveDNS(pc)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /file", func(w http.ResponseWriter, r *http.Request) {
		size := sizeOf(r)
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		io.Copy(w, file(size))
	})
	mux.HandleFunc("GET /sum", func(w http.ResponseWriter, r *http.Request) { writeSum(w, file(sizeOf(r))) })
	mux.HandleFunc("PUT /", func(w http.ResponseWriter, r *http.Request) { writeSum(w, r.Body) })
	return http.ListenAndServe(httpAddr, mux)
}

func sizeOf(r *http.Request) int64 {
	size, _ := strconv.ParseInt(r.URL.Query().Get("bytes"), 10, 64)
	return size
}

func file(size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8(sha256.Sum256([]byte("culvert lab"))), size)
}

func writeSum(w io.Writer, r io.Reader) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		fmt.Fprintln(w, err)
		return
	}
	fmt.Fprintln(w, hex.EncodeToString(h.Sum(nil)))
}

// serveDNS answers every A question for siteName with siteAddr and knows nothing else.
func serveDNS(pc net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		size, from, err := pc.ReadFrom(buf)
		if err != nil {
			return
		}
		if answer, err := answerDNS(buf[:size]); err == nil {
			pc.WriteTo(answer, from)
		}
	}
}

func answerDNS(question []byte) ([]byte, error) {
	var p dnsmessage.Parser
	header, err := p.Start(question)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: header.ID, Response: true, Authoritative: true, RecursionAvailable: true},
		Questions: []dnsmessage.Question{q},
	}
	switch {
	case !bytes.EqualFold([]byte(q.Name.String()), []byte(siteName+".")):
		reply.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA:
		reply.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60},
			Body:   &dnsmessage.AResource{A: [4]byte(net.ParseIP(siteAddr).To4())},
		}}
	}
	return reply.Pack()
}
