package repoconfig

import (
	"sync"
	"time"

	"go.yaml.in/yaml/v4"

	"vitrine/deployments"
)

// whole is what [file] returns. It never changes.
var whole = sync.OnceValue(file)

// file describes the whole of .vitrine.yml. Its decoding, the keys that errors name and the JSON schema all come from here.
func file() form[Config] {
	composeFile := repoPath("a compose file", "docker-compose.yml", `|^[./]*$`)
	composeFiles := list(1, "a path or a list of paths, such as [docker-compose.yml, compose.preview.yml]", composeFile)
	patterns := list(0, "a list of names or patterns, such as [main, \"release/*\"]", pattern())
	return object(exclusive{[]string{"compose", "dockerfile", "static"}, "keep the one that is to be deployed"},
		entry("compose", oneOr(composeFiles, composeFile), func(c *Config) *[]string { return &c.Compose },
			"The compose file, or several of which the later ones are merged on top. By default the first of compose.yaml, compose.yml, "+
				"docker-compose.yaml and docker-compose.yml.", nil),
		entry("dockerfile", repoPath("a Dockerfile", "docker/Dockerfile", `|^[./]*$`), func(c *Config) *string { return &c.Dockerfile },
			"A Dockerfile that makes a single service `web`, with its port from EXPOSE.", "Dockerfile"),
		entry("static", repoPath("a folder", "public/", ""), func(c *Config) *string { return &c.Static },
			"A folder with an index.html, served as it is by a single service `web`. By default the root, where it has an index.html and neither a compose "+
				"file nor a Dockerfile.", nil),
		entry("branches", patterns, func(c *Config) *[]string { return &c.Branches },
			"Branches that have a preview of their own, read at the default branch. A star stays within one segment of a name.", []string{}),
		entry("pull_requests", pullRequests(), func(c *Config) *PullRequests { return &c.PullRequests },
			"Which pull requests have a preview, read at the pull request's own head, and at its base branch where it comes from a fork.", nil),
		entry("services", named(text{}, service()), func(c *Config) *map[string]Service { return &c.Services },
			"More about services, by their names. Where one has a port here, exactly those that have one are public.", nil),
		entry("init", list(0, "a list of jobs, such as [{service: web, run: [bin/migrate]}]", job()), func(c *Config) *[]Job { return &c.Init },
			"Jobs that run once what their service depends on is up, and end before it starts.", nil),
		later(entry("databases", list(0, "a list of databases, such as [{name: shop, service: db}]", database()), func(c *Config) *[]Database { return &c.Databases },
			"Services whose files are a clone of a dataset that the server keeps.", nil)),
		later(entry("with", list(0, "a list of repositories, such as [{repo: acme/front, branch: same}]", companion()), func(c *Config) *[]Companion { return &c.With },
			"Other repositories that the preview is made of.", nil)),
		entry("env", named(variableName(), declaration()), func(c *Config) *map[string]deployments.Declaration { return &c.Env },
			"Variables that serve ${...} in the compose file and reach every service, by their names. The repository's Variables override them.", nil),
		entry("ttl", duration("how long a preview stays, such as 36h, 3d or 2w"), func(c *Config) *time.Duration { return &c.TTL },
			"How long a preview stays after the last push or command, at most as long as the server lets it.", "168h"),
		later(entry("sleep_after", duration("a time, such as 30m"), func(c *Config) *time.Duration { return &c.SleepAfter },
			"How long nobody has to visit a preview before it sleeps.", "30m")),
		later(entry("access", oneOf(AccessPublic, AccessGithub, AccessLink), func(c *Config) *Access { return &c.Access },
			"Who may visit: everybody, who can read the repository, or who has a signed link.", nil)),
		later(entry("open", list(0, "a list of paths, such as [/webhooks/]", words(urlPath())), func(c *Config) *[]string { return &c.Open },
			"Beginnings of paths that need no access.", []string{})),
	)
}

func pullRequests() form[PullRequests] {
	label := text{wants: "a label's name, at most 50 characters in one line", match: `^[^\x00-\x1f]{0,50}$`}
	return object(exclusive{},
		entry("drafts", boolean(), func(r *PullRequests) **bool { return &r.Drafts }, "Whether drafts have a preview.", true),
		entry("bots", boolean(), func(r *PullRequests) **bool { return &r.Bots }, "Whether pull requests that a bot opened have one.", false),
		entry("label", words(label), func(r *PullRequests) *string { return &r.Label }, "Only pull requests with this label have one; all if empty.", ""),
		entry("paths", filePatterns(), func(r *PullRequests) *[]string { return &r.Paths },
			"Only pull requests that change one of these files have one; all if empty. Patterns are as in .dockerignore: ** is any number of folders, and ! takes out.",
			[]string{}),
		entry("forks", oneOf(ForksApprove, ForksNever), func(r *PullRequests) *Forks { return &r.Forks },
			"Whether pull requests from forks are deployed once somebody with write access approved the commit, or never.", "approve"),
	)
}

