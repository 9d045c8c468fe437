package policy

import (
	"strings"

	"github.com/compose-spec/compose-go/v2/tree"
)

// A refusal says why no preview gets a field, and how to do without.
type refusal struct{ why, instead string }

// refusals are the fields that no preview gets. Other fields of the specification are not supported yet.
func refusals() map[tree.Path]refusal {
	all := map[tree.Path]refusal{}
	for path, r := range elsewhere() {
		all[path] = r
	}
	for fields, r := range ofServices() {
		for field := range strings.FieldsSeq(fields) {
			all[tree.Path("services.*."+field)] = r
		}
	}
	return all
}

// elsewhere are those that do not belong to a service.
func elsewhere() map[tree.Path]refusal {
	const named = "it could name what belongs to another preview"
	device := refusal{"it could mount folders of the host, or another machine's", "Remove it; the volume is kept on the server's disk as long as the environment lives"}
	network := refusal{"a preview has one network, which the server makes", "Remove it; the services find each other by their names"}
	secret := refusal{"it lies outside of the repository", "Write `environment:` with the name of a variable, which is set with `vitrine env set`"}
	config := refusal{"it lies outside of the repository", "Write `content:`, or `file:` with a file of the repository"}
	return map[tree.Path]refusal{
		"models":                    {"a preview reaches its own services only", "Run the model as a service of its own"},
		"jobs":                      {"one-shot jobs are the server's to run", "Write them under `init:` in .vitrine.yml"},
		"volumes.*.name":            {named, "Remove it; the volume's key is its name in this file"},
		"volumes.*.external":        {named, "Remove it; a new volume is made for each environment. Fill it with a job under `init:` in .vitrine.yml"},
		"volumes.*.driver":          device,
		"volumes.*.driver_opts":     device,
		"networks.*.name":           {named, "Remove it; the network's key is its name in this file"},
		"networks.*.external":       {named, "Remove it; what the services need of it has to be a service of this file"},
		"networks.*.driver":         network,
		"networks.*.driver_opts":    network,
		"networks.*.attachable":     network,
		"networks.*.ipam":           {"addresses are given by the server", "Remove it; use the services' names instead of addresses"},
		"secrets.*.external":        secret,
		"secrets.*.driver":          secret,
		"secrets.*.driver_opts":     secret,
		"secrets.*.template_driver": secret,
		"secrets.*.name":            secret,
		"configs.*.external":        config,
		"configs.*.template_driver": config,
		"configs.*.name":            config,
	}
}

// ofServices are the fields of services, several that share a reason in one line.
func ofServices() map[string]refusal {
	const (
		host      = "it would give the container what belongs to the host"
		namespace = "it would put the container into a foreign namespace"
		scheduler = "it would change how the host treats the container"
		elsewhere = "a preview reaches its own services only"
		build     = "images are built, named and kept by the server"
		remove    = "Remove it"
	)
	return map[string]refusal{
		"privileged cap_add use_api_socket": {host, "Remove it; what needs it cannot run in a preview. Put it behind a profile, and it stays out"},
		"devices device_cgroup_rules gpus deploy.resources.reservations.devices deploy.resources.reservations.generic_resources": {host,
			"Remove it; a preview has processors and memory only"},
		"credential_spec":             {host, "Remove it; give secrets with `secrets:` and `environment:`"},
		"volumes_from":                {"it would mount what belongs to another container", "Name the volumes under `volumes:` of both services"},
		"volume_driver":               {"it could mount folders of the host, or another machine's", remove},
		"volumes.[].image":            {"the files would come from an image that the policy has not seen", "COPY them with `--from` in a Dockerfile"},
		"volumes.[].bind.propagation": {"it would change the mounts of the host", "Remove it"},
		"network_mode":                {namespace, "Remove it; the services of the file are in one network and find each other by their names"},
		"pid ipc uts userns_mode cgroup cgroup_parent": {namespace, remove},
		"build.network":                       {namespace, "Remove it; a build reaches the internet"},
		"build.privileged build.entitlements": {host, "Remove it; a build runs without privileges"},
		"build.ssh":                           {"builds get no keys", "Use a token that the RUN mounts as a secret, under `build.secrets`"},
		"build.extra_hosts":                   {elsewhere, "Use the hosts' names"},
		"build.cache_from build.cache_to build.tags build.labels build.platforms":   {build, remove},
		"build.isolation build.ulimits":                                             {scheduler, remove},
		"external_links":                                                            {elsewhere, "Add the other container as a service to this file"},
		"dns dns_opt dns_search":                                                    {"names are resolved by the server", remove},
		"mac_address networks.*.mac_address":                                        {"addresses are given by the server", remove},
		"networks.*.ipv4_address networks.*.ipv6_address networks.*.link_local_ips": {"addresses are given by the server", "Remove it; use the service's name instead of its address"},
		"networks.*.driver_opts":                                                    {"a preview has one network, which the server makes", remove},
		"models provider":                                                           {elsewhere, "Run it as a service of its own"},
		"sysctls":                                                                   {scheduler, "Remove it; set in the application what can be set there"},
		"runtime isolation annotations blkio_config storage_opt":                    {scheduler, remove},
		"cpu_rt_period cpu_rt_runtime cpuset":                                       {scheduler, "Write `cpus: 2`, or what it needs"},
		"oom_kill_disable oom_score_adj mem_swappiness":                             {scheduler, "Write `mem_limit: 1g`, or what it needs"},
		"group_add":          {"the groups could be the host's", "Write the group behind the user, such as `user: \"1000:1000\"`"},
		"log_driver log_opt": {"logs are kept by the server", "Remove it; write to the standard output"},
		"deploy.mode":        {"it is for a swarm", "Remove it"},
		"pre_start.[].privileged post_start.[].privileged pre_stop.[].privileged": {host, remove},
		"pre_start.[].user post_start.[].user pre_stop.[].user":                   {"a hook runs as the user of its service", "Remove it; what has to run as another user goes into the image's entrypoint"},
	}
}
