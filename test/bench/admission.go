package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/lanyard-io/lanyard/internal/admission"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/pki"
	"github.com/lanyard-io/lanyard/internal/webhook"
)

// The most that a review may take at the median, in-process.
const (
	mostOfSmall = 200 * time.Microsecond
	mostOfLarge = time.Millisecond
)

// measureReviews measures the webhook's handler, with the garbage collector as
// the webhook has it.
func (b *bench) measureReviews(ctx context.Context) error {
	defer debug.SetGCPercent(debug.SetGCPercent(webhook.GCPercent))
	r, err := newReviews()
	if err != nil {
		return err
	}
	defer r.close()
	return b.compareAll(ctx, r.pairs())
}

// reviews is the webhook's handler beside one that only reads and writes.
type reviews struct {
	webhook, bare *httpsServer
	handler       http.Handler
	small, large  []byte
}

func newReviews() (*reviews, error) {
	ca, err := pki.NewPrivateCA(time.Now())
	if err != nil {
		return nil, err
	}
	config := &admission.Config{ // as an attached cluster has it
		Authority: "https://login.lanyard.localhost/", TenantID: "adfs", Trust: &admission.Trust{PEM: ca.PEM()},
	}
	if err := config.Validate(); err != nil {
		return nil, err
	}
	all := accounts{}
	for i := range manyAccounts {
		all[fmt.Sprintf("shop/workload-%05d", i)] = "11111111-2222-3333-4444-555555555555"
	}
	r := &reviews{small: reviewOf(1, 2), large: reviewOf(20, 30)}
	r.handler = admission.New(admission.HandlerConfig{
		Current: func() *admission.Config { return config }, Accounts: all, Metrics: admission.NewMetrics(),
		Log: slog.New(slog.NewJSONHandler(io.Discard, nil)),
	})
	answer := &discard{header: http.Header{}, keep: true}
	if err := r.serve(answer, r.small); err != nil {
		return nil, err
	}
	bare := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer.body)
	})
	if r.webhook, err = startHTTPS(ca, r.handler); err != nil {
		return nil, err
	}
	if r.bare, err = startHTTPS(ca, bare); err != nil {
		return nil, errors.Join(err, r.webhook.srv.Close())
	}
	return r, nil
}

func (r *reviews) close() error {
	r.webhook.http.CloseIdleConnections()
	r.bare.http.CloseIdleConnections()
	return errors.Join(r.webhook.srv.Close(), r.bare.srv.Close())
}

func (r *reviews) pairs() []pair {
	alone := func(body []byte) op {
		return func(context.Context, int) error { return r.serve(&discard{header: http.Header{}}, body) }
	}
	decode := func(body []byte) op {
		return func(context.Context, int) error { var v any; return json.Unmarshal(body, &v) }
	}
	ask := func(s *httpsServer) op {
		return func(ctx context.Context, _ int) error {
			b, err := request{method: "POST", url: s.url + admission.Path, contentType: "application/json", body: r.small}.send(ctx, s.http)
			if err == nil && !bytes.Contains(b, []byte(`"patch":"`)) {
				err = fmt.Errorf("not patched: %s", b)
			}
			return err
		}
	}
	return []pair{
		{name: "admission, a small pod", bound: "encoding/json reads the review", workers: 1, most: mostOfSmall,
			subject: alone(r.small), against: decode(r.small)},
		{name: "admission, 20 containers × 30", bound: "encoding/json reads the review", workers: 1, most: mostOfLarge,
			subject: alone(r.large), against: decode(r.large)},
		{name: "admission, HTTPS", bound: "bare POST of the same review", want: 0.5,
			subject: ask(r.webhook), against: ask(r.bare)},
	}
}