func service() form[Service] {
	const port = `^([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$`
	host := text{wants: "what its host is to begin with: letters, digits and dashes, lower-case, such as shop, or nothing", match: `^([a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?)?$`}
	health := object(exclusive{},
		entry("path", words(urlPath()), func(h *Health) *string { return &h.Path },
			"What the service is asked for until it answers with a status below 400.", nil),
		entry("timeout", duration("how long it may take to become healthy, such as 60s"), func(h *Health) *time.Duration { return &h.Timeout },
			"How long the service may take to become healthy.", "60s"),
	)
	resources := object(exclusive{},
		entry("memory", size("an amount of memory, such as 512m or 1g"), func(r *Resources) *int64 { return &r.Memory },
			"Memory, at most as much as the server lets a service have.", "1g"),
		entry("cpus", fraction("a number of processors above 0, such as 0.5"), func(r *Resources) *float64 { return &r.CPUs },
			"Processors, at most as many as the server lets a service have.", 2),
	)
	return object(exclusive{},
		entry("port", integer(1, 65535, "the port where the service answers in its container, 1 to 65535, such as 8080", port),
			func(s *Service) *int { return &s.Port }, "The port where the service answers HTTP, in its container.", nil),
		entry("host", formOf(host, func(s string) (*string, bool) { return &s, true }), func(s *Service) **string { return &s.Host },
			"What its host begins with in place of its name; empty for the preview's own host. By default that is the one of the service web, or else of the first "+
				"public one.", nil),
		entry("health", health, func(s *Service) *Health { return &s.Health },
			"How to find out that it is up, where the compose file has no healthcheck.", nil),
		entry("resources", resources, func(s *Service) *Resources { return &s.Resources }, "What bounds it.", nil),
		entry("replace", oneOf(ReplaceBeside, ReplaceInPlace), func(s *Service) *Replace { return &s.Replace },
			"Whether a new version starts beside the old one, or in its place as for a service that keeps state.", "beside"),
	)
}

func job() form[Job] {
	word := words(text{wants: "a word of the command", numbers: true})
	return object(exclusive{},
		must(entry("service", words(serviceName()), func(j *Job) *string { return &j.Service }, "The service in whose image it runs.", nil)),
		must(entry("run", list(1, "a command and its arguments as a list, such as [\"bin/rails\", \"db:migrate\"]", word),
			func(j *Job) *[]string { return &j.Run }, "The command and its arguments.", nil)),
		entry("when", oneOf(Always, First), func(j *Job) *When { return &j.When },
			"At every deploy, or once in the preview's life and again after a reset.", "always"),
	)
}

func database() form[Database] {
	name := text{wants: "the dataset's name: lower-case letters, digits, - and _", match: `^[a-z0-9][a-z0-9_-]{0,62}$`}
	return object(exclusive{},
		must(entry("name", words(name), func(d *Database) *string { return &d.Name }, "The dataset's name.", nil)),
		must(entry("service", words(serviceName()), func(d *Database) *string { return &d.Service }, "The service whose files it holds.", nil)),
	)
}

func companion() form[Companion] {
	repo := text{wants: "a repository, such as acme/front", match: `^[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}$`}
	// git-check-ref-format(1) forbids some more, which no branch has.
	branch := text{wants: "a branch, or same for the branch of the same name", match: `^[^\x00-\x20~^:?*\[\\]+$`}
	return object(exclusive{},
		must(entry("repo", words(repo), func(c *Companion) *string { return &c.Repo }, "The repository, owner/name.", nil)),
		entry("branch", words(branch), func(c *Companion) *string { return &c.Branch },
			"Its branch; same is the one of the same name where there is one, else the default branch.", "same"),
	)
}

// Bounds of a generated value, in hexadecimal digits: 64 bits at least.
const (
	minGenerated = 16
	maxGenerated = 1024
)

func declaration() form[deployments.Declaration] {
	value := text{wants: "a value, or one of {generate: 64}, {required: \"whom to ask\"}, {fork: \"dummy\"} and {encrypted: \"age...\"}", match: `^[^\x00]*$`, numbers: true}
	literal := formOf(value, func(s string) (deployments.Declaration, bool) { return deployments.Declaration{Value: &s}, true })
	fork := value
	fork.wants = "the value that the code of forks gets"
	whom := text{wants: "whom to ask for the value, such as \"ask the payments team\"", match: `^[^\x00-\x1f]{1,200}$`}
	encrypted := text{wants: "a value that is encrypted for the server, which begins with age or with -----BEGIN AGE", match: `^(age|-----BEGIN AGE)`}
	source := object(exclusive{[]string{"generate", "required", "encrypted"}, "a variable has its value from one of them"},
		entry("generate", integer(minGenerated, maxGenerated, "how many hexadecimal digits the value has, 16 to 1024, such as 64", ""),
			func(d *deployments.Declaration) *int { return &d.Generate }, "A random value of so many hexadecimal digits, drawn once for each preview.", nil),
		entry("required", words(whom), func(d *deployments.Declaration) *string { return &d.Required },
			"The value has to be a Variable of the repository; whom to ask where it is missing.", nil),
		entry("fork", formOf(fork, func(s string) (*string, bool) { return &s, true }), func(d *deployments.Declaration) **string { return &d.Fork },
			"The value for the code of forks, which never sees a Variable.", nil),
		later(entry("encrypted", words(encrypted), func(d *deployments.Declaration) *string { return &d.Encrypted },
			"The value, encrypted for the server.", nil)),
	)
	source.schema = source.schema.with("minProperties", 1)
	all := either(value.wants, literal, source)
	read := func(p *parser, at string, n *yaml.Node, into *deployments.Declaration) {
		if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
			p.wrong(n, "%s wants %s", shown(at), value.wants)
		}
		all.read(p, at, n, into)
		into.Where = p.config.Where(at)
	}
	return form[deployments.Declaration]{read, all.schema}
}

func variableName() text {
	return text{
		wants: "a variable's name has letters, digits and _, and neither begins with a digit nor with VITRINE_",
		match: `^[A-Za-z_][A-Za-z0-9_]*$`, never: `^VITRINE_`,
	}
}

func serviceName() text {
	return text{wants: "the name of a service, such as web", match: `^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$`}
}

func urlPath() text {
	return text{wants: "a path that begins with a slash, such as /healthz", match: `^/[^\x00-\x20?#]*$`}
}
