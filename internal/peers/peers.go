package peers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// Config for New.
type Config struct {
	Store   *store.Store
	Name    string // of this server, for people
	Address string // HOST:PORT at which the others reach this server's listener
	URL     string // of the management host, without a slash at its end
	// Roots that the others' certificates chain to; nil: the system's.
	Roots *x509.CertPool
	Now   func() time.Time
	Log   *slog.Logger
}

const (
	renewEvery = time.Minute
	// goneAfter is when an entry that was not renewed is not asked any more, and
	// forgetAfter when somebody removes it.
	goneAfter   = 3 * time.Minute
	forgetAfter = time.Hour
	// Limits of asking: of servers, of one's time and of the bytes of its answer.
	maxAsked  = 16
	askTime   = 5 * time.Second
	maxAnswer = 8 << 20
	endTime   = 2 * time.Second
)

// Header says that a server asks: who gets it asks nobody else.
const Header = "X-Lanyard-Peer"

// Peers is this server among the others.
type Peers struct {
	c    Config
	http *http.Client
}

// New makes Peers. Run makes this server known.
func New(c Config) *Peers {
	return &Peers{c: c, http: &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12},
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				address, ok := ctx.Value(addressKey{}).(string)
				if !ok {
					return nil, errors.New("no server to ask")
				}
				var d net.Dialer
				return d.DialContext(ctx, network, address)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// addressKey is the context's key of where a request of ours goes.
type addressKey struct{}

// Run keeps this server's entry current until ctx ends, and takes it away then.
func (p *Peers) Run(ctx context.Context) error {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		if err := p.renew(ctx); err != nil && ctx.Err() == nil {
			p.c.Log.WarnContext(ctx, "cannot tell the other servers of this one", "error", err)
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
			defer cancel()
			if err := p.c.Store.Delete(last, p.own().Key(), store.Any); err != nil {
				p.c.Log.InfoContext(ctx, "this server's entry ends by itself", "error", err)
			}
			return nil
		case <-tick.C:
		}
	}
}

func (p *Peers) own() *model.Server {
	return &model.Server{Address: p.c.Address, Name: p.c.Name, Seen: p.c.Now().UTC()}
}

// renew writes the entry, and removes those of servers that are long gone.
func (p *Peers) renew(ctx context.Context) error {
	ops := []store.Op{{Value: p.own(), Rev: store.Any}}
	view, err := p.c.Store.View()
	if err != nil {
		return err
	}
	for e := range view.Prefix(model.ServersKey, "") {
		if s, ok := e.Value.(*model.Server); ok && p.c.Now().Sub(s.Seen) > forgetAfter && s.Address != p.c.Address && len(ops) < maxAsked {
			ops = append(ops, store.Op{Key: e.Key, Rev: store.Any})
		}
	}
	_, err = p.c.Store.Commit(ctx, ops...)
	return err
}

// others are the servers that were there lately.
func (p *Peers) others() ([]*model.Server, error) {
	view, err := p.c.Store.View()
	if err != nil {
		return nil, err
	}
	var all []*model.Server
	for e := range view.Prefix(model.ServersKey, "") {
		s, ok := e.Value.(*model.Server)
		if ok && s.Address != p.c.Address && p.c.Now().Sub(s.Seen) <= goneAfter && len(all) < maxAsked {
			all = append(all, s)
		}
	}
	return all, nil
}

// Merge adds what the other servers have to an answer of this one's, asking them
// with the caller's token. Who cannot be asked is named in it.
func (p *Peers) Merge(ctx context.Context, own audit.Answer, q audit.Query, token string) (audit.Answer, error) {
	others, err := p.others()
	if err != nil {
		return own, err
	}
	answers := make([]audit.Answer, len(others))
	var all sync.WaitGroup
	for i, o := range others {
		all.Go(func() {
			var err error
			if answers[i], err = p.ask(ctx, o, q, token); err != nil {
				p.c.Log.WarnContext(ctx, "could not ask another server for its records", "server", o.Name, "error", err)
				answers[i] = audit.Answer{Servers: []audit.Asked{{Name: o.Name, Error: why(err)}}}
			}
		})
	}
	all.Wait()
	for _, a := range answers {
		own.Value, own.Servers = append(own.Value, a.Value...), append(own.Servers, a.Servers...)
	}
	slices.SortStableFunc(own.Value, func(a, b audit.Record) int { return a.Time.Compare(b.Time) })
	if q.ID == "" && q.Limit > 0 {
		own.Value = own.Value[max(0, len(own.Value)-q.Limit):]
	}
	return own, nil
}

// statusError is an answer that is none.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("it answered with HTTP %d", int(e)) }

// why words an error without addresses.
func why(err error) string {
	var status statusError
	switch {
	case errors.As(err, &status):
		return status.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "it did not answer in time"
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return "its certificate is not one of ours"
	case errors.As(err, new(*net.OpError)):
		return "it cannot be reached"
	}
	return "its answer cannot be read"
}

func (p *Peers) ask(ctx context.Context, o *model.Server, q audit.Query, token string) (a audit.Answer, err error) {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, addressKey{}, o.Address), askTime)
	defer cancel()
	path := "/providers/Lanyard.Trust/decisions"
	if q.ID != "" {
		path += "/" + url.PathEscape(q.ID)
	}
	v := q.Values()
	v.Set("api-version", "2026-11-01")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.c.URL+path+"?"+v.Encode(), nil)
	if err != nil {
		return a, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set(Header, "1")
	res, err := p.http.Do(req)
	if err != nil {
		return a, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return a, statusError(res.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&a); err != nil {
		return audit.Answer{}, err
	}
	for i := range a.Value {
		a.Value[i].Server = o.Name
	}
	for i := range a.Servers {
		a.Servers[i].Name = o.Name
	}
	return a, nil
}

// Advertised is the address to give others: the one that was asked for, with the
// listener's port if it has none; else the listener's own, on this machine's first
// address if it listens on all.
func Advertised(asked, listening string) string {
	_, port, err := net.SplitHostPort(listening)
	if err != nil {
		return asked
	}
	if asked != "" {
		if _, _, err := net.SplitHostPort(asked); err == nil {
			return asked
		}
		return net.JoinHostPort(strings.Trim(asked, "[]"), port)
	}
	host, _, _ := net.SplitHostPort(listening)
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		return listening
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return net.JoinHostPort("localhost", port)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			return net.JoinHostPort(n.IP.String(), port)
		}
	}
	return net.JoinHostPort("localhost", port)
}
