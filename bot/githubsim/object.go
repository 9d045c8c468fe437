package githubsim

import (
	"encoding/base64"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

// An object is a JSON object as GitHub writes it, in answers and in webhooks alike. The functions of this file are called with mu held.
type object = map[string]any

func nodeID(kind string, id int64) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%03d:%s%d", len(kind), kind, id))
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// stampOrNull returns nil for the zero time.
func stampOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return stamp(t)
}

func textOrNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (s *Server) apiURL(parts ...string) string {
	return s.url + apiPrefix + "/" + strings.Join(parts, "/")
}

func (s *Server) webURL(parts ...string) string { return s.url + "/" + strings.Join(parts, "/") }

func (s *Server) userObject(u *user) object {
	if u == nil {
		return nil
	}
	api := s.apiURL("users", u.login)
	return object{
		"login": u.login, "id": u.id, "node_id": nodeID("User", u.id), "avatar_url": s.webURL("-", "avatar.svg"), "gravatar_id": "",
		"url": api, "html_url": s.webURL(u.login), "followers_url": api + "/followers", "following_url": api + "/following{/other_user}",
		"gists_url": api + "/gists{/gist_id}", "starred_url": api + "/starred{/owner}{/repo}", "subscriptions_url": api + "/subscriptions",
		"organizations_url": api + "/orgs", "repos_url": api + "/repos", "events_url": api + "/events{/privacy}",
		"received_events_url": api + "/received_events", "type": u.kind, "site_admin": false,
	}
}

func (s *Server) userOrNull(u *user) any {
	if u == nil {
		return nil
	}
	return s.userObject(u)
}

// repositoryURLs are the links of a repository, below its own.
var repositoryURLs = map[string]string{
	"archive_url": "/{archive_format}{/ref}", "assignees_url": "/assignees{/user}", "blobs_url": "/git/blobs{/sha}", "branches_url": "/branches{/branch}",
	"collaborators_url": "/collaborators{/collaborator}", "comments_url": "/comments{/number}", "commits_url": "/commits{/sha}",
	"compare_url": "/compare/{base}...{head}", "contents_url": "/contents/{+path}", "contributors_url": "/contributors", "deployments_url": "/deployments",
	"downloads_url": "/downloads", "events_url": "/events", "forks_url": "/forks", "git_commits_url": "/git/commits{/sha}", "git_refs_url": "/git/refs{/sha}",
	"git_tags_url": "/git/tags{/sha}", "hooks_url": "/hooks", "issue_comment_url": "/issues/comments{/number}", "issue_events_url": "/issues/events{/number}",
	"issues_url": "/issues{/number}", "keys_url": "/keys{/key_id}", "labels_url": "/labels{/name}", "languages_url": "/languages", "merges_url": "/merges",
	"milestones_url": "/milestones{/number}", "notifications_url": "/notifications{?since,all,participating}", "pulls_url": "/pulls{/number}",
	"releases_url": "/releases{/id}", "stargazers_url": "/stargazers", "statuses_url": "/statuses/{sha}", "subscribers_url": "/subscribers",
	"subscription_url": "/subscription", "tags_url": "/tags", "teams_url": "/teams", "trees_url": "/git/trees{/sha}",
}

func (s *Server) repositoryObject(r *repository) object {
	open := 0
	for _, p := range r.pulls {
		if p.open {
			open++
		}
	}
	visibility := "public"
	if r.private {
		visibility = "private"
	}
	api, web := s.apiURL("repos", r.fullName()), s.webURL(r.fullName())
	o := object{
		"id": r.id, "node_id": nodeID("Repository", r.id), "name": r.name(), "full_name": r.fullName(), "owner": s.userObject(r.owner()),
		"private": r.private, "visibility": visibility, "html_url": web, "url": api, "description": nil, "fork": r.source() != nil,
		"created_at": stamp(r.createdAt), "updated_at": stamp(r.pushedAt), "pushed_at": stamp(r.pushedAt), "homepage": nil, "size": 0,
		"git_url": strings.Replace(web, "http", "git", 1) + ".git", "ssh_url": "git@localhost:" + r.fullName() + ".git", "clone_url": web + ".git",
		"svn_url": web, "mirror_url": nil, "language": nil, "license": nil, "topics": []string{}, "is_template": false, "allow_forking": true,
		"archived": r.archived, "disabled": false, "web_commit_signoff_required": false, "default_branch": defaultBranch,
		"has_issues": true, "has_projects": false, "has_downloads": true, "has_wiki": false, "has_pages": false, "has_discussions": false,
		"stargazers_count": 0, "watchers_count": 0, "watchers": 0, "forks_count": 0, "forks": 0, "open_issues_count": open, "open_issues": open,
	}
	for name, path := range repositoryURLs {
		o[name] = api + path
	}
	return o
}

