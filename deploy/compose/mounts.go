package compose

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/go-units"

	"vitrine/deploy"
)

const (
	maxMounts = 50      // of a service
	maxTmpfs  = 1 << 30 // bytes
)

// mounts adds the service's volumes and tmpfs, and what of the checkout is copied in.
func (r *reading) mounts(s *deploy.Service, c types.ServiceConfig) {
	if n := len(c.Volumes) + len(c.Tmpfs); n > maxMounts {
		r.wrong(r.field(s.Name, "volumes"), "", "there are %d mounts; a service may have %d", n, maxMounts)
		return
	}
	for i, t := range c.Tmpfs {
		target, options, _ := strings.Cut(t, ":")
		f := r.item(s.Name, "tmpfs", i, len(c.Tmpfs), target)
		if target, ok := r.target(f, s, target); ok {
			s.Tmpfs = append(s.Tmpfs, r.tmpfs(f, target, options))
		}
	}
	for i, v := range c.Volumes {
		f := r.item(s.Name, "volumes", i, len(c.Volumes), v.Target)
		target, ok := r.target(f, s, v.Target)
		if !ok {
			continue
		}
		if v.Bind != nil && v.Bind.Propagation != "" {
			r.wrong(f, "Remove it", "the propagation %s would change the mounts of the host, which is not allowed in a preview", shown(v.Bind.Propagation))
			continue
		}
		switch v.Type {
		case types.VolumeTypeTmpfs:
			r.tmpfsVolume(f, s, target, v)
		case types.VolumeTypeBind:
			r.bind(f, s, target, v)
		case types.VolumeTypeVolume:
			r.volume(f, s, target, v)
		default:
			r.wrong(f, "Use a volume, or COPY the files in the Dockerfile", "the type %q is not allowed in a preview: only bind, volume and tmpfs are", shown(v.Type))
		}
	}
}

// target returns where something is mounted, if nothing is there yet.
func (r *reading) target(f field, s *deploy.Service, target string) (string, bool) {
	target = path.Clean(target)
	switch {
	case !path.IsAbs(target) || target == "/":
		r.wrong(f, "Write one such as /data", "it wants an absolute path in the container, other than /")
	case slices.ContainsFunc(s.Mounts, func(m deploy.Mount) bool { return m.Target == target }),
		slices.ContainsFunc(s.Tmpfs, func(t deploy.Tmpfs) bool { return t.Target == target }),
		slices.ContainsFunc(s.Files, func(f deploy.File) bool { return f.Target == target }):
		r.wrong(f, "Keep one", "%s is mounted twice", shown(target))
	default:
		return target, true
	}
	return "", false
}

// tmpfs reads the options of mount(8), as the engine has them.
func (r *reading) tmpfs(f field, target, options string) deploy.Tmpfs {
	t := deploy.Tmpfs{Target: target}
	for option := range strings.SplitSeq(options, ",") {
		name, value, _ := strings.Cut(option, "=")
		switch name {
		case "", "rw", "noexec", "nosuid", "nodev":
		case "size":
			bytes, err := units.RAMInBytes(value)
			if err != nil {
				r.wrong(f, "Write one such as size=64m", "%q is no size", shown(value))
				continue
			}
			t.Size = r.inMemory(f.service, "tmpfs", bytes)
		case "mode":
			mode, err := strconv.ParseUint(value, 8, 32)
			if err != nil || mode > 0o1777 {
				r.wrong(f, "Write one such as mode=1777", "%q are no permission bits", shown(value))
			}
			t.Mode = uint32(mode)
		default:
			r.findings.LeaveOut(f.service, "the option "+shown(name)+" of tmpfs is left out", "size and mode are those that count")
		}
	}
	return t
}

func (r *reading) tmpfsVolume(f field, s *deploy.Service, target string, v types.ServiceVolumeConfig) {
	t := deploy.Tmpfs{Target: target}
	if v.Source != "" {
		r.wrong(f, "Remove it", "a tmpfs has no source")
	}
	if v.Tmpfs != nil {
		t.Size = r.inMemory(s.Name, "tmpfs", int64(v.Tmpfs.Size))
		if t.Mode = v.Tmpfs.Mode; t.Mode > 0o1777 {
			r.wrong(f, "Write one such as 0o1777", "%o are no permission bits", t.Mode)
		}
	}
	s.Tmpfs = append(s.Tmpfs, t)
}

// A volume is one of the stack's own, or an anonymous one.
func (r *reading) volume(f field, s *deploy.Service, target string, v types.ServiceVolumeConfig) {
	declared, _ := r.top["volumes"].(map[string]any)
	_, ok := declared[v.Source]
	switch {
	case v.Volume != nil && v.Volume.Subpath != "" && (v.Source == "" || !filepath.IsLocal(v.Volume.Subpath)):
		r.wrong(f, "Write one such as uploads/images", "volume.subpath wants the path of a folder in a volume that has a name")
		return
	case v.Source == "":
		v.Source = anonymous(s.Name, target)
	case !volumeName.MatchString(v.Source) || !ok:
		r.wrong(f, "Add it under the top-level `volumes:`", "there is no volume %q", shown(v.Source))
		return
	}
	m := deploy.Mount{Volume: v.Source, Target: target, ReadOnly: v.ReadOnly}
	if v.Volume != nil {
		m.NoCopy, m.Subpath = v.Volume.NoCopy, v.Volume.Subpath
	}
	r.mount(s, m)
}

func (r *reading) mount(s *deploy.Service, m deploy.Mount) {
	if !slices.Contains(r.stack.Volumes, m.Volume) {
		r.stack.Volumes = append(r.stack.Volumes, m.Volume)
	}
	s.Mounts = append(s.Mounts, m)
}

var volumeName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)

// bind takes a folder or a file of the checkout, which is copied in at each deploy. What is not in the checkout would be made by compose; it
// becomes a volume.
func (r *reading) bind(f field, s *deploy.Service, target string, v types.ServiceVolumeConfig) {
	const instead = "Use a volume, or COPY the files in the Dockerfile"
	source := path.Join(r.folder, v.Source)
	if v.Source == "" || leavesHome(v.Source) || source == ".." || strings.HasPrefix(source, "../") {
		r.wrong(f, instead, "%s would mount a folder of the host, which is not allowed in a preview", shown(v.Source))
		return
	}
	there, ok := r.there(f, source)
	switch {
	case !ok:
	case there && !r.seen(f, target):
	case there:
		if sum, ok := r.sum(f, source); ok {
			s.Files = append(s.Files, deploy.File{Target: target, Source: source, Sum: sum})
		}
	default:
		r.findings.LeaveOut(s.Name, shown(v.Source)+" is not in the repository", "it becomes a volume, which is empty at first")
		r.mount(s, deploy.Mount{Volume: "bind." + hash(source), Target: target, ReadOnly: v.ReadOnly, NoCopy: true})
	}
}

// anonymous names a volume for where it is mounted, so that it keeps its name from one deploy to the next.
func anonymous(service, target string) string {
	return fmt.Sprintf("%s.anonymous-%s", service, hash(target))
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:4])
}
