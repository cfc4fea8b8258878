package model

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The first version stored clusters in this form; it is read for ever.
func TestClustersOfTheFirstVersionAreRead(t *testing.T) {
	const stored = `{"v":1,"kind":"Cluster","data":{"id":"/Sub/X","name":"x","location":"local","system":{"createdAt":"2026-11-01T00:00:00Z","modifiedAt":"2026-11-01T00:00:00Z"},` +
		`"server":"https://api","version":"1.37.2","issuer":"https://issuer","published":true,"workloadIdentity":true,"kubeconfig":"AQI="}}`
	o, err := Decode([]byte(stored))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	want := &Cluster{
		Resource: Resource{ID: "/Sub/X", Name: "x", Location: "local", System: System{CreatedAt: at, ModifiedAt: at}},
		Server:   "https://api", Version: "1.37.2", Issuer: "https://issuer", Published: true, WorkloadIdentity: true, Kubeconfig: []byte{1, 2},
	}
	if diff := cmp.Diff(want, o); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	b, err := Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != stored {
		t.Errorf("a cluster without webhook settings is stored as\n%s, want\n%s", b, stored)
	}
}
