package clusterdns

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"path"
	"slices"
	"time"

	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/store"
)

// Config for New. Store and Cluster are needed.
type Config struct {
	Store   *store.Store
	Cluster *kube.Cluster
	// Namespace of the Services; default lanyard.
	Namespace string
	// Zones each have a headless Service without a selector, which has the zone's label
	// for a name.
	Zones []names.Zone
	// Target is the Service whose cluster IPs the names get; default lanyard.
	Target string

	Log *slog.Logger // default: none
}

const (
	// lookEvery is how often the View is looked at; that costs no I/O.
	lookEvery = 250 * time.Millisecond
	// checkEvery is how often the cluster is asked for what is really there.
	checkEvery = 5 * time.Minute
	// Pauses after a failure, doubling.
	firstPause, longestPause = time.Second, time.Minute
	fieldManager             = "lanyard-cluster-dns"
)

// Controller keeps the slices. Any number of replicas may run: all want the same.
type Controller struct {
	c Config

	// Owned by Run.
	rev     int64             // of the View that was looked at last
	things  [][]string        // its names, sorted, for each zone
	store   string            // id of our store; slices of others are left alone
	targets []netip.Addr      // cluster IPs of the target Service
	applied map[string]string // by slice name: what was applied last
	foreign map[string]bool   // names of slices of other stores
	checked bool              // the cluster was asked, and not too long ago
}

// New checks the configuration.
func New(c Config) (*Controller, error) {
	if c.Store == nil || c.Cluster == nil || len(c.Zones) == 0 {
		return nil, errors.New("cluster DNS: Store, Cluster and Zones must be set")
	}
	c.Namespace, c.Target = cmp.Or(c.Namespace, "lanyard"), cmp.Or(c.Target, "lanyard")
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Controller{c: c, things: make([][]string, len(c.Zones))}, nil
}

// Run follows the store until ctx ends. Trouble with the cluster is logged and
// tried again: the server is of use without these names.
func (d *Controller) Run(ctx context.Context) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	check := time.NewTicker(checkEvery)
	defer check.Stop()
	for pause := firstPause; ; {
		if err := d.step(ctx); ctx.Err() != nil {
			return nil
		} else if err != nil {
			d.c.Log.WarnContext(ctx, "cannot keep vaults' names in the cluster's DNS", "error", err, "again", pause)
			d.checked = false
			if !sleep(ctx, pause) {
				return nil
			}
			pause = min(2*pause, longestPause)
			continue
		}
		pause = firstPause
		select {
		case <-ctx.Done():
			return nil
		case <-check.C:
			d.checked = false
		case <-look.C:
		}
	}
}

func sleep(ctx context.Context, pause time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}

// step brings the cluster's slices to what the store has now.
func (d *Controller) step(ctx context.Context) error {
	view, err := d.c.Store.View()
	if err != nil {
		return err
	}
	if d.checked && view.Rev() == d.rev {
		return nil
	}
	in, _, ok := store.Get[*model.Instance](view, model.InstanceKey)
	if !ok {
		return errors.New("the store has no identity yet")
	}
	d.store = in.StoreID()
	same, grown := true, false
	things := make([][]string, len(d.c.Zones))
	for i, zone := range d.c.Zones {
		things[i] = Things(view, zone.Surface)
		same = same && slices.Equal(things[i], d.things[i])
		grown = grown || len(buckets(things[i], maxEndpoints)) > len(buckets(d.things[i], maxEndpoints))
	}
	if d.checked && same {
		d.rev = view.Rev()
		return nil
	}
	if !d.checked || grown {
		if err := d.check(ctx); err != nil { // a new slice's name may be another store's by now
			return err
		}
	}
	if err := d.apply(ctx, things); err != nil {
		return err
	}
	d.rev, d.things, d.checked = view.Rev(), things, true
	return nil
}

// Things are the names of what a surface's zone has and can be reached, such as
// vaults, sorted.
func Things(view *store.View, surface names.Surface) []string {
	var things []string
	for e := range view.Lookup(model.HostedIndex(string(surface))) {
		things = append(things, path.Base(e.Value.Key()))
	}
	slices.Sort(things)
	return things
}

// check reads the target's addresses, and which slices there are.
func (d *Controller) check(ctx context.Context) error {
	b, err := d.c.Cluster.Get(ctx, kube.Ref{APIVersion: "v1", Kind: "Service", Namespace: d.c.Namespace, Name: d.c.Target})
	if err != nil {
		return fmt.Errorf("reading the Service %s: %w", d.c.Target, err)
	}
	if d.targets, err = clusterIPs(b); err != nil {
		return fmt.Errorf("reading the Service %s: %w", d.c.Target, err)
	}
	d.applied = map[string]string{}
	foreign := map[string]bool{}
	for _, zone := range d.c.Zones {
		if err := d.list(ctx, zone.Label, foreign); err != nil {
			return fmt.Errorf("listing endpoint slices: %w", err)
		}
	}
	d.foreign = foreign
	return nil
}

// list reads which slices of a Service there are, ours and those of other stores.
func (d *Controller) list(ctx context.Context, service string, foreign map[string]bool) error {
	found, err := d.c.Cluster.List(ctx, d.slice(""), kube.ListOptions{
		LabelSelector: serviceLabel + "=" + service + "," + managerLabel + "=" + manager,
	})
	if err != nil {
		return err
	}
	for _, b := range found {
		var o struct {
			Metadata struct {
				Name   string            `json:"name"`
				Labels map[string]string `json:"labels"`
			} `json:"metadata"`
		}
		if err := json.Unmarshal(b, &o); err != nil {
			return err
		}
		name, owner := o.Metadata.Name, o.Metadata.Labels[storeLabel]
		if owner == d.store || owner == "" { // an older program's have no label
			d.applied[name] = "" // there, with content that we do not trust
			continue
		}
		if foreign[name] = true; !d.foreign[name] {
			d.c.Log.WarnContext(ctx, "left another store's names of vaults in the cluster's DNS; delete them if that store is gone",
				"slice", name, "label", storeLabel+"="+owner)
		}
	}
	return nil
}

func clusterIPs(service []byte) ([]netip.Addr, error) {
	var s struct {
		Spec struct {
			ClusterIPs []string `json:"clusterIPs"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(service, &s); err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, ip := range s.Spec.ClusterIPs {
		addr, err := netip.ParseAddr(ip)
		if err != nil {
			return nil, errors.New("it has no cluster IP, which vaults' names need")
		}
		addrs = append(addrs, addr)
	}
	if len(addrs) == 0 {
		return nil, errors.New("it has no cluster IP, which vaults' names need")
	}
	return addrs, nil
}

// apply writes the slices that differ, and deletes those that are too many.
// What is new comes before what goes, so that no name is missing in between.
func (d *Controller) apply(ctx context.Context, things [][]string) error {
	want, err := d.wanted(things)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if d.applied[name] == want[name] {
			continue
		}
		if _, err := d.c.Cluster.Apply(ctx, []byte(want[name]), fieldManager); err != nil {
			return err
		}
		d.applied[name] = want[name]
	}
	for _, name := range slices.Sorted(maps.Keys(d.applied)) {
		if _, ok := want[name]; ok {
			continue
		}
		if _, err := d.c.Cluster.DeleteOne(ctx, d.slice(name)); err != nil {
			return err
		}
		delete(d.applied, name)
	}
	return nil
}

func (d *Controller) slice(name string) kube.Ref {
	return kube.Ref{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice", Namespace: d.c.Namespace, Name: name}
}
