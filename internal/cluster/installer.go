package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/model"
)

// InstallerConfig for NewInstaller.
type InstallerConfig struct {
	// Server tells this server's installations from another's: its authority and
	// tenant, as a URL.
	Server string
	// Authority and TenantID are what pods are given; the tenant may be "adfs".
	Authority, TenantID string
	// CA is PEM that pods need to trust the server; nil when their own roots do.
	CA []byte
	// Names are the host names that pods of a cluster with a host alias resolve
	// to it. They change with the vaults.
	Names func() []string

	// Mode of clusters whose settings name none. Default none.
	Mode model.WebhookMode
	// URL is where clusters reach the server's webhook listener, unless their
	// settings say otherwise; it may be empty. Bundle is PEM of the authority that
	// signs the listener's certificate; nil when there is no listener.
	URL    string
	Bundle []byte
	// Image of the webhook in mode deployment, and of the proxy sidecar, unless a
	// cluster's settings name one.
	Image string

	Log *slog.Logger
	Now func() time.Time
}

// Installer puts the admission webhook into clusters. Its errors are for who may
// read the cluster: no credential is in them.
type Installer struct{ c InstallerConfig }

// NewInstaller checks the configuration.
func NewInstaller(c InstallerConfig) (*Installer, error) {
	switch {
	case c.Server == "" || c.Authority == "" || c.TenantID == "" || c.Names == nil || c.Log == nil || c.Now == nil:
		return nil, errors.New("cluster: Server, Authority, TenantID, Names, Log and Now are needed")
	case c.Mode == "":
		c.Mode = model.WebhookNone
	}
	i := &Installer{c}
	if err := i.admission(&model.Cluster{}).Validate(); err != nil {
		return nil, fmt.Errorf("preparing what pods get: %w", err)
	}
	return i, nil
}

const (
	// manager is who we are in an object's managed fields.
	manager = "lanyard"
	// serverNote is the annotation of each object that we apply.
	serverNote = "lanyard.io/server"

	// urlPatience and deploymentPatience are how long an installed webhook may
	// take until it answers: the latter has an image to pull.
	urlPatience        = 20 * time.Second
	deploymentPatience = 3 * time.Minute
)

// mode is what a cluster's settings come to.
func (i *Installer) mode(k *model.Cluster) model.WebhookMode {
	if k.Webhook.Mode != "" {
		return k.Webhook.Mode
	}
	return i.c.Mode
}

