package server

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lanyard-io/lanyard/internal/textfile"
)

// writeFile replaces a file whole: readers see the old one or the new one.
func writeFile(path string, content []byte, mode os.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone already when all went well
	if err := tmp.Chmod(mode); err != nil {
		tmp.Close()
		return err
	}
	if _, err := tmp.Write(content); err != nil {
		tmp.Close()
		return err
	}
	if err := tmp.Sync(); err != nil {
		tmp.Close()
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// Dir is a data directory as the command line sees it.
type Dir string

// CA is the file that holds Lanyard's own CA certificate.
func (d Dir) CA() string { return filepath.Join(string(d), caFileName) }

// Bundle is the file that holds the system's CAs and Lanyard's.
func (d Dir) Bundle() string { return filepath.Join(string(d), bundleName) }

// Truststore is the same file in the form that Java reads.
func (d Dir) Truststore() string { return filepath.Join(string(d), truststoreName) }

// AdminFile is the file that holds the admin's credentials.
func (d Dir) AdminFile() string { return filepath.Join(string(d), adminFileName) }

// State reads where the server of this directory listens.
func (d Dir) State() (*State, error) {
	var s State
	if err := readJSON(filepath.Join(string(d), stateFileName), &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// ReadAdmin reads a credentials file.
func ReadAdmin(path string) (*Admin, error) {
	var a Admin
	if err := readJSON(path, &a); err != nil {
		return nil, err
	}
	if a.ClientID == "" || a.ClientSecret == "" || a.TenantID == "" {
		return nil, fmt.Errorf("%s: want tenantId, clientId and clientSecret", path)
	}
	return &a, nil
}

func readJSON(path string, dst any) error {
	b, err := textfile.Read(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, dst); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
