package server

import "fmt"

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
