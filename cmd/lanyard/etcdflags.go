package main

import (
	"github.com/spf13/pflag"

	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/internal/store"
)

// addEtcdFlags are for every command that opens the store itself.
func addEtcdFlags(f *pflag.FlagSet, c *server.Config) {
	f.StringSliceVar(&c.Etcd.Endpoints, "etcd-endpoints", nil, "external etcd, `URLS` (default: etcd inside the process)")
	f.Var(&etcdDir{to: &c.Etcd}, "etcd-dir", "`folder` with etcd's ca.crt, and tls.crt and tls.key if etcd wants them")
	f.StringVar(&c.Etcd.CAFile, "etcd-ca", "", "PEM `file` with etcd's CA")
	f.StringVar(&c.Etcd.CertFile, "etcd-cert", "", "PEM `file` with the client certificate for etcd")
	f.StringVar(&c.Etcd.KeyFile, "etcd-key", "", "PEM `file` with its key")
	f.StringVar(&c.Etcd.Username, "etcd-user", "", "etcd user `name`")
	f.StringVar(&c.Etcd.PasswordFile, "etcd-password-file", "", "`file` with that user's password")
	f.IntVar(&c.EtcdQuota, "etcd-quota", 4, "`GIB` that the database of the etcd inside the process may grow to")
	f.StringVar(&c.Prefix, "etcd-prefix", "", "prefix of all keys (default /lanyard)")
}

// etcdDir sets the files that a folder has, as a mounted Secret of
// kubernetes.io/tls has them.
type etcdDir struct {
	path string
	to   *store.DialConfig
}

func (d *etcdDir) String() string { return d.path }
func (*etcdDir) Type() string     { return "folder" }

// Set implements pflag.Value.
func (d *etcdDir) Set(path string) error {
	if err := d.to.UseDir(path); err != nil {
		return err
	}
	d.path = path
	return nil
}
