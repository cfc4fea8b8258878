package clients_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-io/lanyard/internal/pki"
	"github.com/lanyard-io/lanyard/test/clients/ci"
)

// These jobs run unless a row says otherwise.
const (
	repository = "octo-org/octo-repo"
	production = "repo:" + repository + ":environment:prod"
)

// jobTrial is a job that reads the secret, and what is trusted.
type jobTrial struct {
	trust    []string       // flags of `lanyard credential create`
	app      bool           // trusted to be an application; else a managed identity
	claims   map[string]any // of the job's token; default: those of production
	audience string         // that the job asks for; default: the right one
	refusal  string         // the code; "" for success
	differed []string       // what `lanyard explain` says of a refusal
}

func jobTrials() map[string]jobTrial {
	exact := []string{"--subject", production}
	match := func(expression string) []string { return []string{"--match", expression} }
	organisation := match("claims['sub'] matches 'repo:octo-org/*'")
	reusable := match("claims['sub'] matches 'repo:octo-org/*' and " +
		"claims['job_workflow_ref'] matches 'octo-org/octo-automation/.github/workflows/*@refs/heads/main'")
	otherWorkflow := ci.GitHub(repository, "environment:prod")
	otherWorkflow["job_workflow_ref"] = "octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/feature"
	expired := ci.GitHub(repository, "environment:prod")
	for claim, age := range map[string]time.Duration{"nbf": 26 * time.Minute, "iat": 16 * time.Minute, "exp": 11 * time.Minute} {
		expired[claim] = time.Now().Add(-age).Unix()
	}
	subject := []string{"subject"}
	return map[string]jobTrial{
		"exact":                 {trust: exact},
		"exact-app":             {trust: exact, app: true},
		"branch":                {trust: []string{"--subject", "repo:" + repository + ":ref:refs/heads/main"}, claims: ci.GitHub(repository, "ref:refs/heads/main")},
		"organisation":          {trust: organisation, claims: ci.GitHub("octo-org/another", "ref:refs/heads/feature")},
		"organisation-app":      {trust: organisation, app: true},
		"branches":              {trust: match("claims['sub'] matches 'repo:octo-org/octo-repo:ref:refs/heads/release-?'"), claims: ci.GitHub(repository, "ref:refs/heads/release-7")},
		"reusable-workflow":     {trust: reusable},
		"enterprise":            {trust: match("claims['enterprise'] eq 'octo-enterprise' and claims['environment'] eq 'prod'")},
		"gitlab":                {trust: []string{"--subject", "project_path:group/proj:ref_type:branch:ref:main"}, claims: ci.GitLab("group/proj", "main")},
		"gitlab-group":          {trust: match("claims['sub'] matches 'project_path:group/*:ref_type:branch:ref:main'"), claims: ci.GitLab("group/other", "main")},
		"refuse-repository":     {trust: exact, claims: ci.GitHub("octo-org/another", "environment:prod"), refusal: "AADSTS700213", differed: subject},
		"refuse-pull-request":   {trust: exact, app: true, claims: ci.GitHub(repository, "pull_request"), refusal: "AADSTS700213", differed: subject},
		"refuse-letter-case":    {trust: exact, claims: ci.GitHub("Octo-Org/octo-repo", "environment:prod"), refusal: "AADSTS7002138", differed: subject},
		"refuse-lookalike":      {trust: organisation, claims: ci.GitHub("octo-org-too/octo-repo", "environment:prod"), refusal: "AADSTS700213", differed: subject},
		"refuse-other-workflow": {trust: reusable, claims: otherWorkflow, refusal: "AADSTS700213", differed: subject},
		"refuse-gitlab-branch":  {trust: []string{"--subject", "project_path:group/proj:ref_type:branch:ref:main"}, claims: ci.GitLab("group/proj", "feature"), refusal: "AADSTS700213", differed: subject},
		"refuse-audience":       {trust: exact, audience: "https://github.com/octo-org", refusal: "AADSTS700212", differed: []string{"audience"}},
		"refuse-expired":        {trust: exact, claims: expired, refusal: "AADSTS700024", differed: []string{"time"}},
	}
}

// TestWorkflows runs jobs of GitHub Actions: GitHub's own package asks for the
// job's token, and the SDK exchanges it.
func TestWorkflows(t *testing.T) {
	t.Parallel()
	p := newPipelines(t)
	c := javascriptClient(t, "client.mjs")
	for name, tr := range jobTrials() {
		who := p.trust(t, name, tr)
		if tr.claims == nil {
			tr.claims = ci.GitHub(repository, "environment:prod")
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p.run(t, c, "actions", who, tr, p.service.Job(tr.claims))
		})
	}
}

// TestPipelines runs jobs of Azure Pipelines with every SDK's own credential for
// them.
func TestPipelines(t *testing.T) {
	t.Parallel()
	p := newPipelines(t)
	own, subject := p.service.Pipeline("octo-org/octo-project/production")
	foreign, _ := p.service.Pipeline("octo-org/octo-project/staging")
	who := p.trust(t, "deployer", jobTrial{trust: []string{"--subject", subject}})
	for _, c := range clients(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p.run(t, c, "pipelines", who, jobTrial{}, own)
			p.run(t, c, "pipelines", who, jobTrial{refusal: "AADSTS700213", differed: []string{"subject"}}, foreign)
		})
	}
}

