package egress

import (
	"errors"
	"net/netip"
	"testing"
	"time"
)

func TestScopeOf(t *testing.T) {
	for want, addresses := range map[Scope][]string{
		Forbidden: {
			"0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.1", "255.255.255.255", "240.0.0.1", "::", "fe80::1", "fe80::1%eth0", "ff02::1",
			"::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "::ffff:0.0.0.0", "2002:a9fe:a9fe::1", "2001::1",
			"168.63.129.16", "100.100.100.200", "fd00:ec2::254", "2002:a83f:8110::", "192.0.0.192", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42",
			"::169.254.169.254", "::ffff:0:169.254.169.254", "64:ff9b:1::169.254.169.254", "64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1:ff:a9:fea9:fe00::", "64:ff9b:1::a9:fea9:fe00:0",
			"64:ff9b:1::168.63.129.16", "64:ff9b:1::100.100.100.200", "64:ff9b::0.0.0.0", "::224.0.0.1",
		},
		Private: {
			"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "127.0.0.1", "127.9.9.9", "100.64.0.1", "198.18.0.1",
			"192.0.0.1", "::1", "fd00::1", "fec0::1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "2002:7f00:1::", "2002:a00:1::1", "64:ff9b:1::a00:1", "::ffff:0:7f00:1", "::127.0.0.1",
		},
		Public: {"1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "2001:4860:4860::8888"},
	} {
		for _, address := range addresses {
			if got := ScopeOf(netip.MustParseAddr(address)); got != want {
				t.Errorf("%s is %v, want %v", address, got, want)
			}
		}
	}
	if got := ScopeOf(netip.Addr{}); got != Forbidden {
		t.Errorf("no address is %v, want forbidden", got)
	}
}

func TestDialerRefuses(t *testing.T) {
	for _, address := range []string{"169.254.169.254:443", "[fd00:ec2::254]:443", "100.100.100.200:443", "[::ffff:169.254.169.254]:443", "[64:ff9b::a9fe:a9fe]:443", "0.0.0.0:443"} {
		conn, err := Dialer(time.Second).DialContext(t.Context(), "tcp", address)
		if _, ok := errors.AsType[*AddressError](err); !ok {
			t.Errorf("%s: %v, %v", address, conn, err)
		}
	}
}
