// Package cluster owns what happens between this server and attached clusters. It keeps
// their kubeconfigs sealed and their keys current, puts the admission webhook into them
// and takes it out again, serves the webhook to those that call the running server, and
// asks them about their service accounts.
//
// It decides neither who may attach a cluster or change it (package arm does), nor what
// a pod gets (package admission does), nor who gets a token (package sts does).
package cluster
