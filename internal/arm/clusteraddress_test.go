package arm_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestAttachingDialsNoForbiddenAddress(t *testing.T) {
	l, k := newLab(t, withClusters(t)).withGroup(), newKube(t)
	for _, host := range []string{
		"169.254.169.254", "100.100.100.200", "[fd00:ec2::254]", "168.63.129.16", "169.254.1.1:6443", "[fe80::1]", "0.0.0.0", "[::]", "224.0.0.1",
		"[::ffff:169.254.169.254]", "[64:ff9b::169.254.169.254]", "[2002:a9fe:a9fe::1]", "[2001::1]", "[::ffff:0:a9fe:a9fe]",
	} {
		config := k.config(func(cluster, _ map[string]any) { cluster["server"] = "https://" + host })
		rev := l.rev()
		a := l.as("admin", "PUT", clusters+"/aks", attachment(config, issuerOn))
		if a.status != 400 || l.rev() != rev || !strings.Contains(toText(a.body), "an address that is not allowed") {
			t.Errorf("%s: %d %v", host, a.status, a.body)
		}
	}
}

// What answers at the address in a kubeconfig may be any service that this server
// reaches and the caller does not.
func TestAttachingRepeatsNoAnswer(t *testing.T) {
	const inside = "what-only-the-network-inside-may-see"
	l, k := newLab(t, withClusters(t)).withGroup(), newKube(t)
	answer := func(name string, serve func(http.ResponseWriter, *http.Request)) {
		t.Run(name, func(t *testing.T) {
			k.set(func(k *kube) { k.instead = serve })
			defer k.set(func(k *kube) { k.instead = nil })
			a := l.as("admin", "PUT", clusters+"/aks", attachment(k.config(nil), issuerOn))
			if a.status != 400 || strings.Contains(toText(a.body), inside) || len(toText(a.body)) > 1000 {
				t.Errorf("%d %v", a.status, a.body)
			}
		})
	}
	banner := func(text string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = conn.Write([]byte(text))
				conn.Close()
			}
		}
	}
	answer("no-http", banner("SSH-2.0-"+inside+"\r\n"))
	answer("bad-status", banner("HTTP/1.1 2x0 "+inside+"\r\n\r\n"))
	answer("bad-header", banner("HTTP/1.1 200 OK\r\n"+inside+"\r\n\r\n"))
	answer("status", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, inside, http.StatusTeapot) })
	answer("page", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<h1>" + inside)) })
	answer("redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/"+inside, http.StatusFound) })
	answer("version", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"gitVersion":"` + inside + `"}`))
	})
	answer("issuer", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"gitVersion":"v1.37.2","issuer":"http://` + inside + `"}`))
	})
	answer("keys", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"gitVersion":"v1.37.2","issuer":"https://issuer.example","` + inside + `":1}`))
	})
}
