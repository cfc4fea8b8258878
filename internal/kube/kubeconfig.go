package kube

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"k8s.io/client-go/rest"

	"github.com/lanyard-io/lanyard/internal/strictjson"
)

// Kubeconfig is a kubeconfig with one cluster, one user and one context, all in
// itself: no file of another machine, no program to run.
// https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
type Kubeconfig struct {
	APIVersion  string         `json:"apiVersion" yaml:"apiVersion"`
	Kind        string         `json:"kind" yaml:"kind"`
	Clusters    []namedCluster `json:"clusters" yaml:"clusters"`
	Users       []namedUser    `json:"users" yaml:"users"`
	Contexts    []namedContext `json:"contexts" yaml:"contexts"`
	Current     string         `json:"current-context" yaml:"current-context"`
	Preferences struct{}       `json:"preferences" yaml:"preferences"`
}

type namedCluster struct {
	Name    string      `json:"name" yaml:"name"`
	Cluster kubeCluster `json:"cluster" yaml:"cluster"`
}

type kubeCluster struct {
	Server     string `json:"server" yaml:"server"`
	ServerName string `json:"tls-server-name,omitempty" yaml:"tls-server-name,omitempty"`
	CA         string `json:"certificate-authority-data,omitempty" yaml:"certificate-authority-data,omitempty"` // base64 of PEM
	CAFile     string `json:"certificate-authority,omitempty" yaml:"-"`
	Insecure   bool   `json:"insecure-skip-tls-verify,omitempty" yaml:"-"`
	Proxy      string `json:"proxy-url,omitempty" yaml:"-"`
}

type namedUser struct {
	Name string   `json:"name" yaml:"name"`
	User kubeUser `json:"user" yaml:"user"`
}

type kubeUser struct {
	Certificate     string          `json:"client-certificate-data,omitempty" yaml:"client-certificate-data,omitempty"` // base64 of PEM
	Key             string          `json:"client-key-data,omitempty" yaml:"client-key-data,omitempty"`                 // base64 of PEM
	Token           string          `json:"token,omitempty" yaml:"token,omitempty"`
	CertificateFile string          `json:"client-certificate,omitempty" yaml:"-"`
	KeyFile         string          `json:"client-key,omitempty" yaml:"-"`
	TokenFile       string          `json:"tokenFile,omitempty" yaml:"-"`
	Exec            json.RawMessage `json:"exec,omitempty" yaml:"-"`
	Provider        json.RawMessage `json:"auth-provider,omitempty" yaml:"-"`
	Username        string          `json:"username,omitempty" yaml:"-"`
	Impersonate     string          `json:"as,omitempty" yaml:"-"`
}

type namedContext struct {
	Name    string      `json:"name" yaml:"name"`
	Context kubeContext `json:"context" yaml:"context"`
}

type kubeContext struct {
	Cluster   string `json:"cluster" yaml:"cluster"`
	User      string `json:"user" yaml:"user"`
	Namespace string `json:"namespace,omitempty" yaml:"namespace,omitempty"`
}

// maxKubeconfig bounds a kubeconfig that somebody else gave us.
const maxKubeconfig = 256 << 10

// ParseKubeconfig reads JSON, and keeps of it what the current context needs. Its
// errors begin with "it", the kubeconfig, and never quote a credential.
func ParseKubeconfig(b []byte) (*Kubeconfig, error) {
	if len(b) > maxKubeconfig {
		return nil, fmt.Errorf("it is larger than %d KiB", maxKubeconfig>>10)
	}
	var k Kubeconfig
	if err := json.Unmarshal(b, &k); err != nil {
		return nil, errors.New("it is not a kubeconfig in JSON")
	}
	if strictjson.Check(b) != nil {
		return nil, errors.New("it has a member twice, in whatever letter case, or is not UTF-8")
	}
	one, err := k.current()
	if err != nil {
		return nil, err
	}
	if err := one.check(); err != nil {
		return nil, err
	}
	return one, nil
}

// current is a kubeconfig of the current context only.
func (k *Kubeconfig) current() (*Kubeconfig, error) {
	one := &Kubeconfig{APIVersion: "v1", Kind: "Config", Current: k.Current}
	for _, c := range k.Contexts {
		if c.Name == k.Current {
			one.Contexts = []namedContext{c}
			break
		}
	}
	if len(one.Contexts) == 0 {
		return nil, errors.New("it has no current context")
	}
	for _, c := range k.Clusters {
		if c.Name == one.Contexts[0].Context.Cluster {
			one.Clusters = []namedCluster{c}
			break
		}
	}
	for _, u := range k.Users {
		if u.Name == one.Contexts[0].Context.User {
			one.Users = []namedUser{u}
			break
		}
	}
	if len(one.Clusters) == 0 || len(one.Users) == 0 {
		return nil, errors.New("its current context names a cluster or a user that it does not have")
	}
	return one, nil
}

