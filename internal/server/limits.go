package server

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// maxAuditDays is a century.
const maxAuditDays = 36_500

// checkRecords reports what is wrong with the settings of the audit log.
func (c Config) checkRecords() (faults []error) {
	if c.AuditDays < 0 || c.AuditDays > maxAuditDays {
		faults = append(faults, fmt.Errorf("audit days %d: want 0 to %d", c.AuditDays, maxAuditDays))
	}
	if c.AuditKeepRefused < 0 {
		faults = append(faults, fmt.Errorf("audit files of refusals %d: strangers write them, so they cannot all be kept", c.AuditKeepRefused))
	}
	return faults
}

// registerLimits makes metrics of how often each limit has been met.
func (s *Server) registerLimits(limited map[string]func() uint64) {
	limited["refusal_records"] = s.audit.Unrecorded
	for kind, count := range limited {
		s.metrics.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "lanyard_limited_total", ConstLabels: prometheus.Labels{"kind": kind},
			Help: "What was turned away, or not recorded by itself, because one source had too many, by kind.",
		}, func() float64 { return float64(count()) }))
	}
}
