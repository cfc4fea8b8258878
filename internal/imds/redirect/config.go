package redirect

import (
	"errors"
	"fmt"
)

// Table is the name of the nftables table, of family inet.
const Table = "lanyard-imds"

// The metadata service's address, which is Azure's, and what some clouds have in
// its place on IPv6. The kernel cannot redirect what is bound to a link, so a
// connection to the second is refused at once, and clients do not wait for it.
// https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service
const (
	AddressIPv4 = "169.254.169.254"
	AddressIPv6 = "fe80::a9fe:a9fe"
)

// metadataPort is where the metadata service listens.
const metadataPort = 80

// NoExemption is an ExemptUID that exempts nobody.
const NoExemption = -1

// Config for Apply.
type Config struct {
	Port int // on loopback
	// ExemptUID is the user whose own requests go to the real address: the
	// sidecar's. NoExemption for none.
	ExemptUID int64
}

func (c Config) check() error {
	switch {
	case c.Port < 1 || c.Port > 65535:
		return fmt.Errorf("port %d: want 1 to 65535", c.Port)
	case c.ExemptUID < NoExemption || c.ExemptUID > 1<<32-2:
		return fmt.Errorf("user id %d: want a user id, or %d for none", c.ExemptUID, NoExemption)
	}
	return nil
}

// ErrPermission is in the chain of an error for want of CAP_NET_ADMIN.
var ErrPermission = errors.New("changing the packet filter needs the capability NET_ADMIN")
