package store

import (
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
)

// dialError says why etcd cannot be reached, and the way out. What gRPC says is
// long, and names us as well.
func (c DialConfig) dialError(err error) string {
	text := err.Error()
	if _, rest, ok := strings.Cut(text, "transport: "); ok {
		text = rest
	}
	text = strings.TrimSuffix(text, `"`)
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("first record does not look like a TLS handshake"):
		return "it does not speak TLS: write http:// in --etcd-endpoints"
	case !secured(c.Endpoints[0]) && has("EOF", "connection reset", "malformed HTTP response", "frame too large"):
		return "it is no etcd, or wants TLS: then write https:// in --etcd-endpoints"
	case has("error reading server preface"):
		return fmt.Sprintf("it did not answer within %s: is it an etcd, and up?", c.Timeout)
	case has("unknown authority"):
		return text + ": name the file with its CA with --etcd-ca"
	case has("certificate is valid for", "doesn't contain any IP SANs", "not valid for any names"):
		return text + ": write one of its certificate's names in --etcd-endpoints"
	case has("certificate required", "bad certificate", "remote error: tls"):
		return text + ": it refuses the client certificate of --etcd-cert and --etcd-key"
	case errors.Is(err, rpctypes.ErrAuthFailed), has("invalid user ID or password"):
		return fmt.Sprintf("it refuses user %q: correct --etcd-user or --etcd-password-file", c.Username)
	case code(err) == codes.DeadlineExceeded && has("deadline exceeded"):
		return fmt.Sprintf("it did not answer within %s: %s", c.Timeout, strings.TrimPrefix(text, "rpc error: code = DeadlineExceeded desc = "))
	}
	// An address that we dialled is not our own server's.
	return strings.NewReplacer("dial tcp: ", "", "dial tcp ", "", "dial unix ", "").Replace(text)
}

// openError says why a store cannot be opened in an etcd that answers.
func (s *Store) openError(err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrPermissionDenied):
		return fmt.Errorf("the etcd user may not read and write keys under %s: grant it that, with `etcdctl role grant-permission ROLE readwrite %s/ --prefix`: %w", s.c.Prefix, s.c.Prefix, err)
	case errors.Is(err, rpctypes.ErrUserEmpty):
		return fmt.Errorf("etcd wants a user: set --etcd-user and --etcd-password-file: %w", err)
	}
	return err
}