// fullRepositoryObject has the fields that only an answer about one repository has.
func (s *Server) fullRepositoryObject(r *repository) object {
	o := s.repositoryObject(r)
	o["subscribers_count"], o["network_count"] = 0, 0
	if source := r.source(); source != nil {
		o["parent"], o["source"] = s.repositoryObject(source), s.repositoryObject(source)
	}
	return o
}

func (s *Server) pullObject(p *pull) object {
	state := "open"
	if !p.open {
		state = "closed"
	}
	number := strconv.Itoa(p.number)
	api, web := s.apiURL("repos", p.base.fullName(), "pulls", number), s.webURL(p.base.fullName(), "pull", number)
	issue, statuses := s.apiURL("repos", p.base.fullName(), "issues", number), s.apiURL("repos", p.base.fullName(), "statuses", p.headSHA)
	var mergedAt, mergedBy, mergeable any
	mergeState := "unknown"
	if p.mergeSHA != "" {
		mergedAt, mergedBy = stamp(p.closedAt), s.userObject(p.closedBy)
	} else if p.open {
		mergeable, mergeState = true, "clean"
	}
	labels := make([]object, 0, len(p.labels))
	for _, l := range p.labels {
		labels = append(labels, s.labelObject(p.base, l))
	}
	link := func(address string) object { return object{"href": address} }
	return object{
		"id": p.id, "node_id": nodeID("PullRequest", p.id), "number": p.number, "state": state, "locked": false, "active_lock_reason": nil,
		"title": p.title, "body": textOrNull(p.body), "user": s.userObject(p.author), "draft": p.draft,
		"url": api, "html_url": web, "diff_url": web + ".diff", "patch_url": web + ".patch", "issue_url": issue, "commits_url": api + "/commits",
		"review_comments_url": api + "/comments", "review_comment_url": s.apiURL("repos", p.base.fullName(), "pulls", "comments{/number}"),
		"comments_url": issue + "/comments", "statuses_url": statuses,
		"created_at": stamp(p.createdAt), "updated_at": stamp(p.updatedAt), "closed_at": stampOrNull(p.closedAt), "merged_at": mergedAt,
		"merged": p.mergeSHA != "", "merged_by": mergedBy, "merge_commit_sha": textOrNull(p.mergeSHA),
		"mergeable": mergeable, "rebaseable": mergeable, "mergeable_state": mergeState, "auto_merge": nil,
		"assignee": nil, "assignees": []object{}, "requested_reviewers": []object{}, "requested_teams": []object{}, "labels": labels, "milestone": nil,
		"head": s.endObject(p.head, p.headRef, p.headSHA), "base": s.endObject(p.base, p.baseRef, p.baseSHA),
		"_links": object{
			"self": link(api), "html": link(web), "issue": link(issue), "comments": link(issue + "/comments"), "review_comments": link(api + "/comments"),
			"review_comment": link(s.apiURL("repos", p.base.fullName(), "pulls", "comments{/number}")), "commits": link(api + "/commits"), "statuses": link(statuses),
		},
		"author_association": association(p.base, p.author), "maintainer_can_modify": false, "comments": len(p.comments), "review_comments": 0,
		"commits": p.stat.Commits, "additions": p.stat.Additions, "deletions": p.stat.Deletions, "changed_files": p.stat.Files,
	}
}

// endObject is one of the two branches of a pull request. A fork that was deleted leaves its owner behind.
func (s *Server) endObject(r *repository, ref, sha string) object {
	end := object{"label": r.owner().login + ":" + ref, "ref": ref, "sha": sha, "user": s.userObject(r.owner()), "repo": nil}
	if !r.deleted {
		end["repo"] = s.repositoryObject(r)
	}
	return end
}

func association(r *repository, u *user) string {
	switch {
	case r.owner() == u:
		return "OWNER"
	case r.roles[strings.ToLower(u.login)] == "":
		return "NONE"
	case r.owner().kind == "Organization":
		return "MEMBER"
	default:
		return "COLLABORATOR"
	}
}

// issueObject is a pull request as the issue that every pull request is, too.
func (s *Server) issueObject(p *pull) object {
	pr := s.pullObject(p)
	api := pr["issue_url"].(string)
	o := object{
		"url": api, "repository_url": s.apiURL("repos", p.base.fullName()), "labels_url": api + "/labels{/name}", "comments_url": api + "/comments",
		"events_url": api + "/events", "html_url": pr["html_url"], "id": p.id, "node_id": pr["node_id"], "number": p.number, "title": p.title,
		"reactions": reactionSummary(api, nil), "performed_via_github_app": nil, "timeline_url": api + "/timeline", "state_reason": nil,
		"pull_request": object{
			"url": pr["url"], "html_url": pr["html_url"], "diff_url": pr["diff_url"], "patch_url": pr["patch_url"], "merged_at": pr["merged_at"],
		},
	}
	for _, name := range []string{
		"user", "labels", "state", "locked", "assignee", "assignees", "milestone", "comments", "created_at", "updated_at", "closed_at",
		"author_association", "active_lock_reason", "body", "draft",
	} {
		o[name] = pr[name]
	}
	return o
}

