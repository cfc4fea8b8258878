package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/internal/textfile"
)

// connect signs in: to the data directory's server, or to --server.
func (a *app) connect() (*client.Client, error) {
	c := client.Config{}
	address, caFile := a.server, a.caFile
	if address == "" {
		state, err := a.state()
		if err != nil {
			return nil, err
		}
		address, c.Dial = state.Address, state.Listen
		if state.OwnCA && caFile == "" {
			caFile = server.Dir(a.dataDir).CA()
		}
	}
	n, err := names.New(names.Config{Address: address})
	if err != nil {
		return nil, err
	}
	c.Names = n.Own()
	if caFile != "" {
		if c.Roots, err = readRoots(caFile); err != nil {
			return nil, err
		}
	}
	path := a.credentialsPath()
	adm, err := server.ReadAdmin(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.WithHint(fmt.Errorf("no credentials in %s", path), "name a file with --credentials, or start the server once with `lanyard up --new-admin`")
	}
	if err != nil {
		return nil, err
	}
	c.TenantID, c.SubscriptionID = adm.TenantID, adm.SubscriptionID
	c.ClientID, c.ClientSecret = adm.ClientID, adm.ClientSecret
	return client.New(c)
}

// credentialsPath is the file to sign in with.
func (a *app) credentialsPath() string {
	if a.credentials != "" {
		return a.credentials
	}
	return server.Dir(a.dataDir).AdminFile()
}

func readRoots(path string) (*x509.CertPool, error) {
	pem, err := textfile.Read(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no PEM certificate in it", path)
	}
	return pool, nil
}

// API versions that the command line speaks.
const (
	groupsVersion   = "2021-04-01"
	identityVersion = "2025-01-31-preview"
	vaultVersion    = "2023-07-01"
	roleVersion     = "2022-04-01"
	lanyardVersion  = "2026-11-01"
)

// defaultGroup is made when it is missing, so that a first use needs no group.
const (
	defaultGroup    = "lanyard"
	defaultLocation = "local"
)

// target is where an ARM resource goes: the flags that its commands share.
type target struct {
	group    string
	location string
}

func (t target) groupID(c *client.Client) string {
	return "/subscriptions/" + c.Subscription + "/resourceGroups/" + url.PathEscape(t.group)
}

func (t target) identityID(c *client.Client, name string) string {
	return t.id(c, identityKind(), name)
}

func (t target) vaultID(c *client.Client, name string) string { return t.id(c, vaultKind(), name) }

// ensure makes the default group; a group that the user named must exist.
func (t target) ensure(ctx context.Context, c *client.Client) error {
	err := c.ARM(ctx, "GET", t.groupID(c), groupsVersion, nil, nil)
	if !client.IsNotFound(err) {
		return err
	}
	if t.group != defaultGroup {
		return noGroup(t.group)
	}
	_, err = c.Create(ctx, t.groupID(c), groupsVersion, map[string]string{"location": t.location}, nil)
	return err
}

// listAll reads a whole collection of the management API. It is never nil, so
// that an empty one prints as [].
func listAll[T any](ctx context.Context, c *client.Client, path, apiVersion string) ([]T, error) {
	all := []T{}
	err := c.List(ctx, path, apiVersion, func(raw json.RawMessage) error {
		var one T
		err := json.Unmarshal(raw, &one)
		all = append(all, one)
		return err
	})
	return all, err
}

// trusting is a transport that trusts roots and no others.
func trusting(roots *x509.CertPool) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return t
}
