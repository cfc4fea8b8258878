package storetest

import (
	"net/url"
	"testing"

	"go.etcd.io/etcd/server/v3/embed"
)

// External is an etcd that listens on TCP, as an operator's own would, until the test ends.
func External(t testing.TB) (endpoint string) {
	t.Helper()
	endpoint, stop, err := StartExternal(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return endpoint
}

// StartExternal is External for a script, which stops it by itself.
func StartExternal(dir string) (endpoint string, stop func(), err error) {
	free := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	c := embed.NewConfig()
	c.Dir, c.LogLevel, c.LogOutputs = dir, "panic", []string{"/dev/null"}
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{free}, []url.URL{free}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{free}, []url.URL{{Scheme: "http", Host: "lanyard.invalid:2380"}}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	c.TickMs, c.ElectionMs, c.UnsafeNoFsync = 10, 50, true
	etcd, err := embed.StartEtcd(c)
	if err != nil {
		return "", nil, err
	}
	<-etcd.Server.ReadyNotify()
	return "http://" + etcd.Clients[0].Addr().String(), etcd.Close, nil
}