// serve asks the handler without a network.
func (r *reviews) serve(w *discard, body []byte) error {
	req, err := http.NewRequest(http.MethodPost, admission.Path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	r.handler.ServeHTTP(w, req)
	if !w.patched {
		return errors.New("the pod was not patched")
	}
	return nil
}

// discard is an http.ResponseWriter that looks whether there is a patch.
type discard struct {
	header  http.Header
	patched bool
	keep    bool
	body    []byte // if keep
}

// Header implements http.ResponseWriter.
func (d *discard) Header() http.Header { return d.header }

// WriteHeader implements http.ResponseWriter.
func (d *discard) WriteHeader(int) {}

// Write implements http.ResponseWriter.
func (d *discard) Write(b []byte) (int, error) {
	d.patched = d.patched || bytes.Contains(b, []byte(`"patch":"`))
	if d.keep {
		d.body = append(d.body, b...)
	}
	return len(b), nil
}

// accounts are the client IDs of service accounts, in memory as the webhook has
// them: what the garbage collector costs depends on it.
type accounts map[string]string

// Account implements admission.Accounts.
func (a accounts) Account(_ context.Context, namespace, name string) (admission.Account, error) {
	id, ok := a[namespace+"/"+name]
	if !ok {
		return admission.Account{}, admission.ErrNoAccount
	}
	return admission.Account{Namespace: namespace, Name: name, Annotations: map[string]string{"azure.workload.identity/client-id": id}}, nil
}

// httpsServer is asked as an API server asks: over one connection of HTTP/2.
type httpsServer struct {
	srv  *http.Server
	http *http.Client
	url  string
}

func startHTTPS(ca *pki.CA, handler http.Handler) (*httpsServer, error) {
	leaf, err := ca.Leaf([]string{"127.0.0.1"}, time.Now(), time.Hour)
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM())
	s := &httpsServer{url: "https://" + ln.Addr().String()}
	s.srv = httpx.Server(httpx.ServerConfig{Handler: handler, Log: slog.New(slog.DiscardHandler), TLS: &tls.Config{
		Certificates: []tls.Certificate{*leaf}, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"},
	}})
	s.http = &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, ForceAttemptHTTP2: true,
	}}
	go s.srv.ServeTLS(ln, "", "")
	return s, nil
}

// reviewOf asks about a pod as it is at the API server, defaults and all.
func reviewOf(containers, variables int) []byte {
	var list []any
	for i := range containers {
		var env []any
		for j := range variables {
			env = append(env, map[string]any{"name": fmt.Sprintf("VARIABLE_%d", j), "value": fmt.Sprintf("some value of a usual length %d", j)})
		}
		list = append(list, map[string]any{
			"name": fmt.Sprintf("c%d", i), "image": "registry.example/team/app:1.2.3", "env": env,
			"resources": map[string]any{"limits": map[string]any{"cpu": "1", "memory": "1Gi"}},
			"volumeMounts": []any{map[string]any{
				"name": "kube-api-access-x", "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
			}},
			"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File", "imagePullPolicy": "IfNotPresent",
		})
	}
	token := map[string]any{"serviceAccountToken": map[string]any{"expirationSeconds": 3607, "path": "token"}}
	fields := map[string]any{"f:metadata": map[string]any{"f:labels": map[string]any{".": map[string]any{}, "f:app": map[string]any{}}}}
	b, err := json.Marshal(map[string]any{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": map[string]any{
		"uid": "6a1b7d0e-3a3f-4a39-9d5b-2f1f0c4a7e55", "operation": "CREATE", "namespace": "shop", "name": "web-1", "dryRun": false,
		"kind":     map[string]any{"group": "", "version": "v1", "kind": "Pod"},
		"resource": map[string]any{"group": "", "version": "v1", "resource": "pods"},
		"userInfo": map[string]any{"username": "system:serviceaccount:kube-system:replicaset-controller", "groups": []any{"system:authenticated"}},
		"object": map[string]any{"kind": "Pod", "apiVersion": "v1",
			"metadata": map[string]any{
				"name": "web-1", "namespace": "shop", "creationTimestamp": nil,
				"labels":        map[string]any{"app": "web", "azure.workload.identity/use": "true"},
				"managedFields": []any{map[string]any{"manager": "kubectl", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields}},
			},
			"spec": map[string]any{
				"volumes":    []any{map[string]any{"name": "kube-api-access-x", "projected": map[string]any{"sources": []any{token}, "defaultMode": 420}}},
				"containers": list, "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
				"serviceAccountName": "workload-00001", "serviceAccount": "workload-00001", "securityContext": map[string]any{}, "schedulerName": "default-scheduler",
				"tolerations":        []any{map[string]any{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}},
				"enableServiceLinks": true,
			},
			"status": map[string]any{},
		},
	}})
	if err != nil {
		panic(fmt.Sprintf("marshalling a review: %v", err)) // cannot happen
	}
	return b
}
