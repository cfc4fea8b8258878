package deploy_test

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/lanyard-io/lanyard/deploy"
	"github.com/lanyard-io/lanyard/internal/egress"
)

// serverChart is what the server's chart makes of values.
func serverChart(t *testing.T, values ...string) map[string]object {
	t.Helper()
	var args []string
	for _, v := range values {
		args = append(args, "--set", v)
	}
	return named(parse(t, template(t, "lanyard", "lanyard", args...)))
}

func text(t *testing.T, o any) string {
	t.Helper()
	b, err := yaml.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

type policyRule struct {
	Ports []struct {
		Protocol string `yaml:"protocol"`
		Port     any    `yaml:"port"`
	} `yaml:"ports"`
	From, To []policyPeer
}

type policyPeer struct {
	Namespaces object `yaml:"namespaceSelector"`
	Block      *struct {
		CIDR   netip.Prefix   `yaml:"cidr"`
		Except []netip.Prefix `yaml:"except"`
	} `yaml:"ipBlock"`
}

func rules(t *testing.T, policy object, direction string) (all []policyRule) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text(t, policy["spec"].(object)[direction])), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// lets says whether rules let a packet out to an address at a port.
func lets(all []policyRule, to netip.Addr, port int) bool {
	for _, r := range all {
		if len(r.Ports) > 0 && !slices.ContainsFunc(r.Ports, func(p struct {
			Protocol string `yaml:"protocol"`
			Port     any    `yaml:"port"`
		}) bool {
			return p.Port == port
		}) {
			continue
		}
		if len(r.To) == 0 {
			return true
		}
		for _, p := range r.To {
			if p.Block != nil && p.Block.CIDR.Contains(to) && !slices.ContainsFunc(p.Block.Except, func(e netip.Prefix) bool { return e.Contains(to) }) {
				return true
			}
		}
	}
	return false
}

func TestPolicyKeepsMetadataServicesAway(t *testing.T) {
	out := rules(t, serverChart(t, "etcd.endpoints={https://etcd-0:2379,https://[fd00::1]:2381/}")["NetworkPolicy lanyard"], "egress")
	for _, at := range []string{
		"169.254.169.254", "169.254.170.2", "169.254.0.1", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fe80::1",
		"fd00:ec2::254", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
	} {
		to := netip.MustParseAddr(at)
		if egress.ScopeOf(to) != egress.Forbidden {
			t.Errorf("the server itself would ask %s", at)
		}
		for _, port := range []int{53, 80, 443, 2379, 6443} {
			if lets(out, to, port) {
				t.Errorf("the policy lets the server ask %s at port %d", at, port)
			}
		}
	}
	for _, at := range []string{"203.0.113.7", "10.0.0.1", "2001:db8::1", "fd00::1"} {
		for port, want := range map[int]bool{53: true, 443: true, 6443: true, 2379: true, 2381: true, 80: false, 22: false, 10250: false} {
			if got := lets(out, netip.MustParseAddr(at), port); got != want {
				t.Errorf("to %s at port %d: let out %v, want %v", at, port, got, want)
			}
		}
	}
	if !lets(out, netip.MustParseAddr("169.254.20.10"), 53) || lets(out, netip.MustParseAddr("169.254.20.10"), 443) {
		t.Error("the node's DNS cache is to be asked at port 53 alone")
	}
}

func TestPolicyIsWidenedAndNarrowed(t *testing.T) {
	out := rules(t, serverChart(t, "networkPolicy.egress.ports={8443}", "networkPolicy.egress.except={10.0.0.0/8,fd00::/8}",
		"networkPolicy.egress.extra[0].to[0].ipBlock.cidr=10.1.2.3/32")["NetworkPolicy lanyard"], "egress")
	for at, want := range map[string]bool{"203.0.113.7": true, "10.0.0.1": false, "fd00::1": false, "10.1.2.3": true} {
		if got := lets(out, netip.MustParseAddr(at), 8443); got != want {
			t.Errorf("to %s: let out %v, want %v", at, got, want)
		}
	}
	off := serverChart(t, "networkPolicy.egress.enabled=false")["NetworkPolicy lanyard"]["spec"].(object)
	if types := fmt.Sprint(off["policyTypes"]); types != "[Ingress]" || off["egress"] != nil {
		t.Errorf("egress that is off: policy types %s, rules %v", types, off["egress"])
	}
}

