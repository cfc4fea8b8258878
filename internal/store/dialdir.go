package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// UseDir takes etcd's files from a folder that has ca.crt, or tls.crt and tls.key, or all
// three, as a mounted Secret of kubernetes.io/tls has them.
func (c *DialConfig) UseDir(path string) error {
	var ca, cert, key string
	for name, file := range map[string]*string{"ca.crt": &ca, "tls.crt": &cert, "tls.key": &key} {
		at := filepath.Join(path, name)
		switch _, err := os.Stat(at); {
		case err == nil:
			*file = at
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	switch {
	case ca == "" && cert == "" && key == "":
		return fmt.Errorf("%s has neither ca.crt nor tls.crt and tls.key", path)
	case (cert == "") != (key == ""):
		return fmt.Errorf("%s has one of tls.crt and tls.key: it needs both, or none", path)
	}
	c.CAFile, c.CertFile, c.KeyFile = ca, cert, key
	return nil
}
