package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/publish"
	"github.com/lanyard-io/lanyard/internal/table"
	"github.com/lanyard-io/lanyard/internal/textfile"
)

// publication is what `issuer publish` was asked for.
type publication struct {
	cluster    kubeFlags
	publicKeys []string
	issuer     string
	overlap    time.Duration
	withdraw   []string
	dryRun     bool
	watch      bool
	interval   time.Duration
	noCheck    bool
	caFile     string
}

func newPublishCmd(a *app) *cobra.Command {
	var p publication
	cmd := &cobra.Command{
		Use: "publish PLACE", Short: "Write a cluster's discovery document and keys to a folder or a bucket",
		Long: `Write the issuer's two public documents, .well-known/openid-configuration and
openid/v1/jwks, to the place that its address names: a folder that a web server
serves, or a bucket (s3://BUCKET, azblob://CONTAINER; with ?prefix=PATH/ if the
issuer's address has a path). No Lanyard server is needed: with this a cluster
that you run yourself can use Azure's own workload identity.

A key that is gone at its source stays published until the tokens that it signed
have ended (--overlap). --withdraw takes a key away at once and for good; it is
remembered in openid/v1/lanyard.json beside the keys.

For s3:// the credentials are the AWS_* variables, ~/.aws/credentials, a web identity
token or the machine's role (any server with S3's API:
?endpoint=https://HOST&use_path_style=true). For azblob:// they are
AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY, a SAS token or Azure's default ones.`,
		Example: `  lanyard issuer publish --kubeconfig ~/.kube/config s3://my-oidc-issuer
  lanyard issuer publish --public-keys sa.pub --issuer-url https://acct.blob.core.windows.net/oidc azblob://oidc
  lanyard issuer publish --watch --interval 5m /var/www/oidc     # follow key rotation
  lanyard issuer publish --dry-run s3://my-oidc-issuer           # only say what would change`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.publish(cmd, &p, args[0]) },
	}
	p.cluster.add(cmd)
	f := cmd.Flags()
	f.StringSliceVar(&p.publicKeys, "public-keys", nil, "PEM `files` with the public keys, in place of asking a cluster")
	f.StringVar(&p.issuer, "issuer-url", "", "the issuer, exactly as in iss (default the cluster's)")
	f.DurationVar(&p.overlap, "overlap", publish.DefaultOverlap, "how long a key outlives its source")
	f.StringSliceVar(&p.withdraw, "withdraw", nil, "`id` of a key to take away at once and for good")
	f.BoolVar(&p.dryRun, "dry-run", false, "only say what would change")
	f.BoolVar(&p.watch, "watch", false, "keep running, and follow the rotation of keys")
	f.DurationVar(&p.interval, "interval", time.Minute, "with --watch: time between two looks at the source")
	f.BoolVar(&p.noCheck, "no-check", false, "do not fetch the documents from the issuer's address afterwards")
	f.StringVar(&p.caFile, "issuer-ca", "", "PEM `file` with the CA of the issuer's address, for the check (default the system's)")
	cmd.MarkFlagsMutuallyExclusive("public-keys", "kubeconfig")
	cmd.MarkFlagsMutuallyExclusive("public-keys", "context")
	cmd.MarkFlagsMutuallyExclusive("dry-run", "watch")
	return cmd
}

func (a *app) publish(cmd *cobra.Command, p *publication, to string) error {
	if p.watch && p.interval < time.Second {
		return fmt.Errorf("interval %v: want a second or more", p.interval)
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	source, err := a.keySource(ctx, p)
	if err != nil {
		return err
	}
	place, err := publish.Open(to)
	if err != nil {
		return err
	}
	defer place.Close()
	publisher, err := publish.New(publish.Config{
		Place: place, Issuer: p.issuer, Overlap: p.overlap, Withdraw: p.withdraw,
		Log: slog.New(slog.NewTextHandler(a.Err, nil)),
	})
	if err != nil {
		return err
	}
	if p.watch {
		publisher.Follow(ctx, p.interval, source)
		return nil
	}
	plan, err := publisher.Once(ctx, source, p.dryRun)
	if err != nil {
		return err
	}
	if err := a.print(plan, planTable(plan)); err != nil {
		return err
	}
	return a.afterPublishing(ctx, p, plan)
}

// afterPublishing says what the table does not, and looks from outside.
func (a *app) afterPublishing(ctx context.Context, p *publication, plan *publish.Plan) error {
	for _, k := range plan.Keys {
		if k.State == publish.Withdrawn && k.AtSource {
			a.say("key %s is withdrawn, but the cluster still has it: take it from kube-apiserver's --service-account-key-file and sign with another", k.ID)
		}
	}
	switch {
	case len(plan.Writes) == 0:
		a.say("nothing to change")
	case p.dryRun:
		a.say("would write %s", strings.Join(plan.Writes, ", "))
	default:
		a.say("wrote %s, and read it back", strings.Join(plan.Writes, ", "))
	}
	if p.dryRun || p.noCheck {
		return nil
	}
	client := &http.Client{Timeout: 10 * time.Second}
	if p.caFile != "" {
		roots, err := textfile.Roots(p.caFile)
		if err != nil {
			return err
		}
		client.Transport = trusting(roots)
	}
	if err := plan.Check(ctx, client); err != nil {
		a.say("warning: %v", err)
		a.say("the documents are in place, but a verifier could not use them from here; --no-check leaves this out")
		return nil
	}
	a.say("%s answers with them", p.issuer)
	return nil
}

// keySource is where the keys come from. It fills in the issuer.
func (a *app) keySource(ctx context.Context, p *publication) (source publish.Source, err error) {
	if len(p.publicKeys) > 0 {
		if p.issuer == "" {
			return nil, fault.WithHint(errors.New("with --public-keys the issuer must be named"), "--issuer-url URL: kube-apiserver's --service-account-issuer")
		}
		return publish.Files(p.publicKeys), nil
	}
	k, err := a.cluster(p.cluster)
	if err != nil {
		return nil, err
	}
	source, p.issuer, err = publish.Cluster(ctx, k, p.issuer)
	return source, err
}

func planTable(p *publish.Plan) table.Table {
	t := table.Table{Head: []string{"KEY", "ALGORITHM", "STATE", "UNTIL"}}
	for _, k := range p.Keys {
		until := "-"
		if k.Until != nil {
			until = k.Until.Format(time.RFC3339)
		}
		t.Rows = append(t.Rows, []string{k.ID, k.Alg, string(k.State), until})
	}
	return t
}
