package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// identity is who the client id belongs to.
type identity struct {
	id          string // resource id of a managed identity; empty for an application
	name        string
	principalID string
}

const needsServer = "needs a Lanyard server, or --azure-env and credentials"

func (w *walk) findIdentity(ctx context.Context) {
	if w.Server == nil {
		w.skip(linkIdentity, needsServer)
		return
	}
	found, err := w.Server.Identities("").List(ctx)
	all := manage.Parts(found)
	if err != nil {
		w.unasked(linkIdentity, err)
		return
	}
	for _, i := range all {
		if strings.EqualFold(i.Properties.ClientID, w.clientID) {
			w.identity = identity{i.ID, i.Name, i.Properties.PrincipalID}
			w.ok(linkIdentity, "managed identity %s", i.Name)
			return
		}
	}
	for _, i := range all {
		if strings.EqualFold(i.Properties.PrincipalID, w.clientID) {
			w.problem(linkIdentity, w.annotate(i.Properties.ClientID),
				"%s is the principal id of identity %s: its client id is needed", w.clientID, i.Name)
			return
		}
	}
	principal, err := w.Server.Principal(ctx, w.clientID)
	switch {
	case fault.IsAbsent(err) && w.Server.Azure:
		w.problem(linkIdentity, "az identity list --query '[].{name:name,clientId:clientId}'; is it in another subscription?",
			"no identity of subscription %s and no application has the client id %s", w.Server.Subscription, w.clientID)
	case fault.IsAbsent(err):
		w.problem(linkIdentity, "lanyard identity list, and annotate the service account with the right client id",
			"no identity and no application has the client id %s", w.clientID)
	case err != nil:
		w.unasked(linkIdentity, err)
	default:
		if _, err := w.Server.Applications().Get(ctx, w.clientID); err != nil {
			w.unasked(linkIdentity, err)
			return
		}
		w.identity = identity{"", principal.Name, principal.ID}
		w.ok(linkIdentity, "application %s", principal.Name)
	}
}

func (w *walk) annotate(clientID string) string {
	return fmt.Sprintf("kubectl annotate serviceaccount %s -n %s --overwrite %s=%s, and re-create the pod",
		w.pod.Spec.Account, w.report.Namespace, wi.ClientIDAnnotation, clientID)
}

func (w *walk) federatedCredentials(ctx context.Context) ([]manage.Credential, error) {
	of := w.Server.AppCredentials(w.clientID)
	if w.identity.id != "" {
		of = w.Server.Credentials(groupOf(w.identity.id), w.identity.name)
	}
	all, err := of.List(ctx)
	return manage.Parts(all), err
}

// groupOf is the resource group in a resource's id, or a word to put one in place of.
func groupOf(id string) string { return cmp.Or(manage.GroupOf(id), "GROUP") }

// checkFederated compares the token with each credential, and tells the nearest miss.
func (w *walk) checkFederated(ctx context.Context) {
	if w.pod.bound() {
		w.skip(linkFederated, boundWords)
		return
	}
	if w.identity.principalID == "" || w.bearer == "" {
		w.skip(linkFederated, "there is no identity or no token to compare")
		return
	}
	all, err := w.federatedCredentials(ctx)
	if err != nil {
		w.unasked(linkFederated, err)
		return
	}
	create := fmt.Sprintf("az identity federated-credential create --name %s-%s --identity-name %s --resource-group %s --issuer %s --subject %s --audiences %s",
		w.report.Namespace, w.pod.Spec.Account, w.identity.name, groupOf(w.identity.id), w.claims.Issuer, w.claims.Subject, w.pod.audience())
	if w.identity.id == "" {
		create = "az ad app federated-credential create --id " + w.clientID + " with this issuer, subject and audience"
	}
	best, differs := manage.Credential{}, []string(nil)
	for _, c := range all {
		d := w.differences(c.Properties)
		if len(d) == 0 {
			if c.Properties.Expression != nil {
				w.ok(linkFederated, "%s takes tokens of this issuer by an expression, which the exchange will try", c.Name)
			} else {
				w.ok(linkFederated, "%s", c.Name)
			}
			return
		}
		if differs == nil || len(d) < len(differs) {
			best, differs = c, d
		}
	}
	if differs == nil {
		w.problem(linkFederated, create, "%s has no federated credential", w.identity.name)
		return
	}
	w.problem(linkFederated, create, "%s has no federated credential for this token; nearest is %s: %s", w.identity.name, best.Name, strings.Join(differs, "; "))
}

// differences say in words how a credential misses the token.
func (w *walk) differences(c manage.CredentialProperties) (all []string) {
	if d := difference("issuer", c.Issuer, w.claims.Issuer); d != "" {
		all = append(all, d)
	}
	if c.Expression == nil {
		if d := difference("subject", c.Subject, w.claims.Subject); d != "" {
			all = append(all, d)
		}
	}
	if !slices.ContainsFunc(c.Audiences, func(a string) bool { return slices.Contains(w.claims.Audiences, a) }) {
		all = append(all, difference("audience", strings.Join(c.Audiences, " "), strings.Join(w.claims.Audiences, " ")))
	}
	return all
}

func difference(what, registered, presented string) string {
	switch {
	case registered == presented:
		return ""
	case strings.TrimSuffix(registered, "/") == strings.TrimSuffix(presented, "/"):
		return fmt.Sprintf("%s %s differs from the token's %s in the slash at its end", what, registered, presented)
	case strings.TrimSpace(registered) == presented:
		return fmt.Sprintf("%s %q has blanks around it", what, registered)
	case strings.EqualFold(registered, presented):
		return fmt.Sprintf("%s %s differs from the token's %s in upper and lower case", what, registered, presented)
	}
	r, p := strings.Split(registered, ":"), strings.Split(presented, ":")
	if what == "subject" && len(r) == 4 && len(p) == 4 && r[0] == p[0] && r[1] == p[1] {
		switch {
		case r[3] == p[3]:
			return fmt.Sprintf("subject names the namespace %s, and the pod is in %s", r[2], p[2])
		case r[2] == p[2]:
			return fmt.Sprintf("subject names the service account %s, and the pod runs as %s", r[3], p[3])
		}
	}
	return fmt.Sprintf("%s is %s, and the token's is %s", what, registered, presented)
}
