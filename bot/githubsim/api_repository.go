package githubsim

import (
	"encoding/base64"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
)

func (c *call) getRepository() answer {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return ok(c.s.fullRepositoryObject(c.repo))
}

func (c *call) getPermission() answer {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	u := c.s.users[strings.ToLower(c.r.PathValue("login"))]
	if u == nil || u.kind != "User" {
		return fail(http.StatusNotFound, c.r.PathValue("login")+" is not a user")
	}
	role := c.repo.role(u.login)
	who := c.s.userObject(u)
	who["role_name"] = role
	who["permissions"] = object{
		"pull": role != "none", "triage": covers(role, "write"), "push": covers(role, "write"), "maintain": role == "admin", "admin": role == "admin",
	}
	return ok(object{"permission": role, "role_name": role, "user": who})
}

func (c *call) getBranch() answer {
	name := c.r.PathValue("branch")
	sha := c.ref(branchPrefix + name)
	if sha == "" {
		return fail(http.StatusNotFound, "Branch not found")
	}
	commit, err := c.commitObject(sha)
	if err != nil {
		return c.s.failure(err)
	}
	api := c.s.apiURL("repos", c.repo.fullName(), "branches", name)
	return ok(object{
		"name": name, "commit": commit, "_links": object{"self": api, "html": c.s.webURL(c.repo.fullName(), "tree", name)}, "protected": false,
		"protection": object{"enabled": false}, "protection_url": api + "/protection",
	})
}

func (c *call) listBranches() answer {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	items := []object{}
	for _, ref := range slices.Sorted(maps.Keys(c.repo.refs)) {
		if name, isBranch := strings.CutPrefix(ref, branchPrefix); isBranch {
			sha := c.repo.refs[ref]
			commit := object{"sha": sha, "url": c.s.apiURL("repos", c.repo.fullName(), "commits", sha)}
			items = append(items, object{"name": name, "commit": commit, "protected": false})
		}
	}
	return c.paginate(items)
}

// ref returns the commit of a ref by its full name, "" for none.
func (c *call) ref(name string) string {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.repo.refs[name]
}

func (c *call) getRef() answer {
	name := "refs/" + c.r.PathValue("ref")
	sha := c.ref(name)
	if sha == "" {
		return notFound()
	}
	api := c.s.apiURL("repos", c.repo.fullName(), "git")
	return ok(object{
		"ref": name, "node_id": nodeID("Ref", c.repo.id), "url": api + "/" + name,
		"object": object{"type": "commit", "sha": sha, "url": api + "/commits/" + sha},
	})
}

// resolve returns the commit that a branch, a tag or a commit id means, "" for none.
func (c *call) resolve(ref string) string {
	if ref == "" {
		ref = defaultBranch
	}
	if sha := c.s.commitOf(c.repo, ref); sha != "" {
		return sha
	}
	if len(ref) < 4 || len(ref) > 40 || strings.Trim(ref, "0123456789abcdef") != "" {
		return ""
	}
	out, err := c.s.git.run(c.r.Context(), c.repo.dir, nil, "rev-parse", "--verify", "--quiet", "--end-of-options", ref+"^{commit}")
	if err != nil {
		return "" // there is no such commit
	}
	return strings.TrimSpace(out)
}

func (c *call) getCommit() answer {
	ref := c.r.PathValue("ref")
	sha := c.resolve(ref)
	if sha == "" {
		return invalid("No commit found for SHA: " + ref)
	}
	if strings.Contains(c.r.Header.Get("Accept"), "sha") {
		return answer{status: http.StatusOK, body: sha, header: http.Header{"Content-Type": {"application/vnd.github.sha"}}}
	}
	commit, err := c.commitObject(sha)
	if err != nil {
		return c.s.failure(err)
	}
	return ok(commit)
}

