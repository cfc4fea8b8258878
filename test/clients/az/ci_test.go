package az_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/test/clients/ci"
)

const (
	exchange   = "api://AzureADTokenExchange"
	repository = "octo-org/octo-repo"
	production = "repo:" + repository + ":environment:prod"
)

// TestWorkflowLogin signs az in as a workflow's login step does, with a token of
// GitHub's shape: as an application and as a managed identity.
func TestWorkflowLogin(t *testing.T) {
	for name, az := range clis(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, az)
			l.setUp()
			l.ok("group", "create", "--name", group, "--location", location)
			service := l.trustWorkflows()
			token := func(repository, context string) string {
				return service.Token(ci.GitHub(repository, context), exchange)
			}

			app := l.workflowApp(service.URL)
			for _, clientID := range []string{app, l.workflowIdentity(service.URL)} {
				workflow := l.as("workflow-"+clientID, func(u *lab) { u.login(clientID, token(repository, "environment:prod")) })
				workflow.is(workflow.json("account", "show"), "id", l.admin().SubscriptionID)
				workflow.is(workflow.json("group", "show", "--name", group), "name", group)
				workflow.fails("AuthorizationFailed", "group", "create", "--name", "another", "--location", location)
			}

			old := ci.GitHub(repository, "environment:prod")
			old["exp"] = time.Now().Add(-11 * time.Minute).Unix()
			for code, token := range map[string]string{
				"AADSTS700213": token(repository, "pull_request"),
				"AADSTS700212": service.Token(ci.GitHub(repository, "environment:prod"), "https://github.com/octo-org"),
				"AADSTS700024": service.Token(old, exchange),
			} {
				l.fails(code+":", "login", "--service-principal", "-u", app, "--tenant", l.admin().TenantID, "--federated-token", token)
			}
			if name == "az-2.91" {
				l.flexibleIdentity(service)
			}
		})
	}
}

// login is what azure/login runs.
func (l *lab) login(clientID, token string) {
	l.t.Helper()
	l.ok("login", "--service-principal", "-u", clientID, "--tenant", l.admin().TenantID, "--federated-token", token, "--output", "none")
	l.ok("account", "set", "--subscription", l.admin().SubscriptionID)
}

// trustWorkflows starts a service whose CA the server trusts.
func (l *lab) trustWorkflows() *ci.Service {
	l.t.Helper()
	service := ci.New(l.t)
	ca := filepath.Join(l.home, "ci-ca.pem")
	if err := os.WriteFile(ca, service.CA, 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.run(nil, l.lanyard, "issuer", "set", service.URL, "--ca", ca, "--data-dir", l.data)
	return service
}

func (l *lab) workflowApp(issuer string) (appID string) {
	l.t.Helper()
	appID = l.text(l.json("ad", "app", "create", "--display-name", "deployer"), "appId")
	principal := l.text(l.json("ad", "sp", "create", "--id", appID), "id")
	parameters, err := json.Marshal(map[string]any{
		"name": "production", "issuer": issuer, "subject": production, "description": "deployments", "audiences": []string{exchange},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.is(l.json("ad", "app", "federated-credential", "create", "--id", appID, "--parameters", string(parameters)), "subject", production)
	l.reader(principal)
	return appID
}

func (l *lab) workflowIdentity(issuer string) (clientID string) {
	l.t.Helper()
	made := l.json("identity", "create", "--name", identity, "--resource-group", group)
	l.ok("identity", "federated-credential", "create", "--name", "production", "--identity-name", identity, "-g", group,
		"--issuer", issuer, "--subject", production, "--audiences", exchange)
	l.reader(l.text(made, "principalId"))
	return l.text(made, "clientId")
}

func (l *lab) reader(principal string) {
	l.t.Helper()
	l.ok("role", "assignment", "create", "--role", "Reader", "--assignee-object-id", principal,
		"--assignee-principal-type", "ServicePrincipal", "--scope", "/subscriptions/"+l.admin().SubscriptionID)
}

// flexibleIdentity trusts every repository of an organisation; an older az has no
// words for that.
func (l *lab) flexibleIdentity(service *ci.Service) {
	l.t.Helper()
	made := l.json("identity", "create", "--name", "any-repository", "--resource-group", group)
	l.ok("identity", "federated-credential", "create", "--name", "organisation", "--identity-name", "any-repository", "-g", group,
		"--issuer", service.URL, "--cme-value", "claims['sub'] matches 'repo:octo-org/*'", "--cme-version", "1", "--audiences", exchange)
	l.reader(l.text(made, "principalId"))
	clientID := l.text(made, "clientId")
	l.as("flexible", func(u *lab) {
		u.login(clientID, service.Token(ci.GitHub("octo-org/another", "pull_request"), exchange))
	})
	l.fails("AADSTS700213:", "login", "--service-principal", "-u", clientID, "--tenant", l.admin().TenantID,
		"--federated-token", service.Token(ci.GitHub("octo-org-too/octo-repo", "environment:prod"), exchange))
}