// Plan is the mode that the cluster's settings come to, and a digest of all that
// Install would put there: when it changes, Install is due. It is empty when nothing
// would be. An error says which setting is missing.
func (i *Installer) Plan(k *model.Cluster, endpoint string) (model.WebhookMode, string, error) {
	mode := i.mode(k)
	if mode == model.WebhookNone {
		return mode, "", nil
	}
	objects, err := i.manifests(k, endpoint)
	if err != nil {
		return mode, "", err
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n", i.c.Authority, i.c.TenantID) // what Check compares
	for _, o := range objects {
		b, err := json.Marshal(o)
		if err != nil {
			return mode, "", err
		}
		h.Write(b)
	}
	return mode, hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// Install puts the webhook into the cluster, and waits until it has changed a pod in a
// dry run. The note says what a person should know besides.
func (i *Installer) Install(ctx context.Context, kubeconfig []byte, k *model.Cluster, endpoint string) (note string, err error) {
	objects, err := i.manifests(k, endpoint)
	if err != nil {
		return "", err
	}
	api, err := i.connect(kubeconfig)
	if err != nil {
		return "", err
	}
	defer api.Close()
	taken, objects, err := i.survey(ctx, api, objects)
	for errors.Is(err, errTerminating) { // removed a moment ago
		if err := pause(ctx, time.Second); err != nil {
			return "", fmt.Errorf("waiting until the old namespace is gone: %w", err)
		}
		taken, objects, err = i.survey(ctx, api, objects)
	}
	if err != nil {
		return "", err
	}
	for _, o := range objects {
		if err := i.apply(ctx, api, o, taken); err != nil {
			return "", err
		}
	}
	patience := urlPatience
	if i.mode(k) == model.WebhookDeployment {
		patience = deploymentPatience
	}
	return taken.note(), i.await(ctx, api, patience)
}

func (i *Installer) connect(kubeconfig []byte) (*kube.Cluster, error) {
	return kube.Connect(kube.Config{Kubeconfig: kubeconfig, Log: i.c.Log, Now: i.c.Now})
}

// takenOver are the objects that were there before, and who made them.
type takenOver struct {
	names  []string
	owners []string
}

func (t *takenOver) note() string {
	if len(t.names) == 0 {
		return ""
	}
	by := ""
	if len(t.owners) > 0 {
		by = ", made by " + strings.Join(t.owners, ", ")
	}
	return "took over what was there already: " + strings.Join(t.names, ", ") + by
}

// survey looks at what is there under our names, which are those of the webhook
// that we stand in for. Another server's is refused. Anybody else's is taken
// over, but for a namespace: it stays theirs, and is not applied.
func (i *Installer) survey(ctx context.Context, api *kube.Cluster, objects []object) (*takenOver, []object, error) {
	taken := &takenOver{}
	var ours []object
	for _, o := range objects {
		there, err := i.look(ctx, api, o.ref())
		switch {
		case err != nil:
			return nil, objects, err
		case there != nil && there.terminating && o.ref().Kind == "Namespace":
			return nil, objects, errTerminating
		case there == nil || there.server == i.c.Server:
		case there.server != "":
			return nil, objects, fmt.Errorf("the cluster has the webhook of another Lanyard server, %s (%s): detach the cluster there first", there.server, o.ref())
		case o.ref().Kind == "Namespace":
			continue
		default:
			taken.names = append(taken.names, o.ref().String())
			for _, owner := range there.owners {
				if !slices.Contains(taken.owners, owner) {
					taken.owners = append(taken.owners, owner)
				}
			}
		}
		ours = append(ours, o)
	}
	return taken, ours, nil
}

// found is an object of the cluster: whose it is.
type found struct {
	server      string   // ours, if it has our annotation
	owners      []string // field managers
	terminating bool     // it is being deleted
}

// errTerminating says that nothing can be made in a namespace that is being deleted.
var errTerminating = errors.New("the namespace is being deleted")

// pause waits, or says why not.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// look reads whose an object is; nil when it is not there.
func (i *Installer) look(ctx context.Context, api *kube.Cluster, ref kube.Ref) (*found, error) {
	b, err := api.Get(ctx, ref)
	if errors.Is(err, kube.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for %s: %w", ref, err)
	}
	var o struct {
		Metadata struct {
			Annotations   map[string]string `json:"annotations"`
			Deletion      *time.Time        `json:"deletionTimestamp"`
			ManagedFields []struct {
				Manager string `json:"manager"`
			} `json:"managedFields"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref, err)
	}
	there := &found{server: o.Metadata.Annotations[serverNote], terminating: o.Metadata.Deletion != nil}
	for _, m := range o.Metadata.ManagedFields {
		if m.Manager != manager && !slices.Contains(there.owners, m.Manager) {
			there.owners = append(there.owners, m.Manager)
		}
	}
	return there, nil
}

// apply applies one object. A Deployment's selector cannot be changed: one that
// was taken over with another is made anew.
func (i *Installer) apply(ctx context.Context, api *kube.Cluster, o object, taken *takenOver) error {
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if o.ref() == configurationRef() {
		if err := reshape(ctx, api, o); err != nil {
			return err
		}
	}
	_, err = api.Apply(ctx, b, manager)
	if errors.Is(err, kube.ErrInvalid) && o.ref().Kind == "Deployment" && slices.Contains(taken.names, o.ref().String()) {
		if err := i.removeDeployment(ctx, api, o.ref()); err != nil {
			return fmt.Errorf("making %s anew: %w", o.ref(), err)
		}
		_, err = api.Apply(ctx, b, manager)
	}
	return err
}

// removeDeployment removes a Deployment, but not its pods, which go on answering. They have
// the label that ours selects, so it adopts them, and replaces them one by one.
func (i *Installer) removeDeployment(ctx context.Context, api *kube.Cluster, ref kube.Ref) error {
	if _, err := api.Orphan(ctx, ref); err != nil {
		return err
	}
	for {
		there, err := i.look(ctx, api, ref)
		if err != nil || there == nil {
			return err
		}
		if err := pause(ctx, firstPause); err != nil {
			return fmt.Errorf("waiting until it is gone: %w", err)
		}
	}
}

// Remove takes away what Install put there in a mode, and leaves what the mode keep
// needs. Objects without our mark stay.
func (i *Installer) Remove(ctx context.Context, kubeconfig []byte, mode, keep model.WebhookMode) error {
	api, err := i.connect(kubeconfig)
	if err != nil {
		return err
	}
	defer api.Close()
	kept := names(keep)
	for _, ref := range slices.Backward(names(mode)) { // the configuration is last, and goes first
		if slices.Contains(kept, ref) {
			continue
		}
		there, err := i.look(ctx, api, ref)
		if err != nil {
			return err
		}
		if there == nil || there.server != i.c.Server {
			continue
		}
		if _, err := api.DeleteOne(ctx, ref); err != nil {
			return fmt.Errorf("deleting %s: %w", ref, err)
		}
	}
	return nil
}