// unusable is what of a kubeconfig cannot be used, and what to give instead.
type unusable struct{ what, instead string }

// Error implements error.
func (u *unusable) Error() string { return u.what + ": " + u.instead }

// check refuses what cannot be used from here, or not safely.
func (k *Kubeconfig) check() error {
	c, u := &k.Clusters[0].Cluster, &k.Users[0].User
	server, err := url.Parse(c.Server)
	switch {
	case err != nil || server.Scheme != "https" || server.Hostname() == "" || server.User != nil || server.RawQuery != "" || server.Fragment != "":
		return errors.New("its server must be an https URL")
	case c.Insecure:
		return &unusable{"it skips the check of the server's certificate (insecure-skip-tls-verify)", "give the cluster's CA"}
	case c.Proxy != "":
		return errors.New("it needs a proxy (proxy-url), which is not supported")
	case c.CAFile != "" || u.CertificateFile != "" || u.KeyFile != "" || u.TokenFile != "":
		return &unusable{"it refers to files", "their content must be in it (kubectl config view --raw --minify --flatten)"}
	case len(u.Exec) > 0 || len(u.Provider) > 0:
		return &unusable{"its user runs a program to sign in (exec, auth-provider)", "give a user with a client certificate or a token"}
	case u.Username != "" || u.Impersonate != "":
		return &unusable{"its user has a password or impersonates another", "give a user with a client certificate or a token"}
	case u.Token == "" && (u.Certificate == "" || u.Key == ""):
		return errors.New("its user has neither a token nor a client certificate with its key")
	}
	_, err = k.tls()
	return err
}

// tls is what client-go needs for TLS with the API server.
func (k *Kubeconfig) tls() (rest.TLSClientConfig, error) {
	c, u := &k.Clusters[0].Cluster, &k.Users[0].User
	config := rest.TLSClientConfig{ServerName: c.ServerName}
	if c.CA != "" {
		pem, err := base64.StdEncoding.DecodeString(c.CA)
		if err != nil {
			return config, errors.New("its certificate-authority-data is not base64")
		}
		if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			return config, errors.New("its certificate-authority-data has no PEM certificate")
		}
		config.CAData = pem
	}
	if u.Certificate == "" {
		return config, nil
	}
	certificate, errC := base64.StdEncoding.DecodeString(u.Certificate)
	key, errK := base64.StdEncoding.DecodeString(u.Key)
	if errC != nil || errK != nil {
		return config, errors.New("its client-certificate-data or client-key-data is not base64")
	}
	if _, err := tls.X509KeyPair(certificate, key); err != nil {
		return config, errors.New("its client certificate and key cannot be read, or do not belong together")
	}
	config.CertData, config.KeyData = certificate, key
	return config, nil
}

// rest is the kubeconfig for client-go.
func (k *Kubeconfig) rest() (*rest.Config, error) {
	config, err := k.tls()
	if err != nil {
		return nil, err
	}
	return &rest.Config{
		Host: k.Server(), BearerToken: k.Users[0].User.Token, TLSClientConfig: config,
		Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }, // the environment's would see the credentials
	}, nil
}

// Server is the URL of the API server.
func (k *Kubeconfig) Server() string { return strings.TrimRight(k.Clusters[0].Cluster.Server, "/") }

// Ends is when the credential ends that ends first; zero when none says.
func (k *Kubeconfig) Ends() time.Time {
	u := &k.Users[0].User
	certificate, err := base64.StdEncoding.DecodeString(u.Certificate)
	if err != nil {
		certificate = nil
	}
	first, token := certificateEnd(certificate), tokenEnd(u.Token)
	if first.IsZero() || !token.IsZero() && token.Before(first) {
		return token
	}
	return first
}

// Named is YAML with a cluster, a context and a user of these names; the context has
// the cluster's.
func (k *Kubeconfig) Named(cluster, user string) ([]byte, error) {
	out := Kubeconfig{
		APIVersion: "v1", Kind: "Config", Current: cluster,
		Clusters: []namedCluster{{cluster, k.Clusters[0].Cluster}},
		Users:    []namedUser{{user, k.Users[0].User}},
		Contexts: []namedContext{{cluster, kubeContext{Cluster: cluster, User: user, Namespace: k.Contexts[0].Context.Namespace}}},
	}
	b, err := yaml.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("writing the kubeconfig: %w", err)
	}
	return b, nil
}
