package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
)

func (in PlanInput) volume(volume, name string) Volume {
	l := stateLabels(in.Instance, in.State)
	l[LabelEnvironment] = in.Environment
	return Volume{Volume: volume, Name: name, Labels: l}
}

// A mountedVolume is a volume of one container, and where it is mounted.
type mountedVolume struct {
	Volume Volume
	Mount  Mount
}

// declared returns a volume for each folder that the image declares to be one and that nothing else is mounted at. Left to itself the engine makes
// these without a name or a label, and nothing would tell whose they are. The ':' keeps them apart from the stack's own. Each replica has its own.
func (in PlanInput) declared(s Service, image Image, replica int) []mountedVolume {
	taken := make(map[string]bool)
	for _, m := range s.Mounts {
		taken[path.Clean(m.Target)] = true
	}
	for _, t := range s.Tmpfs {
		taken[path.Clean(t.Target)] = true
	}
	var volumes []mountedVolume
	for _, target := range slices.Sorted(slices.Values(image.Volumes)) {
		if target = path.Clean("/" + target); taken[target] {
			continue
		}
		taken[target] = true
		sum := sha256.Sum256([]byte(target))
		volume := s.Name + ":" + target
		if replica > 0 {
			volume = fmt.Sprintf("%s.%d:%s", s.Name, replica, target)
		}
		name := fmt.Sprintf("%s.%s.%s", in.stateName(replica), s.Name, hex.EncodeToString(sum[:4]))
		volumes = append(volumes, mountedVolume{in.volume(volume, name), Mount{Volume: volume, Target: target}})
	}
	return volumes
}
