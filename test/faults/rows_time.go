package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanyard-io/lanyard/internal/pki"
	"github.com/lanyard-io/lanyard/internal/server"
)

// clockAhead moves a server's clock ahead and sets it right again, more than once. A
// process cannot be given a wrong clock, so this server runs inside this one, with a
// clock of its own: the one row that does.
func clockAhead(ctx context.Context, s *suite, r *report) error {
	l, err := s.newLab()
	defer l.close()
	if err != nil {
		return err
	}
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	n := l.addNode()
	srv, err := server.New(ctx, server.Config{
		DataDir: n.dir, Listen: n.addr, Proxy: "off", Debug: n.debug, Log: slog.New(slog.DiscardHandler), Now: now,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	if err := l.furnish(ctx); err != nil {
		return err
	}
	clocks := []time.Duration{0, 40 * day, 0, 400 * day, 0, -time.Minute, 0, 25 * time.Hour, 0}
	for i, d := range clocks {
		ahead.Store(int64(d))
		if err := l.clientAt(ctx, n, now); err != nil {
			r.keep(false, "step %d, clock off by %s: %v", i, d, err)
		}
		r.keep(n.ready(ctx), "step %d, clock off by %s: /readyz is not 200", i, d)
	}
	r.figure("%d steps of up to 400 days", len(clocks))
	return nil
}

const day = 24 * time.Hour

// clientAt is a client whose clock agrees with the server's: it connects anew, signs in,
// and sets and reads a secret.
func (l *lab) clientAt(ctx context.Context, n *node, now func() time.Time) error {
	n.trust(l.ca)
	n.http.Transport.(*http.Transport).TLSClientConfig.Time = now
	defer n.http.CloseIdleConnections()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * pause) {
		// Unlike a real one, this clock jumps for measured time too: the store in memory
		// seems old until it is heard of again.
		err := l.signIn(ctx, n.http)
		if err == nil {
			break
		}
		if !strings.Contains(err.Error(), "HTTP 503") || time.Now().After(deadline) {
			return err
		}
	}
	want := value("timed", int(now().Unix()))
	if a := l.setSecret("timed", want).send(ctx, n.http); !a.ok() {
		return errors.New(a.String())
	}
	if a := l.getSecret("timed").send(ctx, n.http); secretValue(a) != want {
		return fmt.Errorf("reading: %s", a)
	}
	return nil
}

// certificateSwapped replaces the files of --tls-cert and --tls-key under load: with a
// good pair, which is taken, and with bad ones, which are not. Nobody may notice.
func certificateSwapped(ctx context.Context, s *suite, r *report) error {
	l, err := s.newLab()
	defer l.close()
	if err != nil {
		return err
	}
	hosts := []string{"login." + domain, "management." + domain, "graph." + domain, "*.vault." + domain}
	ca, err := pki.NewCA([]string{domain}, time.Now())
	if err != nil {
		return err
	}
	l.roots = ca.PEM()
	files := certFiles{filepath.Join(l.dir, "tls.crt"), filepath.Join(l.dir, "tls.key")}
	if _, err := files.write(ca, hosts, time.Now()); err != nil {
		return err
	}
	if err := l.bring(ctx, nil, "--tls-cert", files.cert, "--tls-key", files.key); err != nil {
		return err
	}
	w, err := l.startLoad(ctx)
	if err != nil {
		return err
	}
	stop := l.connectAnew(ctx, r)
	good := 0
	for range s.rounds(1, 3) {
		serial, err := files.write(ca, hosts, time.Now())
		if err != nil {
			return err
		}
		for _, n := range l.nodes {
			if !l.serves(n, serial, 20*time.Second) {
				r.check(false, "server %s does not take a new pair", n.name)
			}
		}
		good++
		if err := l.swapBad(r, files, ca, hosts, serial); err != nil {
			return err
		}
	}
	stop()
	r.figure("%d good pairs taken, %d bad ones left", good, 3*good)
	return w.judge(ctx, r)
}

// swapBad puts pairs that must not be taken in place, one after the other.
func (l *lab) swapBad(r *report, files certFiles, ca *pki.CA, hosts []string, serial string) error {
	for name, put := range map[string]func() error{
		"for other names": func() error { _, err := files.write(ca, []string{"www." + domain}, time.Now()); return err },
		"that has ended":  func() error { _, err := files.write(ca, hosts, time.Now().Add(-100*day)); return err },
		"that is garbage": func() error { return os.WriteFile(files.cert, []byte("garbage"), 0o600) },
	} {
		if err := put(); err != nil {
			return err
		}
		time.Sleep(11 * time.Second) // it looks every ten
		for _, n := range l.nodes {
			r.keep(l.serves(n, serial, 0), "server %s took a pair %s", n.name, name)
		}
	}
	return nil
}

// certFiles are the operator's.
type certFiles struct{ cert, key string }

// write makes a pair and puts it in place, key first, as a careless script would.
func (f certFiles) write(ca *pki.CA, hosts []string, now time.Time) (serial string, err error) {
	leaf, err := ca.Leaf(hosts, now, 30*day)
	if err != nil {
		return "", err
	}
	key, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		return "", err
	}
	chain := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Certificate[0]}), ca.PEM()...)
	err = errors.Join(
		os.WriteFile(f.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600),
		os.WriteFile(f.cert, chain, 0o600))
	parsed, parseErr := x509.ParseCertificate(leaf.Certificate[0])
	if parseErr != nil {
		return "", parseErr
	}
	return parsed.SerialNumber.String(), err
}

// serves says whether new connections get the certificate with this serial number,
// within a time.
func (l *lab) serves(n *node, serial string, within time.Duration) bool {
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		c, err := tls.Dial("tcp", n.addr, &tls.Config{InsecureSkipVerify: true, ServerName: "login." + domain}) // only looked at
		if err == nil {
			got := c.ConnectionState().PeerCertificates[0].SerialNumber.String()
			c.Close()
			if got == serial {
				return true
			}
		}
		if time.Since(began) > within {
			return false
		}
	}
}

// connectAnew makes new connections all the time, each checked in full, until stop.
func (l *lab) connectAnew(ctx context.Context, r *report) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	var mu sync.Mutex
	asked, broken := 0, 0
	for _, n := range l.nodes {
		wait.Go(func() {
			for ctx.Err() == nil {
				c := httpClient(n.addr, l.ca, false)
				a := l.secretForm(armURL).send(context.WithoutCancel(ctx), c)
				c.CloseIdleConnections()
				mu.Lock()
				asked++
				if !a.ok() {
					if broken++; broken <= 3 {
						r.example("a new connection: %s", a)
					}
				}
				mu.Unlock()
				time.Sleep(4 * pause)
			}
		})
	}
	return func() {
		cancel()
		wait.Wait()
		r.check(broken == 0, "%d of %d new connections broken", broken, asked)
	}
}
