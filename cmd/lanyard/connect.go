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
	"github.com/lanyard-io/lanyard/internal/manage/asadmin"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/internal/textfile"
)

// connect signs in: to the data directory's server, or to --server.
func (a *app) connect() (*manage.Client, error) {
	var dial string
	address, caFile := a.server, a.caFile
	if address == "" {
		state, err := a.state()
		if err != nil {
			return nil, err
		}
		address, dial = state.Address, state.Listen
		if state.OwnCA && caFile == "" {
			caFile = server.Dir(a.dataDir).CA()
		}
	}
	n, err := names.New(names.Config{Address: address})
	if err != nil {
		return nil, err
	}
	var roots *x509.CertPool
	if caFile != "" {
		if roots, err = textfile.Roots(caFile); err != nil {
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
	signedIn, err := client.New(asadmin.Config(adm, n.Own(), roots, dial))
	return manage.New(signedIn), err
}

// credentialsPath is the file to sign in with.
func (a *app) credentialsPath() string {
	if a.credentials != "" {
		return a.credentials
	}
	return server.Dir(a.dataDir).AdminFile()
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
