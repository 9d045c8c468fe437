package compose

import (
	"cmp"
	"slices"

	"vitrine/deploy"
	"vitrine/deployments"
	"vitrine/deployments/repoconfig"
)

// hosts returns the public services of the stack, the one with the plain host first and the others in file order, and tells where what .vitrine.yml says of
// their hosts does not go together. The plain host goes to the one whose host is empty there, else to the one called web, else to the first, of those whose
// host it does not say.
func hosts(stack deploy.Stack, config repoconfig.Config, found *findings) []deployments.PublicService {
	at := func(service string) field {
		return field{service, "host", placed(config.Where("services." + service + ".host"))}
	}
	var all []deployments.PublicService
	given := map[string]bool{}
	plain := ""
	for _, s := range stack.Services {
		host := config.Services[s.Name].Host
		switch {
		case host == nil && !s.Public:
			continue
		case !s.Public:
			found.wrong(at(s.Name), "Give it a port, too", "it is not public, so it has no host")
			continue
		case host == nil:
			all = append(all, deployments.PublicService{Name: s.Name, Port: s.Port})
			continue
		case *host == "" && plain != "":
			found.wrong(at(s.Name), "Give one of them another", "%s has the preview's own host already", shown(plain))
		case *host == "":
			plain = s.Name
		}
		given[s.Name] = true
		all = append(all, deployments.PublicService{Name: s.Name, Port: s.Port, Host: *host})
	}
	if len(all) == 0 {
		return nil
	}
	if plain == "" {
		if plain = unsaid(all, given); plain == "" {
			found.wrong(at(all[0].Name), "Write host: \"\" for the one that is to have it, or leave host out", "no service is left for the preview's own host")
			return nil
		}
	}
	first := slices.IndexFunc(all, func(s deployments.PublicService) bool { return s.Name == plain })
	all = slices.Concat(all[first:first+1], all[:first], all[first+1:])
	taken := map[string]string{}
	for _, s := range all[1:] {
		if !given[s.Name] {
			taken[s.Name] = s.Name
		}
	}
	for _, s := range all[1:] {
		if begins := cmp.Or(s.Host, s.Name); given[s.Name] {
			if other, ok := taken[begins]; ok {
				found.wrong(at(s.Name), "Give it another", "the host of %s begins with %s, too", shown(other), shown(begins))
			}
			taken[begins] = s.Name
		}
	}
	return all
}

// unsaid returns which of the services has the plain host where nobody was given it, or "".
func unsaid(all []deployments.PublicService, given map[string]bool) string {
	name := ""
	for _, s := range all {
		if !given[s.Name] && (name == "" || s.Name == mainService) {
			name = s.Name
		}
	}
	return name
}
