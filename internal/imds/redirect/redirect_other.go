//go:build !linux

package redirect

import "errors"

// Apply is for Linux only.
func Apply(c Config) error {
	if err := c.check(); err != nil {
		return err
	}
	return Remove()
}

// Remove is for Linux only.
func Remove() error { return errors.New("redirecting the metadata address works on Linux only") }
