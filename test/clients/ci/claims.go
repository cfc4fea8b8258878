package ci

import (
	"crypto/rand"
	"strings"
)

// claimNames are GitHub's own, as its discovery document lists them.
var claimNames = []string{
	"ref", "sha", "repository", "repository_id", "repository_owner", "repository_owner_id", "enterprise", "enterprise_id", "run_id",
	"run_number", "run_attempt", "actor", "actor_id", "workflow", "workflow_ref", "workflow_sha", "head_ref", "base_ref", "event_name",
	"ref_type", "ref_protected", "environment", "job_workflow_ref", "job_workflow_sha", "repository_visibility", "runner_environment",
}

// GitHub are the claims of a job of a repository, OWNER/NAME, in a context such as
// environment:prod, ref:refs/heads/main or pull_request, that uses a workflow
// which repositories share.
func GitHub(repository, context string) map[string]any {
	owner, _, _ := strings.Cut(repository, "/")
	commit := "0d1e2f3a4b5c6d7e8f900112233445566778899a"
	c := map[string]any{
		"jti": rand.Text(), "sub": "repo:" + repository + ":" + context, "ref": "refs/heads/main", "ref_type": "branch", "ref_protected": "true",
		"sha": commit, "repository": repository, "repository_id": "740",
		"repository_owner": owner, "repository_owner_id": "65", "repository_visibility": "private",
		"enterprise": "octo-enterprise", "enterprise_id": "7", "actor": "octocat", "actor_id": "12",
		"run_id": "8123456789", "run_number": "10", "run_attempt": "2", "runner_environment": "github-hosted",
		"workflow": "deploy", "workflow_ref": repository + "/.github/workflows/deploy.yml@refs/heads/main", "workflow_sha": commit,
		"job_workflow_ref": "octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main", "job_workflow_sha": commit,
		"event_name": "push", "head_ref": "", "base_ref": "",
	}
	if name, ok := strings.CutPrefix(context, "environment:"); ok {
		c["environment"] = name
	}
	if context == "pull_request" {
		c["event_name"], c["ref"], c["ref_protected"], c["head_ref"], c["base_ref"] = context, "refs/pull/7/merge", "false", "feature", "main"
	}
	return c
}

// GitLab are the claims of a job of a project, GROUP/NAME, on a branch.
// https://docs.gitlab.com/ci/secrets/id_token_authentication/
func GitLab(project, branch string) map[string]any {
	group, _, _ := strings.Cut(project, "/")
	return map[string]any{
		"jti": rand.Text(), "sub": "project_path:" + project + ":ref_type:branch:ref:" + branch,
		"project_id": "22", "project_path": project, "namespace_id": "72", "namespace_path": group,
		"user_id": "1", "user_login": "octocat", "pipeline_id": "574", "pipeline_source": "push", "job_id": "302",
		"ref": branch, "ref_type": "branch", "ref_path": "refs/heads/" + branch, "ref_protected": "true",
		"runner_id": 1, "runner_environment": "self-hosted", "sha": "0d1e2f3a4b5c6d7e8f900112233445566778899a",
		"ci_config_ref_uri": "gitlab.example.org/" + project + "//.gitlab-ci.yml@refs/heads/" + branch,
	}
}
