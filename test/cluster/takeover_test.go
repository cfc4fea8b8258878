package cluster_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// webhookDeployment is what runs the webhook in a cluster.
const webhookDeployment = "deployment/azure-wi-webhook-controller-manager"

// testTakeover puts our webhook in the place of one that was installed by a chart
// with the same names and other labels. What answers before is our own program,
// with the flags and files that the other has; not one pod is refused.
func testTakeover(t *testing.T, c *cluster) {
	authority := newAuthority(t, time.Now().Add(-24*time.Hour))
	leaf := authority.leaf(t, time.Now().Add(365*24*time.Hour))
	c.apply(t, system, predecessor(t, authority, leaf))
	c.kubectl(t, "rollout", "status", "-n", system, webhookDeployment, "--timeout=60s")
	namespace := c.namespace(t, "takeover")
	eventually(t, "the webhook that was there before answers", time.Minute, func() error { return c.tryPod(t, namespace) })

	pods := c.keepTrying(t, namespace)
	s := newServer(t, c, "--address", "lanyard.test", "--listen", nodeAddress+":443", "--adfs")
	s.lanyard(nil, "cluster", "attach", "dev", "--kubeconfig", c.kubeconfig(), "--enable-oidc-issuer", "--enable-workload-identity",
		"--webhook", "deployment", "--webhook-image", "localhost/lanyard:dev", "--webhook-image-pull-policy", "Never")
	c.kubectl(t, "rollout", "status", "-n", system, webhookDeployment, "--timeout=90s")
	pods.stop(t)
	if labels := c.kubectl(t, "get", "-n", system, webhookDeployment, "-o", "jsonpath={.spec.selector.matchLabels}"); strings.Contains(labels, "release") {
		t.Errorf("the deployment still selects %s", labels)
	}
	var shown struct {
		Properties struct {
			Attachment struct {
				Webhook struct{ State struct{ Note, Error string } }
			}
		}
	}
	s.lanyard(&shown, "cluster", "show", "dev")
	if state := shown.Properties.Attachment.Webhook.State; !strings.Contains(state.Note, "took over") || state.Error != "" {
		t.Errorf("cluster show says %+v", state)
	}

	t.Run("certificate", func(t *testing.T) { testCertificate(t, c, namespace) })
	t.Run("account", func(t *testing.T) { testAccount(t, c) })
	t.Run("rollout", func(t *testing.T) { testRollout(t, c) })
	t.Run("kill", func(t *testing.T) { testKill(t, c) })
}

// predecessor is the webhook as its own chart installs it: the selectors name a
// release, and the certificate is in a Secret that the pods mount.
func predecessor(t *testing.T, a *authority, leaf pair) string {
	t.Helper()
	labels := object{"app": "workload-identity-webhook", "release": "wi", "azure-workload-identity.io/system": "true"}
	meta := func(name string) object { return object{"name": name, "namespace": system, "labels": labels} }
	const account = "azure-wi-webhook-admin"
	role := object{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "azure-wi-webhook-manager-role"}
	b, err := json.Marshal(object{"apiVersion": "v1", "kind": "List", "items": []any{
		object{"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": system}},
		object{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(account)},
		object{
			"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": object{"name": role["name"], "labels": labels},
			"rules": []any{object{"apiGroups": []any{""}, "resources": []any{"serviceaccounts"}, "verbs": []any{"get", "list", "watch"}}},
		},
		object{
			"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
			"metadata": object{"name": "azure-wi-webhook-manager-rolebinding", "labels": labels},
			"roleRef":  role, "subjects": []any{object{"kind": "ServiceAccount", "name": account, "namespace": system}},
		},
		object{"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("azure-wi-webhook-config"), "data": object{
			"AZURE_ENVIRONMENT": "AzurePublicCloud", "AZURE_TENANT_ID": "11111111-1111-1111-1111-111111111111",
		}},
		object{"apiVersion": "v1", "kind": "Secret", "metadata": meta(webhookSecret), "data": a.secret(t, leaf)},
		object{"apiVersion": "v1", "kind": "Service", "metadata": meta("azure-wi-webhook-webhook-service"), "spec": object{
			"selector": labels, "ports": []any{object{"port": 443, "targetPort": 9443}},
		}},
		object{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta("azure-wi-webhook-controller-manager"), "spec": object{
			"replicas": 2, "selector": object{"matchLabels": labels},
			"template": object{"metadata": object{"labels": labels}, "spec": object{
				"serviceAccountName": account, "enableServiceLinks": false, "securityContext": object{"fsGroup": 65532},
				"volumes": []any{object{"name": "cert", "secret": object{"secretName": webhookSecret, "defaultMode": 0o440}}},
				"containers": []any{object{
					"name": "manager", "image": "localhost/lanyard:dev", "args": []any{"webhook", "--disable-cert-rotation", "--webhook-cert-dir=/certs", "--drain-delay=10s"},
					"envFrom":        []any{object{"configMapRef": object{"name": "azure-wi-webhook-config"}}},
					"env":            []any{object{"name": "POD_NAMESPACE", "value": system}},
					"volumeMounts":   []any{object{"name": "cert", "mountPath": "/certs", "readOnly": true}},
					"readinessProbe": object{"httpGet": object{"path": "/readyz", "port": 9440}, "periodSeconds": 1},
				}},
			}},
		}},
		object{
			"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
			"metadata": object{"name": webhookConfiguration, "labels": labels},
			"webhooks": []any{object{
				"name": "mutation.azure-workload-identity.io", "admissionReviewVersions": []any{"v1", "v1beta1"}, "sideEffects": "None",
				"clientConfig": object{"caBundle": base64.StdEncoding.EncodeToString(a.pem), "service": object{
					"name": "azure-wi-webhook-webhook-service", "namespace": system, "path": "/mutate-v1-pod",
				}},
				"failurePolicy": "Fail", "matchPolicy": "Equivalent", "reinvocationPolicy": "IfNeeded",
				"objectSelector": object{"matchLabels": object{useLabel: "true"}},
				"rules":          []any{object{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "operations": []any{"CREATE"}, "resources": []any{"pods"}}},
			}},
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
