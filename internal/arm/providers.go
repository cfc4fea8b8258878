package arm

import (
	"net/http"
	"strings"

	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/resid"
	"github.com/lanyard-io/lanyard/internal/store"
)

const (
	providerType = "Microsoft.Resources/subscriptions/providers"
	featureType  = "Microsoft.Features/providers/features"
)

// preview is the namespaces that one registers before use. It changes nothing
// here, but the state is remembered, as clients expect.
var preview = map[string]bool{"microsoft.containerservice": true}

// known spells namespaces that Lanyard or its clients speak of.
var known = []string{
	"Microsoft.Authorization", "Microsoft.ContainerService", "Microsoft.Features",
	"Microsoft.KeyVault", "Microsoft.ManagedIdentity", "Microsoft.Resources",
}

var featureVersions = []string{"2021-07-01", "2015-12-01"}

// providerRows is the registration of resource providers and features.
func providerRows() []*row {
	return []*row{
		{
			name: "provider", typ: providerType, versions: resourceVersions,
			verbs: map[string]verb{
				"GET":  {do: (*call).getProvider, open: true},
				"LIST": {do: (*call).listProviders, open: true},
			},
		},
		{
			name: "provider", typ: "Microsoft.Resources/providers", versions: resourceVersions,
			verbs: map[string]verb{
				"GET":  {do: (*call).getProvider, open: true},
				"LIST": {do: (*call).listProviders, open: true},
			},
		},
		{
			name: "feature", typ: featureType, versions: featureVersions,
			in: inSubscription, listed: inSubscription,
			verbs: map[string]verb{"GET": {do: (*call).getFeature}, "LIST": {do: (*call).listFeatures}},
			actions: map[string]verb{
				"register":   {do: (*call).registerFeature},
				"unregister": {do: (*call).unregisterFeature},
			},
		},
		{
			name: "features", typ: "Microsoft.Features/features", versions: featureVersions,
			listed: inSubscription,
			verbs:  map[string]verb{"LIST": {do: (*call).listFeatures}},
		},
	}
}

// findProviderAction matches POST …/providers/{namespace}/register, which is
// the same for every namespace.
func (s *Server) findProviderAction(id resid.ID, name string) (*row, operation, error) {
	r := s.table[strings.ToLower(providerType)]
	if placeOf(id.Scope()) == inSubscription {
		switch name {
		case "register":
			return r, operation{verb: verb{do: (*call).registerProvider}, op: "provider.register", action: id.Namespace() + "/register/action", scope: id.Scope()}, nil
		case "unregister":
			return r, operation{verb: verb{do: (*call).unregisterProvider}, op: "provider.unregister", action: id.Namespace() + "/unregister/action", scope: id.Scope()}, nil
		}
	}
	_, err := s.rowOf(id.TypeKey(), id)
	return nil, operation{}, err
}

// provider is https://learn.microsoft.com/rest/api/resources/providers/get.
type provider struct {
	ID            string         `json:"id"`
	Namespace     string         `json:"namespace"`
	Policy        string         `json:"registrationPolicy,omitempty"` // with State: of a subscription
	State         string         `json:"registrationState,omitempty"`
	ResourceTypes []providedType `json:"resourceTypes"`
}

type providedType struct {
	Type           string   `json:"resourceType"`
	Locations      []string `json:"locations"`
	Versions       []string `json:"apiVersions"`
	DefaultVersion string   `json:"defaultApiVersion"`
	Capabilities   string   `json:"capabilities"`
}

// spellNamespace is a namespace as its provider spells it, if it is known.
func spellNamespace(ns string) string {
	for _, k := range known {
		if strings.EqualFold(k, ns) {
			return k
		}
	}
	return ns
}

func isKnown(ns string) bool {
	for _, k := range known {
		if strings.EqualFold(k, ns) {
			return true
		}
	}
	return false
}

func (c *call) providerOf(namespace string) provider {
	ns := spellNamespace(namespace)
	p := provider{ID: "/providers/" + ns, Namespace: ns, ResourceTypes: []providedType{}}
	if c.id.Subscription() != "" {
		p.ID, p.Policy, p.State = c.s.sub+p.ID, "RegistrationRequired", "NotRegistered"
		if isKnown(ns) && !preview[strings.ToLower(ns)] {
			p.State = "Registered"
		}
		if reg, _, ok := store.Get[*model.Registration](c.view, strings.ToLower(p.ID)); ok {
			p.State = registrationState(reg)
		}
	}
	for _, r := range c.s.rows {
		rest, ok := strings.CutPrefix(r.typ, ns+"/")
		if !ok {
			continue
		}
		t := providedType{Type: rest, Locations: []string{}, Versions: r.versions, DefaultVersion: r.versions[0], Capabilities: "None"}
		if r.tracked {
			t.Capabilities = "SupportsTags, SupportsLocation"
			for _, l := range regions {
				t.Locations = append(t.Locations, l.display)
			}
		}
		p.ResourceTypes = append(p.ResourceTypes, t)
	}
	return p
}

