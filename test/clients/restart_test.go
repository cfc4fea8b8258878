package clients_test

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"
)

// What a server knew it knows after a restart, and a token from before is still
// good: the SDKs keep tokens in memory, for hours.
func TestRestart(t *testing.T) {
	t.Parallel()
	cluster, program := startCluster(t), goClient(t)
	for name, end := range map[string]func(*server, *testing.T){"stopped": (*server).stop, "killed": (*server).kill} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.start(t)
			tn := newTenant(t, s, cluster)
			fresh := trial{credential: "workload", operation: "read", who: tn.reader, token: tn.token}
			before := tn.environment(t, s.clientEnvironment(t), program, fresh)
			token, err := program.run(t, before, "workload", "token")
			if err != nil {
				t.Fatalf("getting a token: %v\n%s", err, token)
			}

			end(s, t)
			s.start(t)
			after := tn.environment(t, s.clientEnvironment(t), program, fresh)
			cached := trial{credential: "cached", operation: "read"}
			program.try(t, append(after, "ACCESS_TOKEN="+strings.TrimSpace(token)), cached)
			program.try(t, after, fresh)
		})
	}
}

// A second server of one data directory would damage it: it is told so, and the
// first one does not notice.
func TestSecondServer(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(t)

	ctx, cancel := context.WithTimeout(t.Context(), serverLimit)
	defer cancel()
	second := exec.CommandContext(ctx, s.bin, "up", "--data-dir", s.dir, "--listen", "127.0.0.1:0", "--proxy", "off", "--debug", "off")
	var stderr bytes.Buffer
	second.Env, second.Stderr = s.environment(), &stderr
	if err := second.Run(); err == nil || second.ProcessState.ExitCode() != 1 {
		t.Errorf("a second server on the same directory: %v, want exit status 1", err)
	}
	for _, want := range []string{"error: ", s.dir, "in use"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, stderr.String())
		}
	}
	if n := strings.Count(stderr.String(), "\n"); n > 3 {
		t.Errorf("it says it in %d lines:\n%s", n, stderr.String())
	}

	s.lanyard(t, nil, "vault", "create", vaultName)
}
