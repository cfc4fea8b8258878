package access

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
)

// describe is the short list of an object's fields that records of changes have:
// those that decide who may do what. A type that is not in it has no fields there, so
// a new type shows nothing until somebody has thought about it. Values, hashes and
// sealed parts are never in the list.
func describe(o model.Object) map[string]string {
	switch o := o.(type) {
	case *model.RoleAssignment:
		return map[string]string{"role": o.RoleID, "principal": o.PrincipalID, "scope": o.Scope}
	case *model.FederatedCredential:
		return describeCredential(o)
	case *model.Identity:
		return map[string]string{"clientId": o.ClientID, "principal": o.PrincipalID}
	case *model.Application:
		return describeApplication(o)
	case *model.User:
		return map[string]string{
			"objectId": o.ObjectID, "name": o.UPN, "enabled": boolText(!o.Disabled), "mustChange": boolText(o.MustChange), "passwordChanged": timeText(o.Changed),
		}
	case *model.Vault:
		return describeVault(o)
	case *model.Item:
		return map[string]string{"current": o.Current, "deleted": boolText(o.Deleted != nil)}
	case *model.ItemVersion:
		return map[string]string{
			"version": o.Version, "enabled": boolText(!o.Disabled), "expires": unixText(o.Expires), "notBefore": unixText(o.NotBefore),
		}
	case *model.Cluster:
		return map[string]string{
			"server": o.Server, "issuer": o.Issuer, "keysRead": boolText(o.Published), "takesOver": boolText(o.TakesOver),
			"workloadIdentity": boolText(o.WorkloadIdentity), "webhook": jsonText(o.Webhook),
		}
	case *model.IdentityBinding:
		return map[string]string{"cluster": o.ClusterKey, "identity": o.IdentityID, "principal": o.PrincipalID}
	case *model.Issuer:
		return describeIssuer(o)
	case *model.SigningKeys:
		return describeKeys(o)
	}
	return nil
}

func describeCredential(o *model.FederatedCredential) map[string]string {
	f := map[string]string{"issuer": o.Issuer, "subject": o.Subject, "audience": strings.Join(o.Audiences, " ")}
	if o.Matching != nil {
		f["matching"] = o.Matching.Value
	}
	return f
}

func describeApplication(o *model.Application) map[string]string {
	var secrets, certificates []string
	for _, s := range o.Secrets {
		secrets = append(secrets, s.KeyID+" until "+timeText(s.Expires))
	}
	for _, c := range o.Certificates {
		sum := sha256.Sum256(c.DER)
		certificates = append(certificates, c.KeyID+" sha256 "+hex.EncodeToString(sum[:8]))
	}
	return map[string]string{
		"appId": o.AppID, "principal": o.PrincipalID, "enabled": boolText(!o.Disabled), "public": boolText(o.Public),
		"secrets": strings.Join(secrets, ", "), "certificates": strings.Join(certificates, ", "),
		"redirects": strings.Join(slices.Concat(o.PublicRedirects, o.WebRedirects), " "),
	}
}

// describeVault has a field for each access policy: of a vault that was changed,
// only those that differ are recorded.
func describeVault(o *model.Vault) map[string]string {
	permissions := "policies"
	if o.Roles {
		permissions = "roles"
	}
	f := map[string]string{
		"permissions": permissions, "purgeProtection": boolText(o.PurgeProtected), "retentionDays": strconv.Itoa(o.RetentionDays),
		"closed": boolText(o.Closed), "deleted": boolText(o.Deleted != nil), "firewall": "off",
	}
	if n := o.Network; n != nil && n.Deny {
		f["firewall"] = strings.TrimSpace("only " + strings.Join(n.Addresses, " "))
	}
	for _, p := range o.Policies {
		who := "policy " + p.ObjectID
		if p.ApplicationID != "" {
			who += " through " + p.ApplicationID
		}
		what := strings.Join(p.Secrets, " ")
		for kind, list := range map[string][]string{"keys": p.Keys, "certificates": p.Certificates, "storage": p.Storage} {
			if len(list) > 0 {
				what += "; " + kind + ": " + strings.Join(list, " ")
			}
		}
		f[who] = strings.TrimSpace(f[who] + " " + what)
	}
	return f
}

func describeIssuer(o *model.Issuer) map[string]string {
	var set struct {
		Keys []struct {
			ID string `json:"kid"`
		} `json:"keys"`
	}
	var ids []string
	if json.Unmarshal(o.Keys, &set) == nil {
		for _, k := range set.Keys {
			ids = append(ids, k.ID)
		}
	}
	source := "discovery"
	if len(o.Keys) > 0 {
		source = "given"
	}
	f := map[string]string{"url": o.URL, "keys": source, "keyIds": strings.Join(ids, " ")}
	if len(o.Roots) > 0 {
		sum := sha256.Sum256(o.Roots)
		f["roots"] = "sha256 " + hex.EncodeToString(sum[:8])
	}
	return f
}

func describeKeys(o *model.SigningKeys) map[string]string {
	f := map[string]string{}
	for _, k := range o.Keys {
		state := "active " + timeText(k.Active)
		switch {
		case !k.Retired.IsZero():
			state = "retired " + timeText(k.Retired)
		case k.Active.IsZero():
			state = "prepared"
		}
		f[k.ID] = k.Algorithm + " " + state
	}
	return f
}

func boolText(b bool) string { return strconv.FormatBool(b) }

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func unixText(s *int64) string {
	if s == nil {
		return ""
	}
	return timeText(time.Unix(*s, 0))
}

// jsonText is for a small struct of settings without anything secret.
func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}