// TestWithdrawnKey takes a key back that tokens were accepted of before.
func TestWithdrawnKey(t *testing.T) {
	t.Parallel()
	p := newPipelines(t, "--issuer-min-refetch", "1ms")
	c := javascriptClient(t, "client.mjs")
	who := p.trust(t, "deployer", jobTrial{trust: []string{"--subject", production}})
	p.run(t, c, "actions", who, jobTrial{}, p.service.Job(ci.GitHub(repository, "environment:prod")))

	old := p.service.KeyID()
	p.service.Rotate()
	sign := p.service.Withdraw(old)
	p.run(t, c, "actions", who, jobTrial{}, p.service.Job(ci.GitHub(repository, "environment:prod")))
	withdrawn := p.service.JobWith(func(audience string) string {
		claims := ci.GitHub(repository, "environment:prod")
		claims["aud"] = audience
		return sign(claims)
	})
	p.run(t, c, "actions", who, jobTrial{refusal: "AADSTS7000272", differed: []string{"key"}}, withdrawn)
}

// pipelines is a tenant that trusts a service for CI, and a shell that does.
type pipelines struct {
	server  *server
	tenant  *tenant
	service *ci.Service
	shell   []string
}

func newPipelines(t *testing.T, flags ...string) *pipelines {
	t.Helper()
	p := &pipelines{server: newServer(t, flags...), service: ci.New(t)}
	p.server.start(t)
	p.tenant = newTenant(t, p.server, startCluster(t))
	dir := t.TempDir()
	ca, bundle, truststore := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "bundle.pem"), filepath.Join(dir, "truststore.p12")
	writeFile(t, ca, p.service.CA)
	p.server.lanyard(t, nil, "issuer", "set", p.service.URL, "--ca", ca)

	both, err := os.ReadFile(filepath.Join(p.server.dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	both = append(both, p.service.CA...)
	java, err := pki.Truststore(both)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, bundle, both)
	writeFile(t, truststore, java)
	for _, v := range p.server.clientEnvironment(t) {
		switch name, value, _ := strings.Cut(v, "="); name {
		case "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS":
			v = name + "=" + bundle
		case "JDK_JAVA_OPTIONS":
			v = name + "=" + value + " -Djavax.net.ssl.trustStore=" + truststore // the last one counts
		}
		p.shell = append(p.shell, v)
	}
	return p
}

// run runs the job once, and has a refusal explained.
func (p *pipelines) run(t *testing.T, c client, credential string, who identity, tr jobTrial, job []string) {
	t.Helper()
	if c.missing != "" {
		cannotRun(t, c.missing)
	}
	if tr.audience == "" {
		tr.audience = audience
	}
	env := slices.DeleteFunc(p.tenant.environment(t, p.shell, c, trial{credential: credential, who: who}), func(v string) bool {
		return strings.HasPrefix(v, "AZURE_FEDERATED_TOKEN_FILE=")
	})
	out, err := c.run(t, append(append(env, job...), "ACTIONS_AUDIENCE="+tr.audience), credential, "read")
	out = addMask.ReplaceAllString(out, "")
	switch {
	case tr.refusal == "":
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	case err == nil || !strings.Contains(out, tr.refusal+":"):
		t.Fatalf("%v, want %s:\n%s", err, tr.refusal, out)
	}
	p.explain(t, out, tr)
}

// addMask is GitHub's way to keep a token out of a job's log: by writing it there.
var addMask = regexp.MustCompile(`(?m)^::add-mask::.*$`)

// trust makes a client of the row's own that may read the secret, and whose
// credential the row says.
func (p *pipelines) trust(t *testing.T, name string, tr jobTrial) (who identity) {
	t.Helper()
	owner := []string{"--identity", name}
	if tr.app {
		app := p.server.newApplication(t, name, "--no-secret")
		who.Properties.ClientID = app.AppID
		owner = []string{"--app", app.AppID}
	} else {
		p.server.lanyard(t, &who, "identity", "create", name)
		p.server.lanyard(t, nil, "policy", "set", vaultName, "--identity", name, "--secrets", "get")
	}
	p.server.lanyard(t, nil, slices.Concat([]string{"credential", "create", "job", "--issuer", p.service.URL}, owner, tr.trust)...)
	return who
}

var correlation = regexp.MustCompile(`Correlation ID: ([0-9a-f-]{36})`)

// explain looks the refusal up by the id that the client saw.
func (p *pipelines) explain(t *testing.T, out string, tr jobTrial) {
	t.Helper()
	id := correlation.FindStringSubmatch(out)
	if id == nil {
		t.Fatalf("the refusal has no id:\n%s", out)
	}
	var found []struct {
		Code     string
		Exchange struct{ Differed []string }
	}
	p.server.lanyard(t, &found, "explain", id[1])
	if len(found) == 0 {
		t.Fatalf("nothing is known of %s", id[1])
	}
	if found[0].Code != tr.refusal {
		t.Errorf("it is explained as %s, want %s", found[0].Code, tr.refusal)
	}
	if diff := cmp.Diff(tr.differed, found[0].Exchange.Differed); diff != "" {
		t.Errorf("what differed (-want +got):\n%s", diff)
	}
}
