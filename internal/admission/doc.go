// Package admission decides what a pod needs to use a workload identity: the
// token volume, the variables, the trust in a private authority and the proxy
// sidecar, as a JSON patch on the pod exactly as it came, and it serves that
// decision as a mutating admission webhook.
//
// It takes the place of the webhook of Azure Workload Identity v1.6: the same
// labels, annotations, variables, paths and container names. It knows no
// Kubernetes client, keeps no cache, owns no certificate and opens no listener.
package admission
