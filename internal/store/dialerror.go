package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
)

var (
	errNotEtcd = errors.New("it is no etcd")
	errOld     = errors.New("it is etcd")
)

// gRPCNoise is the words of gRPC and net before those that a person needs. An address
// that we dialled is not our own server's.
var gRPCNoise = strings.NewReplacer("dial tcp: ", "", "dial tcp ", "", "dial unix ", "", "Error while dialing: ", "")

// dialError says why etcd cannot be reached, and the way out. gRPC's own words are
// long, and name us as well; the other side's may be anything.
func (c DialConfig) dialError(err error) string {
	whole, _, _ := strings.Cut(err.Error(), "\n")
	text := whole
	if _, rest, ok := strings.Cut(text, "transport: "); ok {
		text = strings.TrimSuffix(rest, `"`)
	}
	text = gRPCNoise.Replace(text)
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
	}
	tls := secured(c.Endpoints[0])
	switch {
	case errors.Is(err, errOld):
		return fmt.Sprintf("%s, and the oldest that will do is %d.%d.%d: upgrade it", text, oldest[0], oldest[1], oldest[2])
	case errors.Is(err, errNotEtcd):
		return whole + ": correct --etcd-endpoints"
	case has("no application protocol"):
		return fmt.Sprintf("%s: %s: correct --etcd-endpoints", errNotEtcd, text)
	case has("first record does not look like a TLS handshake"):
		return "it does not speak TLS: write http:// in --etcd-endpoints"
	case !tls && has("EOF", "connection reset", "broken pipe", "malformed HTTP response", "frame too large"):
		return "it is no etcd, or wants TLS: then write https:// in --etcd-endpoints"
	case tls && has("EOF", "connection reset", "broken pipe"): // before or in place of an alert of TLS
		return "it hangs up: it wants the client certificate of --etcd-cert and --etcd-key, or is no etcd with TLS: then correct --etcd-endpoints"
	case has("unknown authority"):
		return text + ": name the file with its CA with --etcd-ca"
	case has("certificate is valid for", "doesn't contain any IP SANs", "not valid for any names"):
		return text + ": write one of its certificate's names in --etcd-endpoints"
	case has("expired or is not yet valid"):
		return text + ": renew etcd's certificate, or set this machine's clock"
	case has("certificate required", "bad certificate", "remote error: tls"):
		return text + ": it refuses the client certificate of --etcd-cert and --etcd-key"
	case code(err) == codes.DeadlineExceeded, has("error reading server preface", "deadline exceeded"):
		return fmt.Sprintf("it did not answer within %s: is it an etcd, and up, with a leader?", c.Timeout)
	case errors.Is(err, rpctypes.ErrAuthFailed), has("invalid user ID or password"):
		return fmt.Sprintf("it refuses user %q: correct --etcd-user or --etcd-password-file", c.Username)
	}
	return text + ": is etcd up, and --etcd-endpoints right?"
}

// grantError names the grant that etcd's user lacks, if a failure comes from that.
func grantError(prefix string, err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrPermissionDenied):
		return fmt.Errorf("the etcd user may not read and write keys under %s: grant it that, with `etcdctl role grant-permission ROLE readwrite %s/ --prefix`: %w", prefix, prefix, err)
	case errors.Is(err, rpctypes.ErrUserEmpty):
		return fmt.Errorf("etcd wants a user: set --etcd-user and --etcd-password-file: %w", err)
	}
	return err
}
