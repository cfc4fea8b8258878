package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/lanyard-io/lanyard/internal/manage"
)

// manyIdentities is how many a listing goes through.
const manyIdentities = 10_000

// pairs are the cases and what each is held against; a case without want is
// measured, not judged.
func (l *lab) pairs(ctx context.Context) ([]pair, error) {
	read := request{method: "GET", url: l.es.names.VaultURL(vaultName) + "/secrets/read/?api-version=7.4", token: l.es.token}
	identity := request{method: "GET", url: l.es.manage.Identities(group).URL(identityName), token: l.es.arm}
	for path, r := range map[string]request{"/secret": read, "/identity": identity} {
		if err := l.bare.copyAnswer(ctx, path, l.es.http, r); err != nil {
			return nil, err
		}
	}
	for path, s := range map[string]*subject{"/es": l.es, "/rs": l.rs} {
		if err := l.bare.copyAnswer(ctx, path, s.http, s.tokenRequest(s.form)); err != nil {
			return nil, err
		}
	}
	if err := l.bare.copyAnswer(ctx, "/sign", l.es.http, l.es.tokenRequest(l.es.login)); err != nil {
		return nil, err
	}

	// What a listing lists is made when a case first needs it.
	pages := sync.OnceValues(func() (int, error) {
		if err := l.es.makeIdentities(ctx); err != nil {
			return 0, err
		}
		first := request{method: "GET", url: l.es.manage.Identities(manyGroup).URL(""), token: l.es.arm}
		if err := l.bare.copyAnswer(ctx, "/page", l.es.http, first); err != nil {
			return 0, err
		}
		size := bytes.Count(l.bare.answers["/page"].body, []byte(`"principalId"`))
		return (manyIdentities + size - 1) / size, nil
	})

	set := []byte(`{"value":"` + value + `"}`)
	post := func(path string, form []byte) op {
		return func(ctx context.Context, _ int) error {
			return l.bare.ask(ctx, request{method: "POST", url: path, body: form})
		}
	}
	get := func(path, token string) op {
		return func(ctx context.Context, _ int) error {
			return l.bare.ask(ctx, request{method: "GET", url: path, token: token})
		}
	}
	send := func(s *subject, r request) op {
		return func(ctx context.Context, _ int) error { _, err := r.send(ctx, s.http); return err }
	}
	exchange := func(s *subject, form []byte) op { return send(s, s.tokenRequest(form)) }
	etcdPut := func(ctx context.Context, _ int) error {
		_, err := l.etcd.Put(ctx, fmt.Sprintf("bench/%d", l.seq.Add(1)), value)
		return err
	}
	return []pair{
		{name: "exchange, RS256 in, ES256 out", bound: "bare POST: RSA verify, P-256 sign", want: 0.7, subject: exchange(l.es, l.es.form), against: post("/es", l.es.form)},
		{name: "exchange, RS256 in, RS256 out", bound: "bare POST: RSA verify, RSA sign", want: 0.85, subject: exchange(l.rs, l.rs.form), against: post("/rs", l.rs.form)},
		{name: "sign-in with a secret", bound: "bare POST: P-256 sign", subject: exchange(l.es, l.es.login), against: post("/sign", l.es.login)},
		{name: "secret read", bound: "bare GET of the same answer", want: 0.6, subject: send(l.es, read), against: get("/secret", l.es.token)},
		{name: "secret write, durable", bound: "raw etcd put, durable", want: 0.5, subject: func(ctx context.Context, w int) error {
			_, err := request{
				method: "PUT", token: l.es.admin, body: set,
				url: fmt.Sprintf("%s/secrets/write-%d-%d?api-version=7.4", l.es.names.VaultURL(vaultName), w, l.seq.Add(1)%50),
			}.send(ctx, l.es.http)
			return err
		}, against: etcdPut},
		{name: "ARM GET of an identity", bound: "bare GET of the same answer", subject: send(l.es, identity), against: get("/identity", l.es.arm)},
		{name: "ARM PUT of an identity", bound: "raw etcd put, durable", subject: func(ctx context.Context, w int) error {
			_, err := request{
				method: "PUT", token: l.es.arm, url: l.es.manage.Identities(group).URL(fmt.Sprintf("put-%d", w)),
				body: fmt.Appendf(nil, `{"location":"local","tags":{"n":"%d"}}`, l.seq.Add(1)),
			}.send(ctx, l.es.http)
			return err
		}, against: etcdPut},
		{name: fmt.Sprintf("list %d identities by pages", manyIdentities), bound: "bare GETs of a page, as many",
			subject: func(ctx context.Context, _ int) error {
				if _, err := pages(); err != nil {
					return err
				}
				return l.es.listAll(ctx)
			},
			against: func(ctx context.Context, w int) error {
				n, err := pages()
				for range n {
					err = errors.Join(err, get("/page", l.es.arm)(ctx, w))
				}
				return err
			}},
	}, nil
}

// request is one HTTP request, ready to be sent again and again.
type request struct {
	method, url, token string
	contentType        string // default what the token endpoint or Azure's PUTs take
	body               []byte
}

// send gives the body of a 200.
func (r request) send(ctx context.Context, c *http.Client) ([]byte, error) {
	res, err := r.do(ctx, c)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode/100 != 2 {
		err = fmt.Errorf("HTTP %d: %s", res.StatusCode, b)
	}
	return b, err
}

func (r request) do(ctx context.Context, c *http.Client) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	switch {
	case r.contentType != "":
		req.Header.Set("Content-Type", r.contentType)
	case r.method == "POST":
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	case r.method == "PUT":
		req.Header.Set("Content-Type", "application/json")
	}
	return c.Do(req)
}

// makeIdentities makes what a listing lists, in a group of its own.
func (s *subject) makeIdentities(ctx context.Context) error {
	if _, err := s.manage.Groups().Put(ctx, manyGroup, manage.Group{Location: manage.DefaultLocation}); err != nil {
		return err
	}
	many := s.manage.Identities(manyGroup)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i := range manyIdentities {
		g.Go(func() error {
			_, err := many.Put(ctx, fmt.Sprintf("id-%05d", i), manage.Identity{Location: manage.DefaultLocation})
			return err
		})
	}
	return g.Wait()
}

// listAll follows the pages to the end.
func (s *subject) listAll(ctx context.Context) error {
	count := 0
	for next := s.manage.Identities(manyGroup).URL(""); next != ""; {
		b, err := request{method: "GET", url: next, token: s.arm}.send(ctx, s.http)
		if err != nil {
			return err
		}
		var page struct {
			Value    []json.RawMessage `json:"value"`
			NextLink string            `json:"nextLink"`
		}
		if err := json.Unmarshal(b, &page); err != nil {
			return err
		}
		count, next = count+len(page.Value), page.NextLink
	}
	if count != manyIdentities {
		return fmt.Errorf("listed %d identities, want %d", count, manyIdentities)
	}
	return nil
}