func TestMetricsAreForChosenPeers(t *testing.T) {
	for chart, test := range map[string]struct {
		policy string
		values []string
		port   any
	}{
		"lanyard":                   {"NetworkPolicy lanyard", nil, "metrics"},
		"workload-identity-webhook": {"NetworkPolicy " + deploy.WebhookDeployment, []string{"--set", "azureTenantID=" + tenant}, 8095},
	} {
		for value, want := range map[string]int{"": 1, "networkPolicy.metricsFrom=null": 0, "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.a=b": 1} {
			args := slices.Clone(test.values)
			if value != "" {
				args = append(args, "--set", value)
			}
			got := 0
			for _, r := range rules(t, named(parse(t, template(t, chart, "lanyard", args...)))[test.policy], "ingress") {
				for _, p := range r.Ports {
					if p.Port != test.port {
						continue
					}
					got++
					if len(r.From) == 0 || len(r.From[0].Namespaces) == 0 {
						t.Errorf("%s with %q: metrics are open to everybody", chart, value)
					}
				}
			}
			if got != want {
				t.Errorf("%s with %q: %d rules for metrics, want %d", chart, value, got, want)
			}
		}
	}
}

func TestGraceFollowsDrain(t *testing.T) {
	for drain, want := range map[string]int{"5s": 60, "0s": 55, "90s": 145, "10m": 655, "1500ms": 57} {
		pod := serverChart(t, "drain="+drain)["StatefulSet lanyard"]["spec"].(object)["template"].(object)["spec"].(object)
		if got := pod["terminationGracePeriodSeconds"]; got != want {
			t.Errorf("drain %s: %v s of grace, want %d", drain, got, want)
		}
	}
}

// The webhook answers on for drainDelay, and what is under way then for as long as the
// API server waits.
func TestWebhookGraceFollowsDrain(t *testing.T) {
	for values, want := range map[string]any{
		"drainDelay=5s": nil, // Kubernetes' own 30 s
		"drainDelay=0s": nil, "drainDelay=20s": 45, "drainDelay=1m": 85, "drainDelay=1500ms": nil, "drainDelay=5500ms": 31,
		"drainDelay=20s,timeoutSeconds=30": 70, "timeoutSeconds=30": 55,
	} {
		made := named(parse(t, template(t, "workload-identity-webhook", "lanyard", "--set", "azureTenantID="+tenant+","+values)))
		pod := made["Deployment "+deploy.WebhookDeployment]["spec"].(object)["template"].(object)["spec"].(object)
		if got := pod["terminationGracePeriodSeconds"]; got != want {
			t.Errorf("%s: %v s of grace, want %v", values, got, want)
		}
		drain, _, _ := strings.Cut(strings.TrimPrefix(values, "drainDelay="), ",")
		if got := strings.Contains(text(t, pod), "--drain-delay="+drain+"\n"); got != (strings.HasPrefix(values, "drainDelay=") && drain != "5s") {
			t.Errorf("%s: the webhook is told of it: %v", values, got)
		}
	}
}

// Where the grace period would not follow, nothing is made.
func TestDrainIsSetInOnePlace(t *testing.T) {
	for _, test := range []struct{ chart, values, want string }{
		{"workload-identity-webhook", "extraArgs={--drain-delay=40s}", "set drainDelay"},
		{"workload-identity-webhook", "extraArgs={--strict,--drain-delay,40s}", "set drainDelay"},
		{"workload-identity-webhook", "extraEnv[0].name=LANYARD_DRAIN_DELAY,extraEnv[0].value=40s", "set drainDelay"},
		{"workload-identity-webhook", "drainDelay=61s", "a minute at most"},
		{"workload-identity-webhook", "drainDelay=2m", "a minute at most"},
		{"workload-identity-webhook", "drainDelay=1m30s", "drainDelay"},
		{"lanyard", "extraArgs={--drain=90s}", "set drain in place"},
		{"lanyard", "extraArgs={--audit-sync,--drain,90s}", "set drain in place"},
		{"lanyard", "extraEnv[0].name=LANYARD_DRAIN,extraEnv[0].value=40s", "set drain in place"},
	} {
		values := test.values
		if test.chart != "lanyard" {
			values += ",azureTenantID=" + tenant
		}
		if said := refused(t, test.chart, "--set", values); !strings.Contains(said, test.want) {
			t.Errorf("%s with %s: %q, want %q in it", test.chart, test.values, said, test.want)
		}
	}
	serverChart(t, "extraArgs={--audit-sync}") // others are nobody's business
}