func (c *call) commitObject(sha string) (object, error) {
	commits, err := c.s.git.log(c.r.Context(), c.repo.dir, 1, sha)
	if err != nil {
		return nil, err
	}
	commit := commits[0]
	api, web := c.s.apiURL("repos", c.repo.fullName()), c.s.webURL(c.repo.fullName(), "commit")
	parents := []object{}
	for _, p := range commit.Parents {
		parents = append(parents, object{"sha": p, "url": api + "/commits/" + p, "html_url": web + "/" + p})
	}
	person := func(by signature) object { return object{"name": by.Name, "email": by.Email, "date": stamp(by.Date)} }
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return object{
		"sha": sha, "node_id": nodeID("Commit", c.repo.id), "url": api + "/commits/" + sha, "html_url": web + "/" + sha,
		"comments_url": api + "/commits/" + sha + "/comments", "parents": parents,
		"author": c.s.userObject(c.s.author(commit.Author)), "committer": c.s.userObject(c.s.author(commit.Committer)),
		"commit": object{
			"url": api + "/git/commits/" + sha, "author": person(commit.Author), "committer": person(commit.Committer), "message": commit.Message,
			"tree": object{"sha": commit.Tree, "url": api + "/git/trees/" + commit.Tree}, "comment_count": 0,
			"verification": object{"verified": false, "reason": "unsigned", "signature": nil, "payload": nil, "verified_at": nil},
		},
	}, nil
}

const (
	contentLimit     = 1 << 20 // the size from which on GitHub leaves a file's content out of its answer
	contentsInFolder = 1000    // how many files of a folder it lists
)

func (c *call) getContents() answer {
	ref := c.r.URL.Query().Get("ref")
	sha := c.resolve(ref)
	if sha == "" {
		return fail(http.StatusNotFound, "No commit found for the ref "+ref)
	}
	name := strings.Trim(path.Clean("/"+c.r.PathValue("path")), "/")
	ctx, dir := c.r.Context(), c.repo.dir
	isDir := name == ""
	if !isDir {
		entries, err := c.s.git.tree(ctx, dir, sha, name)
		if err != nil {
			return c.s.failure(err)
		}
		if len(entries) == 0 || entries[0].Type == "commit" {
			return notFound()
		}
		if entries[0].Type == "blob" {
			return c.file(entries[0], ref)
		}
		name += "/"
	}
	entries, err := c.s.git.tree(ctx, dir, sha, name)
	if err != nil {
		return c.s.failure(err)
	}
	entries = entries[:min(len(entries), contentsInFolder)]
	items := make([]object, 0, len(entries))
	for _, e := range entries {
		o := c.entryObject(e, ref)
		if o["type"] == "submodule" {
			o["type"] = "file" // so that older clients understand it, GitHub's description says
		}
		items = append(items, o)
	}
	return ok(items)
}

func (c *call) file(e treeEntry, ref string) answer {
	o := c.entryObject(e, ref)
	if e.Mode == "120000" || e.Size <= contentLimit {
		content, err := c.s.git.blob(c.r.Context(), c.repo.dir, e.SHA)
		if err != nil {
			return c.s.failure(err)
		}
		if e.Mode == "120000" {
			o["target"] = content
			return ok(o)
		}
		o["encoding"], o["content"] = "base64", wrap(base64.StdEncoding.EncodeToString([]byte(content)))
		return ok(o)
	}
	o["encoding"], o["content"] = "none", ""
	return ok(o)
}

// wrap breaks base64 into lines of 60 characters, as GitHub does.
func wrap(s string) string {
	var lines strings.Builder
	for chunk := range slices.Chunk([]byte(s), 60) {
		lines.Write(chunk)
		lines.WriteByte('\n')
	}
	return lines.String()
}

func (c *call) entryObject(e treeEntry, ref string) object {
	kind := "file"
	switch {
	case e.Type == "tree":
		kind = "dir"
	case e.Type == "commit":
		kind = "submodule"
	case e.Mode == "120000":
		kind = "symlink"
	}
	if ref == "" {
		ref = defaultBranch
	}
	api := c.s.apiURL("repos", c.repo.fullName(), "contents", e.Path) + "?ref=" + ref
	return object{
		"type": kind, "size": e.Size, "name": path.Base(e.Path), "path": e.Path, "sha": e.SHA, "url": api, "git_url": nil, "html_url": nil,
		"download_url": nil, "_links": object{"self": api, "git": nil, "html": nil},
	}
}
