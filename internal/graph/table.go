package graph

// Actions of the gate. See the package's own words for who has them.
const (
	actionReadApplications  = "Microsoft.Authorization/applications/read"
	actionWriteApplications = "Microsoft.Authorization/applications/write"
	actionWriteUsers        = "Microsoft.Authorization/users/write"
	actionReadPrincipals    = "Microsoft.Authorization/servicePrincipals/read"
)

// operation is a row of the table, for paths of one shape.
type operation struct {
	method string
	shape  string
	op     string // in logs and metrics
	action string // empty: about the caller alone
	do     func(*call) error
}

// rows is every operation that there is.
func rows() []operation {
	const (
		app        = "applications/*"
		sp         = "serviceprincipals/*"
		federated  = "applications/*/federatedidentitycredentials"
		readApps   = actionReadApplications
		writeApps  = actionWriteApplications
		readPeople = actionReadPrincipals
		writeUsers = actionWriteUsers
	)
	return []operation{
		{"GET", "me", "me.get", "", (*call).me},
		{"GET", "me/ownedobjects", "me.owned", "", (*call).owned},
		{"GET", "users", "user.list", readPeople, (*call).listUsers},
		{"POST", "users", "user.create", writeUsers, (*call).createUser},
		{"GET", "users/*", "user.get", readPeople, (*call).getUser},
		{"PATCH", "users/*", "user.update", writeUsers, (*call).updateUser},
		{"DELETE", "users/*", "user.delete", writeUsers, (*call).deleteUser},
		{"POST", "users/*/getmembergroups", "user.groups", readPeople, (*call).memberGroups},
		{"POST", "users/*/revokesigninsessions", "user.revoke", writeUsers, (*call).revokeUser},
		{"POST", "users/*/unlock", "user.unlock", writeUsers, (*call).unlockUser},
		{"GET", "groups", "group.list", readPeople, (*call).listNobody},
		{"GET", "groups/*", "group.get", readPeople, (*call).missing},
		{"POST", "directoryobjects/getbyids", "object.by_ids", readPeople, (*call).byIDs},

		{"GET", "applications", "application.list", readApps, (*call).listApplications},
		{"POST", "applications", "application.create", writeApps, (*call).createApplication},
		{"GET", app, "application.get", readApps, (*call).getApplication},
		{"PATCH", app, "application.update", writeApps, (*call).updateApplication},
		{"DELETE", app, "application.delete", writeApps, (*call).deleteApplication},
		{"GET", app + "/owners", "application.owners", readApps, (*call).applicationOwners},
		{"POST", app + "/addpassword", "application.add_password", writeApps, (*call).addPassword},
		{"POST", app + "/removepassword", "application.remove_password", writeApps, (*call).removePassword},

		{"GET", "serviceprincipals", "principal.list", readPeople, (*call).listPrincipals},
		{"POST", "serviceprincipals", "principal.create", writeApps, (*call).createPrincipal},
		{"GET", sp, "principal.get", readPeople, (*call).getPrincipal},
		{"PATCH", sp, "principal.update", writeApps, (*call).updatePrincipal},
		{"DELETE", sp, "principal.delete", writeApps, (*call).deletePrincipal},
		{"GET", sp + "/owners", "principal.owners", readPeople, (*call).principalOwners},
		{"POST", sp + "/addpassword", "principal.add_password", writeApps, (*call).addPassword},
		{"POST", sp + "/removepassword", "principal.remove_password", writeApps, (*call).removePassword},

		{"GET", federated, "federated.list", readApps, (*call).listFederated},
		{"POST", federated, "federated.create", writeApps, (*call).createFederated},
		{"GET", federated + "/*", "federated.get", readApps, (*call).getFederated},
		{"PATCH", federated + "/*", "federated.update", writeApps, (*call).updateFederated},
		{"DELETE", federated + "/*", "federated.delete", writeApps, (*call).deleteFederated},
	}
}

func operations() map[string]map[string]*operation {
	table := map[string]map[string]*operation{}
	for _, o := range rows() {
		if table[o.shape] == nil {
			table[o.shape] = map[string]*operation{}
		}
		table[o.shape][o.method] = &o
	}
	return table
}
