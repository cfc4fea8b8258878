// Package wi has the words of the contract between a webhook of workload identity,
// the pods that it changes and the SDKs in them: labels, annotations, variables,
// files and the token's audience and subject. It decides nothing.
// https://azure.github.io/azure-workload-identity/docs/topics/service-account-labels-and-annotations.html
package wi

import "strings"

// Audience is what a service account's token must be for to be exchanged, unless
// the federated credential says otherwise.
const Audience = "api://AzureADTokenExchange"

// What users write: the label on pods, the identity on service accounts, the rest
// on either as upstream has it.
const (
	Prefix    = "azure.workload.identity/"
	OwnPrefix = "lanyard.io/" // of what upstream's webhook does not know

	UseLabel             = Prefix + "use"  // of pods: "true"
	UsePrefix            = Prefix + "use-" // and a suffix: the pod wants the custom token endpoint
	ClientIDAnnotation   = Prefix + "client-id"
	TenantIDAnnotation   = Prefix + "tenant-id"
	ExpirationAnnotation = Prefix + "service-account-token-expiration"
	SkipAnnotation       = Prefix + "skip-containers"
	ProxyAnnotation      = Prefix + "inject-proxy-sidecar"
	ProxyPortAnnotation  = Prefix + "proxy-sidecar-port"
)

// What a webhook puts into containers, and SDKs read.
const (
	ClientIDEnv  = "AZURE_CLIENT_ID"
	TenantIDEnv  = "AZURE_TENANT_ID"
	TokenFileEnv = "AZURE_FEDERATED_TOKEN_FILE"
	AuthorityEnv = "AZURE_AUTHORITY_HOST"

	// The custom token endpoint, of pods that use an identity binding.
	TokenProxyEnv = "AZURE_KUBERNETES_TOKEN_PROXY"
	ProxySNIEnv   = "AZURE_KUBERNETES_SNI_NAME"
	ProxyCAEnv    = "AZURE_KUBERNETES_CA_DATA"
	ProxyFileEnv  = "AZURE_KUBERNETES_CA_FILE"

	// A metadata service for managed identities, wherever it is.
	PodIdentityEnv      = "AZURE_POD_IDENTITY_AUTHORITY_HOST"
	IdentityEndpointEnv = "IDENTITY_ENDPOINT"
	IdentityHeaderEnv   = "IDENTITY_HEADER"
)

// What the webhook's own process reads, besides TenantIDEnv and the three of the
// custom token endpoint.
const (
	CloudEnv          = "AZURE_ENVIRONMENT"
	CloudFileEnv      = "AZURE_ENVIRONMENT_FILEPATH"
	ProxyConfigMapEnv = "AZURE_KUBERNETES_CA_CONFIGMAP_NAME"
	ProxySignerEnv    = "AZURE_KUBERNETES_CA_CTB_SIGNER_NAME"
	ProxySelectorEnv  = "AZURE_KUBERNETES_CA_CTB_LABEL_SELECTOR"
)

// Where a container has the token: in upstream's layout of v1.6 and in that of
// v1.5.
const (
	TokenName = "azure-identity-token"

	Mount    = "/var/run/secrets/azure/wi"
	File     = "token/" + TokenName
	MountV15 = "/var/run/secrets/azure/tokens"
	FileV15  = TokenName
)

// SubjectPrefix begins the subject of every token that a cluster signs.
// https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#service-account-token-volume-projection
const SubjectPrefix = "system:serviceaccount:"

// Subject is the service account that a cluster's token is about.
type Subject struct{ Namespace, Name string }

// String is the subject as a token says it.
func (s Subject) String() string { return SubjectPrefix + s.Namespace + ":" + s.Name }

// ParseSubject reads what String writes.
func ParseSubject(subject string) (s Subject, ok bool) {
	rest, ok := strings.CutPrefix(subject, SubjectPrefix)
	if !ok {
		return Subject{}, false
	}
	s.Namespace, s.Name, ok = strings.Cut(rest, ":")
	return s, ok
}
