package quickstart

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"k8s.io/klog/v2"

	"github.com/lanyard-io/lanyard/internal/wi"
)

// Config is what the pod's manifest gives the workload. What the webhook adds
// (AZURE_CLIENT_ID and the like) goes straight to the SDK's credential, which
// reads it from the environment:
// https://azure.github.io/azure-workload-identity/docs/topics/service-account-labels-and-annotations.html
type Config struct {
	// VaultURL is KEYVAULT_URL, such as https://myvault.vault.azure.net/.
	VaultURL string
	// SecretName is SECRET_NAME.
	SecretName string
	// Interval is the pause between two reads; 0 reads once.
	Interval time.Duration
}

// FromEnv fills a Config from the environment; it names every variable that is missing.
func FromEnv(getenv func(string) string) (Config, error) {
	c := Config{VaultURL: getenv("KEYVAULT_URL"), SecretName: getenv("SECRET_NAME")}
	var faults []error
	required := []string{"KEYVAULT_URL", "SECRET_NAME", wi.ClientIDEnv, wi.TenantIDEnv, wi.AuthorityEnv, wi.TokenFileEnv}
	for _, name := range required {
		if getenv(name) == "" {
			faults = append(faults, fmt.Errorf("%s environment variable is not set", name))
		}
	}
	return c, errors.Join(faults...)
}

// Run reads the secret and logs it, again and again until ctx ends or a read
// fails. A failure ends the program on purpose: the kubelet starts it again, and
// the refusal stands at the end of its log, where people look first.
func Run(ctx context.Context, c Config) error {
	// The credential finds everything in the AZURE_ variables that the webhook injected.
	credential, err := azidentity.NewWorkloadIdentityCredential(nil)
	if err != nil {
		return fmt.Errorf("making the credential: %w", err)
	}

	vault, err := azsecrets.NewClient(c.VaultURL, credential, nil)
	if err != nil {
		return fmt.Errorf("making the vault client: %w", err)
	}

	for {
		const latest = ""
		secret, err := vault.GetSecret(ctx, c.SecretName, latest, nil)
		if err != nil {
			return fmt.Errorf("getting secret %q: %w", c.SecretName, err)
		}
		klog.InfoS("successfully got secret", "secret", *secret.Value)

		if c.Interval == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(c.Interval):
		}
	}
}
