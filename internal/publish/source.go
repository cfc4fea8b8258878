package publish

import (
	"context"
	"errors"
	"fmt"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/textfile"
)

// Source gives the keys that are in use, now and at every later look.
type Source func(context.Context) (Set, error)

// Files are the source of PEM files with public keys.
func Files(paths []string) Source {
	return func(context.Context) (Set, error) { return ReadFiles(paths) }
}

// ReadFiles makes one set of the public keys in some PEM files.
func ReadFiles(paths []string) (Set, error) {
	var set Set
	for _, path := range paths {
		text, err := textfile.Read(path)
		if err != nil {
			return set, err
		}
		keys, err := ParsePEM(text)
		if err != nil {
			return set, fault.WithHint(fmt.Errorf("%s: %w", path, err), "give the PEM file of --service-account-key-file, or make one: openssl pkey -in KEY -pubout")
		}
		set.Add(keys...)
	}
	if len(set.Keys) == 0 {
		return set, errors.New("no public key is named")
	}
	return set, nil
}

// Cluster is the source of a cluster's API server, and the issuer of its tokens. want is
// what the issuer must be; empty takes it as it is.
func Cluster(ctx context.Context, k *kube.Cluster, want string) (source Source, issuer string, err error) {
	if issuer, err = k.Issuer(ctx); err != nil {
		return nil, "", err
	}
	if want != "" && want != issuer {
		return nil, "", fault.WithHint(fmt.Errorf("the cluster's tokens carry the issuer %s, not %s", issuer, want),
			"publish under the cluster's issuer, or change kube-apiserver's --service-account-issuer")
	}
	return func(ctx context.Context) (Set, error) {
		b, err := k.Raw(ctx, "/"+KeySet)
		if err != nil {
			return Set{}, fmt.Errorf("reading the cluster's keys: %w", err)
		}
		return ParseSet(b)
	}, issuer, nil
}
