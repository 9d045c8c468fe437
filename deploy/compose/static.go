package compose

import (
	"fmt"

	"vitrine/deploy"
	"vitrine/deployments"
	"vitrine/deployments/repoconfig"
)

// readStatic makes a stack of one service, which serves a folder as it is. What it runs is the server's own, so that it gets nothing of what is kept for
// the repository's services.
func readStatic(config repoconfig.Config, beyond Policy, folder string, v deployments.Values) (deployments.Stack, error) {
	f := &findings{files: []string{repoconfig.FileName}}
	onlyMain(config, "a folder that is served as it is", f)
	if port := config.Services[mainService].Port; port != 0 && port != deployments.StaticPort {
		f.LeaveOut(mainService, "port is left out", "a folder that is served as it is needs none")
	}
	for i := range config.Init {
		f.refuse(placed(config.Where(fmt.Sprintf("init[%d].service", i))), "init", "Remove it, or write a Dockerfile",
			fmt.Sprintf("init[%d]: a folder that is served as it is has nothing to run", i))
	}
	config.Init = nil
	stack := deploy.Stack{Services: []deploy.Service{{
		Name: mainService, Environment: v.Own, Port: deployments.StaticPort, Public: true,
	}}}
	configure(&stack, config, beyond, f)
	public := hosts(stack, config, f)
	if err := f.fault(); err != nil {
		return deployments.Stack{}, err
	}
	return encode(stack, public, []deployments.Build{{Service: mainService, Context: folder, Static: true}}, f.notes())
}

// onlyMain refuses what .vitrine.yml says of other services than the one that is there without a compose file.
func onlyMain(config repoconfig.Config, what string, f *findings) {
	for name := range config.Services {
		if name != mainService {
			f.refuse(placed(config.Where("services."+name)), "services", "", fmt.Sprintf("services.%s: %s makes one service, which is called %s", shown(name), what, mainService))
		}
	}
}
