package compose

import (
	"fmt"
	"slices"

	"vitrine/deploy"
	"vitrine/deployments/repoconfig"
)

// configure brings what .vitrine.yml says of the services into the stack, and what the operator does. It wins over what the compose file says of the same.
func configure(stack *deploy.Stack, config repoconfig.Config, beyond Policy, found *findings) {
	stack.MaxMemory, stack.MaxCPUs = beyond.Memory, beyond.CPUs
	for i := range stack.Services {
		s := &stack.Services[i]
		c, ok := config.Services[s.Name]
		if !ok {
			continue
		}
		key := "services." + s.Name + "."
		at := func(name string) field { return field{s.Name, name, placed(config.Where(key + name))} }
		if c.Health.Path != "" && s.Port == 0 {
			found.wrong(at("health.path"), "Give it a port, too", "it has no port that could be asked")
		}
		s.HealthPath, s.StartTimeout = c.Health.Path, c.Health.Timeout
		if c.Resources.Memory != 0 {
			s.Memory = beyond.memory(found, at("resources.memory"), c.Resources.Memory)
		}
		if c.Resources.CPUs != 0 {
			s.CPUs = beyond.cpus(found, at("resources.cpus"), c.Resources.CPUs)
		}
		s.InPlace = c.Replace == repoconfig.ReplaceInPlace
	}
	for i, job := range config.Init {
		if !slices.ContainsFunc(stack.Services, func(s deploy.Service) bool { return s.Name == job.Service }) {
			found.refuse(placed(config.Where(fmt.Sprintf("init[%d].service", i))), "init", "Name one that is deployed",
				fmt.Sprintf("init[%d].service: there is no service %q", i, shown(job.Service)))
		}
		stack.Jobs = append(stack.Jobs, deploy.Job{Service: job.Service, Run: job.Run, First: job.When == repoconfig.First})
	}
}
