package arm_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func (l *lab) attachmentOf(cluster string) (state string, a map[string]any) {
	l.t.Helper()
	p := l.must(200, "GET", clusters+"/"+cluster, "").body["properties"].(map[string]any)
	return p["provisioningState"].(string), p["attachment"].(map[string]any)
}

func TestClusterWhoseKeysCannotBeReadSaysSo(t *testing.T) {
	l, k := newLab(t, withClusters(t)).withGroup(), newKube(t)
	l.must(201, "PUT", clusters+"/aks", attachment(k.config(nil), issuerOn))
	_, a := l.attachmentOf("aks")
	read := a["keysRead"]
	k.set(func(k *kube) { k.status = http.StatusUnauthorized })
	l.now = l.now.Add(10 * time.Minute)
	l.clusters.Refresh(t.Context())
	state, a := l.attachmentOf("aks")
	if state != "Failed" || a["keysRead"] != read {
		t.Errorf("state %s, keys read %v, want Failed and %v", state, a["keysRead"], read)
	}
	if why := fmt.Sprint(a["keysError"]); !strings.Contains(why, "401") {
		t.Errorf("keysError %s, want the API server's answer", why)
	}
	if words := fmt.Sprint(a["attention"]); !strings.Contains(words, "lanyard cluster attach aks -g ") {
		t.Errorf("attention %s, want what to do", words)
	}
	if h := l.clusters.Health(); h.Refused != 1 || h.Accepted != 0 || !h.OldestRead.Equal(l.now.Add(-10*time.Minute)) {
		t.Errorf("health %+v, want one refused, last read ten minutes ago", h)
	}
	k.set(func(k *kube) { k.status = 0 })
	l.clusters.Refresh(t.Context())
	if state, a := l.attachmentOf("aks"); state != "Succeeded" || a["keysError"] != nil || a["attention"] != nil {
		t.Errorf("a cluster that is back: state %s, %v", state, a)
	}
}

func TestEndOfAClusterCredentialIsWarnedOf(t *testing.T) {
	l, k := newLab(t, withClusters(t)).withGroup(), newKube(t)
	for left, want := range map[time.Duration]string{15 * 24 * time.Hour: "", 13 * 24 * time.Hour: " ends at ", -time.Hour: " ended at "} {
		end := l.now.Add(left).Truncate(time.Second)
		token := "e30." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d}`, end.Unix())) + ".c2ln"
		k.set(func(k *kube) { k.accept = token })
		l.as("admin", "PUT", clusters+"/aks", attachment(k.config(func(_, user map[string]any) { user["token"] = token }), nil))
		_, a := l.attachmentOf("aks")
		if at, _ := time.Parse(time.RFC3339Nano, fmt.Sprint(a["credentialEnds"])); !at.Equal(end) {
			t.Errorf("credential ends %v, want %v", a["credentialEnds"], end)
		}
		words, _ := a["attention"].(string)
		if (want == "") != (words == "") || !strings.Contains(words, want) {
			t.Errorf("%v before the end: attention %q, want %q", left, words, want)
		}
	}
}
