package vault

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/items"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/store"
)

// target is what a request is about, as far as its URL says.
type target struct {
	set     *names.Set
	vault   string // lower case
	name    string // of the secret; empty when the path has none
	version string // lower case; empty: the current one
	query   url.Values
}

// parse reads the URL: the api-version first, then the names in the path.
func parse(r *http.Request) (target, error) {
	t := target{
		name:    r.PathValue("name"),
		version: strings.ToLower(r.PathValue("version")),
		// Some clients percent-encode the keys, so only the parsed query counts.
		query: r.URL.Query(),
	}
	t.set, t.vault = httpx.Target(r)
	for _, name := range [...]string{"api-version", "maxresults", "$skiptoken"} {
		if len(t.query[name]) > 1 {
			return t, fail(badParameter, "The parameter %s is given more than once.", name)
		}
	}
	switch api := t.query.Get("api-version"); {
	case api == "":
		return t, fail(badParameter, "api-version must be specified")
	case !knownVersion(api):
		return t, fail(badParameter, "The specified version (%.40q) is not recognized. Use 7.6, or a version such as 2025-07-01.", api)
	}
	if t.name != "" && !model.ValidSecretName(t.name) {
		return t, fail(badParameter, "The request URI contains an invalid name: %s", apierr.Shown(t.name, maxShown))
	}
	if t.version != "" && !validID(t.version) {
		return t, fail(badParameter, "The request URI contains an invalid version: %s", apierr.Shown(t.version, maxShown))
	}
	return t, nil
}

// maxShown is how many bytes of a name that is none an answer repeats.
const maxShown = 200

// knownVersion accepts every api-version that Key Vault has had for secrets, and
// those that are to come: the operations keep their meaning.
func knownVersion(v string) bool {
	base, preview, ok := strings.Cut(v, "-preview")
	if ok && preview != "" && (len(preview) > 4 || preview[0] != '.' || !digits(preview[1:])) {
		return false
	}
	if minor, ok := strings.CutPrefix(base, "7."); ok {
		return len(minor) == 1 && minor >= "0" && minor <= "6"
	}
	_, err := time.Parse(time.DateOnly, base)
	return err == nil && base >= "2016-10-01"
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// validID says whether s is a version's id: 32 lower-case hex digits.
func validID(s string) bool {
	return len(s) == 32 && strings.Trim(s, "0123456789abcdef") == ""
}

// path is how the gate and its records name what the request is about.
func (t *target) path() string {
	switch {
	case t.name == "":
		return "secrets"
	case t.version == "":
		return "secrets/" + t.name
	}
	return "secrets/" + t.name + "/" + t.version
}

// id is how messages name it.
func (t *target) id() string {
	if t.version == "" {
		return t.name
	}
	return t.name + "/" + t.version
}

// enter gives a view that shows every finished write, and the vault, once the
// gate has let the caller through. A caller who may not learns nothing about
// what exists.
func (s *Server) enter(r *http.Request, t *target, action string) (*store.View, *model.Vault, error) {
	return s.enterAs(r, t, func(*model.Vault) string { return action })
}

func (s *Server) enterAs(r *http.Request, t *target, action func(*model.Vault) string) (*store.View, *model.Vault, error) {
	view, err := s.store.Fresh(r.Context())
	if err != nil {
		return nil, nil, err
	}
	e := view.First(model.VaultIndex(t.vault))
	if e == nil {
		return nil, nil, noVault(t.vault)
	}
	v, ok := e.Value.(*model.Vault)
	if !ok || v.Deleted != nil {
		return nil, nil, noVault(t.vault)
	}
	if err := s.gate.CheckVault(r.Context(), view, httpx.Caller(r), action(v), v, t.path()); err != nil {
		return nil, nil, denied(r.Context(), err, v, t.path())
	}
	return view, v, nil
}

func noVault(name string) error {
	return fail(vaultNotFound, "There is no key vault named %q here, or it was deleted.", name)
}

// head finds a secret; nil and 0 when there is none.
func head(view *store.View, t *target) (*model.Secret, int64) {
	return items.Head(view, t.vault, t.name)
}

// find gives a live secret and the asked version of it.
func find(view *store.View, t *target) (*model.Secret, *store.Entry, error) {
	h, _ := head(view, t)
	if h == nil || h.Deleted != nil {
		return nil, nil, secretMissing(t.id())
	}
	version := t.version
	if version == "" {
		version = h.Current
	}
	e := view.Get(model.SecretVersionKey(t.vault, t.name, version))
	if e == nil {
		return nil, nil, secretMissing(t.id())
	}
	return h, e, nil
}
