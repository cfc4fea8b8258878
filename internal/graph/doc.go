// Package graph is the directory surface: the part of Microsoft Graph v1.0 with
// which az and other clients find service principals, make applications with
// their secrets, certificates and federated credentials, and make users with
// their passwords.
//
// It stores and checks; it issues no token and signs nobody in (package sts
// does) and assigns no role (package arm does). There are no groups here: their
// collection is empty.
//
// # Who may do what
//
// Graph knows directory roles; here the role assignments of Resource Manager
// decide, so that there is one place to look. The actions lie in
// Microsoft.Authorization, because a change of the directory hands out access: a
// caller who adds a secret to an application gets all its rights. The rule that keeps
// Contributor from assigning roles keeps it out here too.
//
//   - applications/write, for every change, is asked at the root. Owner and User
//     Access Administrator there have it.
//   - users/write, to make users and set their passwords, is asked at the root
//     alike: a caller who sets a password can sign in as that user.
//   - applications/read, for applications and their credentials, is asked at the
//     root too. Reader there has it.
//   - servicePrincipals/read, for users too, is asked wherever the caller has a
//     role: to give a principal access to one's own vault, one must be able to find it. All
//     roles that may read role assignments have it; one that only reads secrets
//     does not.
//
// A service principal shows the credentials of its application, and has none of
// its own. Deletion is final: there is no deletedItems.
// https://learn.microsoft.com/graph/api/resources/application
package graph