func (s *Server) commentObject(c *comment) object {
	r := c.pull.base
	id := strconv.FormatInt(c.id, 10)
	api := s.apiURL("repos", r.fullName(), "issues", "comments", id)
	var via any
	if c.byApp {
		via = s.appObject()
	}
	return object{
		"url": api, "html_url": s.webURL(r.fullName(), "pull", strconv.Itoa(c.pull.number)+"#issuecomment-"+id),
		"issue_url": s.apiURL("repos", r.fullName(), "issues", strconv.Itoa(c.pull.number)), "id": c.id, "node_id": nodeID("IssueComment", c.id),
		"user": s.userObject(c.author), "created_at": stamp(c.createdAt), "updated_at": stamp(c.updatedAt),
		"author_association": association(r, c.author), "body": c.body, "reactions": reactionSummary(api, c.reactions), "performed_via_github_app": via,
	}
}

func reactionSummary(subject string, reactions []*reaction) object {
	o := object{"url": subject + "/reactions", "total_count": len(reactions)}
	for _, content := range reactionContents {
		count := 0
		for _, r := range reactions {
			if r.content == content {
				count++
			}
		}
		o[content] = count
	}
	return o
}

func (s *Server) reactionObject(r *reaction) object {
	return object{
		"id": r.id, "node_id": nodeID("Reaction", r.id), "user": s.userObject(r.author), "content": r.content, "created_at": stamp(r.createdAt),
	}
}

// The payloads of webhooks. Their shapes are those of GitHub's recorded ones (octokit/webhooks); call these functions with mu held.

func (s *Server) emitPull(p *pull, sender *user, action string, more object) {
	payload := object{"number": p.number, "pull_request": s.pullObject(p)}
	maps.Copy(payload, more)
	s.emit(p.base, sender, "pull_request", action, payload)
}

func (s *Server) emitComment(c *comment, sender *user, action string, more object) {
	payload := object{"issue": s.issueObject(c.pull), "comment": s.commentObject(c)}
	maps.Copy(payload, more)
	s.emit(c.pull.base, sender, "issue_comment", action, payload)
}

func (s *Server) pushPayload(r *repository, by *user, c refChange) object {
	before, after := c.before, c.after
	if before == "" {
		before = noCommit
	}
	if after == "" {
		after = noCommit
	}
	commits := make([]object, 0, len(c.commits))
	for _, commit := range c.commits {
		commits = append(commits, s.pushedCommitObject(r, commit))
	}
	var head any
	if c.head != nil {
		head = s.pushedCommitObject(r, *c.head)
	}
	// A push describes the repository in its own way: times as numbers, the web's address, the owner's name.
	repo := s.repositoryObject(r)
	repo["url"], repo["created_at"], repo["pushed_at"] = repo["html_url"], r.createdAt.Unix(), r.pushedAt.Unix()
	repo["stargazers"], repo["master_branch"] = 0, defaultBranch
	owner := s.userObject(r.owner())
	owner["name"], owner["email"] = r.owner().login, s.signature(r.owner()).Email
	repo["owner"] = owner
	return object{
		"ref": c.ref, "before": before, "after": after, "created": c.before == "", "deleted": c.after == "", "forced": c.forced, "base_ref": nil,
		"compare": s.webURL(r.fullName(), "compare", before[:12]+"..."+after[:12]), "commits": commits, "head_commit": head,
		"repository": repo, "pusher": object{"name": by.login, "email": s.signature(by).Email},
	}
}

func (s *Server) pushedCommitObject(r *repository, c pushedCommit) object {
	person := func(by signature) object {
		o := object{"name": by.Name, "email": by.Email, "date": by.Date.Format(time.RFC3339)}
		if u := s.author(by); u != nil {
			o["username"] = u.login
		}
		return o
	}
	return object{
		"id": c.SHA, "tree_id": c.Tree, "distinct": true, "message": c.Message, "timestamp": c.Committer.Date.Format(time.RFC3339),
		"url": s.webURL(r.fullName(), "commit", c.SHA), "author": person(c.Author), "committer": person(c.Committer),
		"added": c.added, "modified": c.modified, "removed": c.removed,
	}
}
