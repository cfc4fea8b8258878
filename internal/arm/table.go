package arm

import (
	"fmt"
	"strings"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/resid"
	"github.com/lanyard-io/lanyard/internal/store"
)

// row is one resource type: all that the front needs to know about it. An
// ordinary type, whose objects the store keeps, fills in put and show and
// leaves the verbs to resource.go; the others bring verbs of their own.
type row struct {
	name string // in logs and metrics: "identity" makes identity.put, …
	typ  string // namespace and types, as Resource Manager spells them
	// versions are the api-versions that clients are told of, newest first; the
	// last one is the oldest that is accepted, any later one is too.
	versions []string
	in       place // where one may be
	listed   place // where they may be listed

	// filtered lists show the items that the caller may read, perhaps none; other
	// lists refuse a caller who may read none.
	filtered bool

	tracked bool // has a location and tags, and shows up in /resources
	// showETag repeats the ETag in the body.
	showETag bool
	// lowerGroup spells resourcegroups in ids as this provider does.
	lowerGroup bool
	// checkName is the rule for a new resource's name.
	checkName func(name string) error
	// missing is the error for a name that is not there; nil: ResourceNotFound.
	missing func(name string) error
	// put makes the object that a PUT or PATCH asks for; nil: they are not allowed.
	put func(c *call, in *input) (*change, error)
	// patch says whether PATCH is allowed: put then gets input.patch.
	patch bool
	// shape fills in the type's own part of an answer.
	shape func(c *call, o model.Object, out *resource)
	// remove lists the writes that delete an object, itself first; nil deletes it
	// and everything below its key.
	remove func(s *Server, v *store.View, e *store.Entry) []store.Op
	// created is the status of a PUT that made something; default 201.
	created int

	// verbs are done by the type itself: GET, PUT, PATCH, DELETE on a resource,
	// LIST and POST on its collection. An open verb checks its caller itself.
	verbs map[string]verb
	// actions are POSTs below a resource, by lower-case name.
	actions map[string]verb
	// onAll are POSTs below the collection as a whole.
	onAll map[string]verb
}

// verb is one operation of a type.
type verb struct {
	do   func(c *call) error
	open bool   // no check by the front: every signed-in caller may ask
	as   string // the action to check, when it is not the usual one
	// check replaces the front's check of the caller.
	check func(c *call) error
}

// place is the level of an id: tenant, subscription, group or scope.
type place uint8

const (
	inTenant place = 1 << iota
	inSubscription
	inGroup
	inResource // an extension resource

	anywhere = inTenant | inSubscription | inGroup | inResource
)

func placeOf(scope resid.ID) place {
	switch {
	case scope.IsRoot():
		return inTenant
	case scope.Equal(scope.GroupID()):
		return inGroup
	case scope.TypeKey() == "microsoft.resources/subscriptions":
		return inSubscription
	}
	return inResource
}

func (s *Server) fillTable() error {
	s.table = map[string]*row{}
	for _, rows := range [][]*row{resourceRows(), providerRows(), operationRows(), identityRows(), s.keyVaultRows(), authorizationRows(), s.containerServiceRows(), s.lanyardRows()} {
		for _, r := range rows {
			key := strings.ToLower(r.typ)
			if s.table[key] != nil || r.name == "" || len(r.versions) == 0 {
				return fmt.Errorf("arm: type %q is in the table twice, or has no name or version", r.typ)
			}
			s.table[key] = r
			s.rows = append(s.rows, r)
		}
	}
	return nil
}

// oldest is the oldest api-version that the type accepts.
func (r *row) oldest() string { return r.versions[len(r.versions)-1] }

// stored says whether the store keeps objects of this type under their ids.
func (r *row) stored() bool { return r.shape != nil }

// operation is the row and verb that a request asks for.
type operation struct {
	verb
	op     string   // for logs and metrics
	action string   // what the caller must be allowed
	scope  resid.ID // and where
}

