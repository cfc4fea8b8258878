package kube

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/textfile"
)

// readFiles reads a person's own kubeconfig, a file or several, as kubectl does. The
// error repeats nothing of the parser's words, which may quote a credential.
func readFiles(path string) (*api.Config, error) {
	files := filepath.SplitList(path)
	if !slices.ContainsFunc(files, func(file string) bool { _, err := os.Stat(file); return err == nil }) {
		return nil, fs.ErrNotExist
	}
	k, err := (&clientcmd.ClientConfigLoadingRules{Precedence: files}).Load()
	if err != nil {
		return nil, fmt.Errorf("%s is not a kubeconfig that can be read", path)
	}
	return k, nil
}

// ReadKubeconfig reads one context of a person's own kubeconfig, the current one if
// none is named, with all that it needs: the files that it refers to are read here.
func ReadKubeconfig(path, context string) (*Kubeconfig, error) {
	k, err := readFiles(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.WithHint(fmt.Errorf("no kubeconfig at %s", path), "name one: --kubeconfig FILE, or KUBECONFIG in the environment")
	case err != nil:
		return nil, err
	}
	one, err := flatten(k, context)
	if err == nil {
		err = one.check()
	}
	if u, ok := errors.AsType[*unusable](err); ok {
		return nil, fault.WithHint(fmt.Errorf("%s: %s", path, u.what), u.instead)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return one, nil
}

// flatten is a kubeconfig of one context, as of kubectl config view --minify --flatten.
func flatten(k *api.Config, context string) (*Kubeconfig, error) {
	if context == "" {
		context = k.CurrentContext
	}
	if context == "" {
		return nil, fault.WithHint(errors.New("it has no current context"), "name one with --context")
	}
	at := k.Contexts[context]
	if at == nil {
		return nil, fmt.Errorf("it has no context %q", context)
	}
	cluster, user := k.Clusters[at.Cluster], k.AuthInfos[at.AuthInfo]
	if cluster == nil {
		return nil, fmt.Errorf("it has no cluster %q", at.Cluster)
	}
	if user == nil {
		return nil, fmt.Errorf("it has no user %q", at.AuthInfo)
	}
	c := kubeCluster{Server: cluster.Server, ServerName: cluster.TLSServerName, Insecure: cluster.InsecureSkipTLSVerify, Proxy: cluster.ProxyURL}
	u := kubeUser{Token: user.Token, Username: user.Username, Impersonate: user.Impersonate}
	if user.Exec != nil || user.AuthProvider != nil {
		u.Exec = json.RawMessage("{}")
	}
	var err error
	inline := func(field, name string, data []byte) (text string) { // the -data field wins, as in kubectl
		if len(data) == 0 && name != "" {
			var e error
			if data, e = textfile.Read(name); e != nil {
				err = errors.Join(err, fmt.Errorf("reading the kubeconfig's %s: %w", field, e))
			}
		}
		return base64.StdEncoding.EncodeToString(data)
	}
	c.CA = inline("certificate-authority", cluster.CertificateAuthority, cluster.CertificateAuthorityData)
	u.Certificate = inline("client-certificate", user.ClientCertificate, user.ClientCertificateData)
	u.Key = inline("client-key", user.ClientKey, user.ClientKeyData)
	if user.TokenFile != "" {
		b, e := textfile.Read(user.TokenFile)
		if e != nil {
			err = errors.Join(err, fmt.Errorf("reading the kubeconfig's tokenFile: %w", e))
		}
		u.Token = strings.TrimSpace(string(b))
	}
	return &Kubeconfig{
		APIVersion: "v1", Kind: "Config", Current: context,
		Clusters: []namedCluster{{at.Cluster, c}}, Users: []namedUser{{at.AuthInfo, u}},
		Contexts: []namedContext{{context, kubeContext{Cluster: at.Cluster, User: at.AuthInfo, Namespace: at.Namespace}}},
	}, err
}