func TestWebhookListenerIsReached(t *testing.T) {
	for _, value := range []string{"webhookPort=7444", "extraArgs={--webhook=:7444}", "extraArgs={--webhook,0.0.0.0:7444}", "extraArgs={--audit-sync,--webhook=[::]:7444,--rs256}"} {
		all := serverChart(t, value)
		if in := rules(t, all["NetworkPolicy lanyard"], "ingress"); !slices.ContainsFunc(in, func(r policyRule) bool {
			return len(r.From) == 0 && strings.Contains(fmt.Sprint(r.Ports), "7444")
		}) {
			t.Errorf("%s: the policy does not let API servers in", value)
		}
		for name, want := range map[string]bool{"lanyard": true, "login": false} {
			if got := strings.Contains(text(t, all["Service "+name]), "7444"); got != want {
				t.Errorf("%s: the Service %s has the port: %v, want %v", value, name, got, want)
			}
		}
	}
	if s := text(t, serverChart(t)); strings.Contains(s, "name: webhook") || strings.Contains(s, "--webhook=") {
		t.Error("there is a listener that nobody asked for")
	}
}

func TestEveryImageHasTheGlobalRegistry(t *testing.T) {
	for image, want := range map[string]string{
		"localhost/lanyard": "r.example:5000/mirror/lanyard", "ghcr.io/a/lanyard": "r.example:5000/mirror/a/lanyard",
		"r:80/lanyard": "r.example:5000/mirror/lanyard", "a/lanyard": "r.example:5000/mirror/a/lanyard",
	} {
		for chart, values := range map[string]string{
			"lanyard":                   "webhookImage=docker.io/hook:2",
			"workload-identity-webhook": "proxyImage=docker.io/hook:2,azureTenantID=" + tenant,
		} {
			made := string(template(t, chart, "lanyard", "--set", values+",global.imageRegistry=r.example:5000/mirror,image.repository="+image))
			if !strings.Contains(made, "image: "+want+":dev\n") || !strings.Contains(made, "-image=r.example:5000/mirror/hook:2\n") {
				t.Errorf("%s with %s: not every image has the registry, want %s", chart, image, want)
			}
		}
	}
}

func TestEtcdCredentialsAreFiles(t *testing.T) {
	pod := text(t, serverChart(t, "etcd.endpoints={https://e:2379}", "etcd.secretName=tls", "etcd.user=lanyard",
		"etcd.passwordSecret.name=pw", "etcd.passwordSecret.key=word")["StatefulSet lanyard"])
	for _, want := range []string{
		"LANYARD_ETCD_DIR\n", "value: /etc/lanyard/etcd\n", // which takes a Secret with ca.crt alone
		"value: lanyard\n", "value: /etc/lanyard/etcd-password/word\n", "secretName: pw\n",
	} {
		if !strings.Contains(pod, want) {
			t.Errorf("the pod lacks %q", want)
		}
	}
}

// TestOneReplicaCanBeDrained: a budget must not keep the only pod.
func TestOneReplicaCanBeDrained(t *testing.T) {
	name := "PodDisruptionBudget " + deploy.WebhookDeployment
	for replicas, want := range map[int]object{1: {"maxUnavailable": 1}, 2: {"minAvailable": 1}} {
		plain, err := deploy.Webhook(deploy.WebhookConfig{Image: "i", TenantID: tenant, Replicas: replicas})
		if err != nil {
			t.Fatal(err)
		}
		chart := template(t, "workload-identity-webhook", "lanyard", "--set", fmt.Sprintf("azureTenantID=%s,replicaCount=%d", tenant, replicas))
		for from, made := range map[string][]byte{"manifests": plain, "chart": chart} {
			spec := named(parse(t, made))[name]["spec"].(object)
			if got := (object{"maxUnavailable": spec["maxUnavailable"], "minAvailable": spec["minAvailable"]}); got["maxUnavailable"] != want["maxUnavailable"] || got["minAvailable"] != want["minAvailable"] {
				t.Errorf("%s with %d replicas: %v, want %v", from, replicas, got, want)
			}
		}
	}
	if serverChart(t)["PodDisruptionBudget lanyard"] != nil {
		t.Error("a budget keeps the only server")
	}
}

// TestNotesKeepCredentialsPrivate: whoever copies a line leaves no readable file.
func TestNotesKeepCredentialsPrivate(t *testing.T) {
	notes, err := os.ReadFile("chart/lanyard/templates/NOTES.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(notes)) {
		if strings.Contains(line, "lanyard admin >") && !strings.Contains(line, "(umask 077; ") {
			t.Errorf("credentials in a file for everybody: %s", line)
		}
	}
}