// find matches a method and a path to the table.
func (s *Server) find(method string, id resid.ID) (*row, operation, error) {
	if method == "HEAD" {
		method = "GET"
	}
	if method == "POST" {
		return s.findPost(id)
	}
	r, err := s.rowOf(id.TypeKey(), id)
	if err != nil {
		return nil, operation{}, err
	}
	scope := id
	if id.IsCollection() {
		if method != "GET" {
			return nil, operation{}, wrongMethod(method)
		}
		method, scope = "LIST", id.Parent()
	}
	if r.in&inResource != 0 {
		scope = id.Scope() // an extension acts on what it extends
	}
	where := r.in
	if method == "LIST" {
		where = r.listed
	}
	v, ok := r.verb(method)
	if id.Namespace() != "Microsoft.Resources" && where&placeOf(id.Scope()) == 0 {
		return nil, operation{}, fail(invalidResourceType, "The resource type '%s' has no such path: '%s'.", r.typ, id)
	}
	if !ok {
		return nil, operation{}, wrongMethod(method)
	}
	names := map[string][2]string{
		"GET": {"get", "read"}, "LIST": {"list", "read"}, "PUT": {"put", "write"},
		"PATCH": {"patch", "write"}, "DELETE": {"delete", "delete"},
	}[method]
	return r, operation{verb: v, op: r.name + "." + names[0], action: v.action(r.typ + "/" + names[1]), scope: scope}, nil
}

// findPost matches an action: on a resource, or on a provider as a whole.
func (s *Server) findPost(id resid.ID) (*row, operation, error) {
	if !id.IsCollection() {
		return s.findOnAll(id)
	}
	on, name := id.Parent(), strings.ToLower(id.LastType())
	if strings.Count(id.TypeKey(), "/") == 1 && id.Namespace() != "Microsoft.Resources" {
		if r := s.table[id.TypeKey()]; r != nil {
			v, ok := r.verbs["POST"]
			if !ok || r.in&placeOf(id.Scope()) == 0 {
				return nil, operation{}, wrongMethod("POST")
			}
			return r, operation{verb: v, op: r.name + ".post", action: v.action(r.typ + "/action"), scope: on}, nil
		}
		return s.findProviderAction(id, name)
	}
	r, err := s.rowOf(on.TypeKey(), on)
	if err != nil {
		return nil, operation{}, err
	}
	v, ok := r.actions[name]
	if !ok {
		return nil, operation{}, fail(invalidResourceType, "The resource type '%s' has no action '%s'.", r.typ, id.LastType())
	}
	return r, operation{verb: v, op: r.name + "." + name, action: v.action(r.typ + "/" + name + "/action"), scope: on}, nil
}

// findOnAll matches an action on a collection as a whole.
func (s *Server) findOnAll(id resid.ID) (*row, operation, error) {
	r, err := s.rowOf(id.TypeKey(), id)
	if err != nil {
		return nil, operation{}, err
	}
	name := strings.ToLower(id.Name())
	v, ok := r.onAll[name]
	if !ok || r.listed&placeOf(id.Scope()) == 0 {
		return nil, operation{}, wrongMethod("POST")
	}
	return r, operation{verb: v, op: r.name + "." + name, action: v.action(r.typ + "/" + name + "/action"), scope: id.Scope()}, nil
}

func (r *row) verb(method string) (verb, bool) {
	if v, ok := r.verbs[method]; ok {
		return v, true
	}
	if !r.stored() {
		return verb{}, false
	}
	switch method {
	case "GET":
		return verb{do: (*call).get}, true
	case "LIST":
		return verb{do: (*call).list, open: true}, true // it checks each item, if need be
	case "PUT":
		return verb{do: (*call).write}, r.put != nil
	case "PATCH":
		return verb{do: (*call).write}, r.put != nil && r.patch
	case "DELETE":
		return verb{do: (*call).delete}, true
	}
	return verb{}, false
}

func (v verb) action(usual string) string {
	if v.as != "" {
		return v.as
	}
	return usual
}

func (s *Server) rowOf(typ string, id resid.ID) (*row, error) {
	if r := s.table[typ]; r != nil {
		return r, nil
	}
	namespace := strings.ToLower(id.Namespace()) + "/"
	for _, r := range s.rows {
		if strings.HasPrefix(strings.ToLower(r.typ), namespace) {
			return nil, fail(invalidResourceType, "The resource type '%s' could not be found in the namespace '%s'.",
				strings.TrimPrefix(id.Type(), id.Namespace()+"/"), id.Namespace())
		}
	}
	return nil, fail(invalidNamespace, "The resource namespace '%s' is invalid: this server does not have it.", id.Namespace())
}

func wrongMethod(method string) error {
	return fail(methodNotAllowed, "The requested resource does not support http method '%s'.", method)
}
