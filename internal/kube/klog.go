package kube

import (
	"log/slog"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// LogTo sends what client-go has to say outside of any call to log. It is for
// the whole process, so the command calls it, once.
func LogTo(log *slog.Logger) { klog.SetLogger(logr.FromSlogHandler(log.Handler())) }
