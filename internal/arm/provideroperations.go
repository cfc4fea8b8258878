package arm

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/httpx"
)

// operationRows is what each provider can do, as its clients may ask.
func operationRows() []*row {
	return []*row{
		{
			name: "provideroperation", typ: "Microsoft.ManagedIdentity/operations", versions: identityVersions, listed: inTenant,
			verbs: map[string]verb{"LIST": {do: (*call).listProviderOperations, open: true}},
		},
		{
			name: "provideroperation", typ: "Microsoft.KeyVault/operations", versions: vaultVersions, listed: inTenant,
			verbs: map[string]verb{"LIST": {do: (*call).listProviderOperations, open: true}},
		},
	}
}

// providerOperation is https://learn.microsoft.com/rest/api/managedidentity/operations/list.
type providerOperation struct {
	Name    string                   `json:"name"`
	Display providerOperationDisplay `json:"display"`
}

type providerOperationDisplay struct {
	Provider    string `json:"provider"`
	Resource    string `json:"resource"`
	Operation   string `json:"operation"`
	Description string `json:"description"`
}

// listProviderOperations lists the actions that roles can allow, of one provider.
func (c *call) listProviderOperations() error {
	ns := spellNamespace(c.id.Namespace())
	body := listBody{Value: []any{}}
	for _, r := range c.s.rows {
		typ, ok := strings.CutPrefix(r.typ, ns+"/")
		if !ok {
			continue
		}
		for _, action := range r.allActions() {
			body.Value = append(body.Value, providerOperation{Name: r.typ + "/" + action, Display: providerOperationDisplay{
				Provider: ns, Resource: typ, Operation: action, Description: "Allows " + action + " of " + typ + ".",
			}})
		}
	}
	return httpx.WriteJSON(c.w, http.StatusOK, body)
}

// allActions is what there is to allow on a type: read, write, delete, and NAME/action.
func (r *row) allActions() []string {
	var out []string
	has := func(methods ...string) bool {
		return slices.ContainsFunc(methods, func(m string) bool { _, ok := r.verb(m); return ok })
	}
	if has("GET", "LIST") {
		out = append(out, "read")
	}
	if has("PUT", "PATCH") {
		out = append(out, "write")
	}
	if has("DELETE") {
		out = append(out, "delete")
	}
	for _, name := range slices.Sorted(maps.Keys(r.actions)) {
		out = append(out, name+"/action")
	}
	return out
}
