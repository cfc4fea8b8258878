package clusterdns

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/netip"
)

const (
	// maxEndpoints is the API's limit of one slice:
	// https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/
	maxEndpoints = 1000
	publicPort   = 443

	serviceLabel = "kubernetes.io/service-name"
	managerLabel = "endpointslice.kubernetes.io/managed-by"
	manager      = "lanyard.io"
	storeLabel   = "lanyard.io/store" // the store's id: a server touches its own slices only
)

type endpointSlice struct {
	APIVersion  string     `json:"apiVersion"`
	Kind        string     `json:"kind"`
	Metadata    metadata   `json:"metadata"`
	AddressType string     `json:"addressType"`
	Endpoints   []endpoint `json:"endpoints"`
	Ports       []port     `json:"ports"`
}

type metadata struct {
	Name      string            `json:"name"`
	Namespace string            `json:"namespace"`
	Labels    map[string]string `json:"labels"`
}

type endpoint struct {
	Addresses  []string        `json:"addresses"`
	Hostname   string          `json:"hostname"`
	Conditions map[string]bool `json:"conditions"`
}

type port struct {
	Name     string `json:"name"`
	Protocol string `json:"protocol"`
	Port     int    `json:"port"`
}

// wanted are the slices for these things of each zone, as JSON, by their names.
func (d *Controller) wanted(things [][]string) (map[string]string, error) {
	want := map[string]string{}
	for z, zone := range d.c.Zones {
		for _, target := range d.targets {
			for i, bucket := range buckets(things[z], maxEndpoints) {
				s := d.newSlice(zone.Label, target, i, bucket)
				b, err := json.Marshal(s)
				if err != nil {
					return nil, err
				}
				want[s.Metadata.Name] = string(b)
			}
		}
	}
	return want, nil
}

// newSlice is the i-th slice of a Service for one address.
func (d *Controller) newSlice(service string, target netip.Addr, i int, hosts []string) endpointSlice {
	family := "IPv4"
	if target.Is6() {
		family = "IPv6"
	}
	name := sliceName(service, family, i)
	if d.foreign[name] {
		name += "-" + d.store[:8]
	}
	s := endpointSlice{
		APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice", AddressType: family,
		Metadata: metadata{
			Name: name, Namespace: d.c.Namespace,
			Labels: map[string]string{serviceLabel: service, managerLabel: manager, storeLabel: d.store},
		},
		Endpoints: make([]endpoint, 0, len(hosts)),
		Ports:     []port{{"https", "TCP", publicPort}},
	}
	for _, host := range hosts {
		s.Endpoints = append(s.Endpoints, endpoint{[]string{target.String()}, host, map[string]bool{"ready": true}})
	}
	return s
}

func sliceName(service, family string, i int) string {
	return fmt.Sprintf("%s-%s-%d", service, map[string]string{"IPv4": "4", "IPv6": "6"}[family], i)
}

// buckets spreads names by their hash over as many buckets as are needed, a
// power of two, so that one more name changes one bucket. Every replica gets the
// same ones. The order within a bucket is kept; empty buckets stay.
func buckets(names []string, limit int) [][]string {
	if len(names) == 0 {
		return nil
	}
	for count := 1; ; count *= 2 {
		all := make([][]string, count)
		full := false
		for _, name := range names {
			h := fnv.New32a()
			h.Write([]byte(name))
			i := int(h.Sum32() % uint32(count))
			all[i] = append(all[i], name)
			full = full || len(all[i]) > limit
		}
		if !full {
			return all
		}
	}
}
