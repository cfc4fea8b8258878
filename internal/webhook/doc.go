// Package webhook is the webhook process: it opens the listeners, keeps the
// certificate and the service accounts, and serves package admission with them.
// It takes the place of the webhook of Azure Workload Identity in a cluster:
// its Secret, its MutatingWebhookConfiguration, its ports.
//
// It decides nothing about a pod, and makes no object but that Secret.
package webhook
