package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/internal/textfile"
)

// connect signs in: to the data directory's server, or to --server.
func (a *app) connect() (*manage.Client, error) {
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
	signedIn, err := client.New(c)
	return manage.New(signedIn), err
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

// target is where a resource goes: the flags that its commands share.
type target struct {
	group    string
	location string
}

// trusting is a transport that trusts roots and no others.
func trusting(roots *x509.CertPool) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return t
}
