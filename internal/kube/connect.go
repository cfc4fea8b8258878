package kube

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/lanyard-io/lanyard/internal/egress"
)

// Config says which cluster, and as whom. At most one of Kubeconfig and Path is
// set; with neither, the cluster is the one that the process runs in.
type Config struct {
	// Kubeconfig is JSON that somebody else gave us, for ParseKubeconfig: it must
	// hold all that it needs. A program to run, a file or an unchecked certificate
	// in it is refused.
	Kubeconfig []byte
	// Path is a person's own kubeconfig, or several as in $KUBECONFIG. It may name
	// files and programs.
	Path string
	// Context of the kubeconfig at Path; default its current one.
	Context string
	// TryExpired leaves it to the API server whether a credential has expired: our
	// clock may be wrong.
	TryExpired bool

	Log *slog.Logger     // default: none
	Now func() time.Time // default time.Now
}

const (
	dialTimeout = 5 * time.Second
	// callTimeout bounds a call whose context has no deadline.
	callTimeout = 15 * time.Second
	// Calls per second and at once. The API server's own fairness is what
	// protects it; these bound a mistake of ours.
	callsPerSecond, callsAtOnce = 100, 200
)

// Cluster is a connection to an API server. It is safe for concurrent use.
type Cluster struct {
	server    *url.URL
	namespace string
	roots     *x509.CertPool // of the kubeconfig; nil: the system's
	rest      *rest.RESTClient
	metadata  metadata.Interface
	http      *http.Client
	log       *slog.Logger
	now       func() time.Time

	mu        sync.Mutex
	resources map[string][]metav1.APIResource // of a group version; guarded by mu
}

// Connect prepares for questions; nothing is sent yet. Credentials that can be
// seen to have expired are refused, unless TryExpired is set. No error quotes a credential.
func Connect(c Config) (*Cluster, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	rc, namespace, err := c.load()
	if err != nil {
		return nil, err
	}
	if err := checkExpiry(rc, c.Now()); err != nil && !c.TryExpired {
		return nil, err
	}
	rc.UserAgent = "lanyard"
	rc.QPS, rc.Burst = callsPerSecond, callsAtOnce
	rc.Dial = egress.Dialer(dialTimeout).DialContext // a kubeconfig may name any address
	rc.WarningHandlerWithContext = warnings{c.Log}
	server, _, err := rest.DefaultServerUrlFor(rc)
	if err != nil {
		return nil, errors.New("the kubeconfig's server is not a URL")
	}
	k := &Cluster{
		server: server, namespace: namespace, log: c.Log, now: c.Now,
		resources: map[string][]metav1.APIResource{},
	}
	if pool := x509.NewCertPool(); pool.AppendCertsFromPEM(rc.CAData) {
		k.roots = pool
	}
	plain, err := rest.HTTPClientFor(rc)
	if err != nil {
		return nil, fmt.Errorf("preparing to reach the API server: %w", sanitize(err))
	}
	k.http = bounded(plain, maxAnswer)
	if k.metadata, err = metadata.NewForConfigAndClient(metadata.ConfigFor(rc), bounded(plain, maxFollowed)); err != nil {
		return nil, fmt.Errorf("preparing to reach the API server: %w", sanitize(err))
	}
	rc.NegotiatedSerializer = codecs()
	if k.rest, err = rest.UnversionedRESTClientForConfigAndClient(rc, k.http); err != nil {
		return nil, fmt.Errorf("preparing to reach the API server: %w", sanitize(err))
	}
	return k, nil
}

// codecs read no more than the API server's errors.
func codecs() runtime.NegotiatedSerializer {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	return serializer.NewCodecFactory(scheme).WithoutConversion()
}

func (c Config) load() (*rest.Config, string, error) {
	switch {
	case c.Kubeconfig != nil && c.Path != "":
		return nil, "", errors.New("a kubeconfig and a path to one: want one of them")
	case c.Kubeconfig != nil:
		k, err := ParseKubeconfig(c.Kubeconfig)
		if err != nil {
			return nil, "", fmt.Errorf("the kubeconfig cannot be used: %w", err)
		}
		rc, err := k.rest()
		return rc, cmp.Or(k.Contexts[0].Context.Namespace, metav1.NamespaceDefault), err
	case c.Path != "":
		return c.loadFile()
	}
	rc, err := rest.InClusterConfig()
	if errors.Is(err, rest.ErrNotInCluster) {
		return nil, "", errors.New("not running in a Kubernetes cluster, and no kubeconfig was given")
	}
	if err != nil {
		return nil, "", fmt.Errorf("reading the pod's credentials: %w", sanitize(err))
	}
	return rc, "", nil
}

func (c Config) loadFile() (*rest.Config, string, error) {
	k, err := readFiles(c.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && len(k.Clusters) == 0:
		return nil, "", fmt.Errorf("%s: no kubeconfig there, or no cluster in it", c.Path)
	case err != nil:
		return nil, "", err
	}
	return resolve(clientcmd.NewNonInteractiveClientConfig(*k, c.Context, &clientcmd.ConfigOverrides{}, nil))
}

func resolve(k clientcmd.ClientConfig) (*rest.Config, string, error) {
	rc, err := k.ClientConfig()
	if err != nil {
		return nil, "", fmt.Errorf("the kubeconfig: %w", sanitize(err))
	}
	namespace, _, err := k.Namespace()
	if err != nil {
		return nil, "", fmt.Errorf("the kubeconfig: %w", sanitize(err))
	}
	return rc, namespace, nil
}

// Server is the URL of the API server.
func (k *Cluster) Server() string { return k.server.String() }

// Namespace is the kubeconfig context's, or "default". It is empty in a pod.
func (k *Cluster) Namespace() string { return k.namespace }

// Close gives back idle connections.
func (k *Cluster) Close() { k.http.CloseIdleConnections() }

// with bounds a call, and has client-go log where we do.
func (k *Cluster) with(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx = k.logging(ctx)
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, callTimeout)
}

func (k *Cluster) logging(ctx context.Context) context.Context {
	return logr.NewContext(ctx, logr.FromSlogHandler(k.log.Handler()))
}

// warnings logs what the API server warns of.
type warnings struct{ log *slog.Logger }

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (w warnings) HandleWarningHeaderWithContext(ctx context.Context, code int, _ string, text string) {
	if code == 299 && text != "" {
		w.log.WarnContext(ctx, "the API server warns", "warning", text)
	}
}
