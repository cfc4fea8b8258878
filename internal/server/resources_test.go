package server_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

// token is the admin's for a resource: by scope, or in v1 by its own parameter.
func (r *running) token(login, resource string, v1 bool) string {
	r.t.Helper()
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {r.admin.ClientID}, "client_secret": {r.admin.ClientSecret},
	}
	endpoint := login + "/" + r.admin.TenantID + "/oauth2/v2.0/token"
	if v1 {
		endpoint = login + "/" + r.admin.TenantID + "/oauth2/token"
		form.Set("resource", resource)
	} else {
		form.Set("scope", resource+"/.default")
	}
	res, err := r.http().PostForm(endpoint, form)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
		Description string `json:"error_description"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		r.t.Fatal(err)
	}
	if answer.AccessToken == "" {
		r.t.Errorf("%s, v1 %v: %s", resource, v1, answer.Description)
	}
	return answer.AccessToken
}

// A token for one of Azure's own resources opens the surface that stands for it
// here, with and without names mode, and no other.
func TestAzureResourcesAreOurs(t *testing.T) {
	t.Parallel()
	for name, azure := range map[string]bool{"own": false, "azure": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := local(t.TempDir())
			c.AzureNames = azure
			r := start(t, c)
			set(t, r.vault("kv-dev"), "name", "value")
			own := r.Names().Own()
			places := map[string]string{
				"vault": own.VaultURL("kv-dev") + "/secrets/name?api-version=7.4",
				"arm":   own.ManagementURL() + "/subscriptions?api-version=2022-12-01",
				"graph": own.GraphURL() + "/v1.0/applications",
			}
			for resource, surface := range map[string]string{
				"https://vault.azure.net": "vault", "https://vault.azure.net/": "vault",
				"cfa8b339-82a2-471a-a3c9-0fc0be7a4093": "vault",
				"https://management.azure.com/":        "arm", "https://management.azure.com": "arm",
				"https://management.core.windows.net/": "arm", "797f4846-ba00-4fd7-ba43-dac1f8f63013": "arm",
				"https://graph.microsoft.com": "graph", "https://graph.microsoft.com/": "graph",
				"00000003-0000-0000-c000-000000000000": "graph",
			} {
				for _, v1 := range []bool{false, true} {
					token := r.token(own.LoginURL(), resource, v1)
					for place, u := range places {
						want := 401
						if place == surface {
							want = 200
						}
						if status, _, body := r.fetch(u, token); status != want {
							t.Errorf("a token for %s at %s: status %d, want %d: %s", resource, place, status, want, body)
						}
					}
				}
			}
		})
	}
}

// Every resource that the metadata endpoint announces, in any of its shapes, is
// one that tokens are issued for.
func TestAnnouncedResourcesAreGranted(t *testing.T) {
	t.Parallel()
	c := local(t.TempDir())
	c.AzureNames = true
	r := start(t, c)
	// What is fetched or signed in at, and is no resource.
	places := []string{"portal", "portalEndpoint", "vmImageAliasDoc", "loginEndpoint"}
	for _, version := range []string{"2015-01-01", "2018-05-01", "2019-05-01", "2022-09-01"} {
		for _, management := range []string{r.Names().Own().ManagementURL(), r.Names().Azure().ManagementURL()} {
			status, _, body := r.fetch(management+"/metadata/endpoints?api-version="+version, "")
			var document any
			if err := json.Unmarshal([]byte(body), &document); status != 200 || err != nil {
				t.Fatalf("status %d, %v", status, err)
			}
			seen := 0
			walk(document, "", func(member, value string) {
				for _, p := range places {
					if member == p {
						return
					}
				}
				if strings.HasPrefix(value, "https://") {
					seen++
					r.token(r.Names().Own().LoginURL(), value, false)
				}
			})
			if seen < 3 {
				t.Errorf("%s %s: %d resources", management, version, seen)
			}
		}
	}
}

// walk calls f for every text of a document, with the member that it is in.
func walk(v any, member string, f func(member, value string)) {
	switch v := v.(type) {
	case string:
		f(member, v)
	case []any:
		for _, e := range v {
			walk(e, member, f)
		}
	case map[string]any:
		for name, e := range v {
			walk(e, name, f)
		}
	}
}
