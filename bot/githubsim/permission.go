package githubsim

import (
	"slices"
	"strings"
)

// appPermissions are the permissions that an App can ask for, each with its highest level ("app-permissions" of GitHub's REST description).
var appPermissions = map[string]string{
	"actions": "write", "administration": "write", "artifact_metadata": "write", "attestations": "write", "checks": "write", "code_quality": "write",
	"codespaces": "write", "contents": "write", "custom_properties_for_organizations": "write", "dependabot_secrets": "write", "deployments": "write",
	"discussions": "write", "email_addresses": "write", "enterprise_custom_properties_for_organizations": "admin", "environments": "write",
	"followers": "write", "git_ssh_keys": "write", "gpg_keys": "write", "interaction_limits": "write", "issues": "write", "members": "write",
	"merge_queues": "write", "metadata": "write", "organization_administration": "write", "organization_announcement_banners": "write",
	"organization_copilot_agent_settings": "write", "organization_copilot_seat_management": "write", "organization_custom_org_roles": "write",
	"organization_custom_properties": "admin", "organization_custom_roles": "write", "organization_events": "read", "organization_hooks": "write",
	"organization_packages": "write", "organization_personal_access_token_requests": "write", "organization_personal_access_tokens": "write",
	"organization_plan": "read", "organization_projects": "admin", "organization_secrets": "write", "organization_self_hosted_runners": "write",
	"organization_user_blocking": "write", "packages": "write", "pages": "write", "profile": "write", "pull_requests": "write",
	"repository_custom_properties": "write", "repository_hooks": "write", "repository_projects": "admin", "secret_scanning_alerts": "write",
	"secrets": "write", "security_events": "write", "single_file": "write", "starring": "write", "statuses": "write", "vulnerability_alerts": "write",
	"workflows": "write",
}

// appLevels returns the levels that a permission has, none for an unknown one.
func appLevels(name string) []string {
	if name == "workflows" || name == "profile" {
		return []string{"write"} // these two cannot be read
	}
	levels := []string{"read", "write", "admin"}
	return levels[:slices.Index(levels, appPermissions[name])+1]
}

// furtherEvents are those that an App can subscribe to and the Server never sends, with the permission that each needs.
var furtherEvents = map[string]string{
	"branch_protection_rule": "administration", "check_suite": "checks", "code_scanning_alert": "security_events", "commit_comment": "contents",
	"dependabot_alert": "vulnerability_alerts", "deployment_review": "deployments", "deployment_protection_rule": "deployments",
	"discussion": "discussions", "discussion_comment": "discussions", "fork": "contents", "gollum": "contents", "issues": "issues", "label": "metadata",
	"member": "members", "membership": "members", "merge_group": "merge_queues", "meta": "metadata", "milestone": "issues",
	"org_block": "organization_administration", "organization": "members", "page_build": "pages", "public": "metadata",
	"pull_request_review": "pull_requests", "pull_request_review_comment": "pull_requests", "pull_request_review_thread": "pull_requests",
	"registry_package": "packages", "release": "contents", "repository_dispatch": "contents", "secret_scanning_alert": "secret_scanning_alerts",
	"star": "metadata", "status": "statuses", "team": "members", "team_add": "members", "watch": "metadata", "workflow_dispatch": "contents",
	"workflow_job": "actions", "workflow_run": "actions",
}

// mayHear reports whether an App with the permissions can subscribe to an event.
func mayHear(permissions map[string]string, event string) bool {
	name := furtherEvents[event]
	if needed := eventPermissions[event]; needed != "" {
		name, _, _ = strings.Cut(needed, ":")
	}
	return permissions[name] != ""
}