// registrationState tells a registration that was taken back from one that never was:
// az waits for the former after it unregisters.
func registrationState(r *model.Registration) string {
	switch {
	case r.Registered:
		return "Registered"
	case r.Changed.IsZero():
		return "NotRegistered"
	}
	return "Unregistered"
}

func (c *call) getProvider() error {
	return httpx.WriteJSON(c.w, http.StatusOK, c.providerOf(c.id.Name()))
}

func (c *call) listProviders() error {
	body := listBody{Value: []any{}}
	for _, ns := range known {
		body.Value = append(body.Value, c.providerOf(ns))
	}
	if c.id.Subscription() == "" {
		return httpx.WriteJSON(c.w, http.StatusOK, body)
	}
	for e := range below(c.view, c.s.sub+"/providers/", "") {
		if reg, ok := e.Value.(*model.Registration); ok && !isKnown(reg.Namespace) {
			body.Value = append(body.Value, c.providerOf(reg.Namespace))
		}
	}
	return httpx.WriteJSON(c.w, http.StatusOK, body)
}

func (c *call) registerProvider() error   { return c.changeProvider(true) }
func (c *call) unregisterProvider() error { return c.changeProvider(false) }

func (c *call) changeProvider(registered bool) error {
	ns := spellNamespace(c.id.Namespace())
	reg := &model.Registration{ID: c.s.sub + "/providers/" + ns, Namespace: ns}
	if err := c.remember(reg, registered); err != nil {
		return err
	}
	p := c.providerOf(ns)
	p.State = registrationState(reg)
	return httpx.WriteJSON(c.w, http.StatusOK, p)
}

// remember stores a registration. There is nothing to lose in a race of two:
// both want it, or the later one wins.
func (c *call) remember(reg *model.Registration, registered bool) error {
	reg.Registered, reg.Changed = registered, c.s.now().UTC()
	_, err := c.s.store.Put(c.r.Context(), reg, store.Any)
	return err
}

// feature is https://learn.microsoft.com/rest/api/resources/features/get.
type feature struct {
	ID         string       `json:"id"`
	Name       string       `json:"name"`
	Type       string       `json:"type"`
	Properties featureState `json:"properties"`
}

type featureState struct {
	State string `json:"state"`
}

func showFeature(reg *model.Registration) feature {
	f := feature{ID: reg.ID, Name: reg.Namespace + "/" + reg.Feature, Type: featureType}
	f.Properties.State = registrationState(reg)
	return f
}

// registration is the stored state of the feature that the id names.
func (c *call) registration(id resid.ID) (*model.Registration, error) {
	names := id.Names()
	ns, name := spellNamespace(names[0]), names[1]
	if strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		return nil, fail(invalidResourceName, "The feature name '%s' is invalid.", name)
	}
	reg := &model.Registration{ID: c.s.sub + "/providers/Microsoft.Features/providers/" + ns + "/features/" + name, Namespace: ns, Feature: name}
	if old, _, ok := store.Get[*model.Registration](c.view, reg.Key()); ok {
		copied := *old
		return &copied, nil
	}
	return reg, nil
}

func (c *call) getFeature() error {
	reg, err := c.registration(c.id)
	if err != nil {
		return err
	}
	return httpx.WriteJSON(c.w, http.StatusOK, showFeature(reg))
}

func (c *call) listFeatures() error {
	body := listBody{Value: []any{}}
	namespace := ""
	if names := c.id.Names(); len(names) == 1 {
		namespace = names[0]
	}
	for _, reg := range entriesOf[*model.Registration](c.view, c.s.sub+"/providers/microsoft.features/") {
		if namespace == "" || strings.EqualFold(namespace, reg.Namespace) {
			body.Value = append(body.Value, showFeature(reg))
		}
	}
	return httpx.WriteJSON(c.w, http.StatusOK, body)
}

func (c *call) registerFeature() error   { return c.changeFeature(true, "Registering") }
func (c *call) unregisterFeature() error { return c.changeFeature(false, "Unregistering") }

// changeFeature answers with the state on the way; by the next request it has arrived.
func (c *call) changeFeature(registered bool, state string) error {
	reg, err := c.registration(c.op.scope)
	if err != nil {
		return err
	}
	if reg.Registered == registered {
		return httpx.WriteJSON(c.w, http.StatusOK, showFeature(reg))
	}
	if err := c.remember(reg, registered); err != nil {
		return err
	}
	f := showFeature(reg)
	f.Properties.State = state
	return httpx.WriteJSON(c.w, http.StatusOK, f)
}
