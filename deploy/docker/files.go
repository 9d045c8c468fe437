package docker

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"vitrine/deploy"
	"vitrine/deployments"
)

const (
	// passwdLimit is how much of a container's /etc/passwd is read, in bytes.
	passwdLimit = 1 << 20
	// readable are the permissions that everybody has of what is copied from a checkout. Folders can be written to as well: servers often begin as root and
	// work as a user of their own.
	everybodyReads = 0o444
	folderMode     = 0o777
)

// copyFiles copies the service's files into its container, which has never run. What lies below a folder that the container has a volume or a folder in
// memory at is left out, as it is where files are mounted.
func (s *start) copyFiles(ctx context.Context, svc *service) error {
	if len(svc.Files) == 0 {
		return nil
	}
	who, err := s.userOf(ctx, svc)
	if err != nil {
		return err
	}
	reader, writer := io.Pipe()
	written := make(chan error, 1)
	go func() {
		stream := fileStream{tar: tar.NewWriter(writer), dir: s.dir, user: who, container: svc.Container}
		err := stream.write()
		written <- errors.Join(err, writer.CloseWithError(err))
	}()
	err = s.client.CopyToContainer(ctx, svc.id, "/", reader, container.CopyToContainerOptions{})
	// Whatever is still to be written fails once nobody reads.
	reader.CloseWithError(err)
	wrong := <-written
	switch {
	case err == nil && wrong == nil:
		return nil
	case errdefs.IsInvalidArgument(err) && !full(err.Error()):
		return &deployments.Fault{Kind: deployments.FaultStart, Service: svc.Service, Reason: fmt.Sprintf("its files cannot be copied: %v", err)}
	default:
		return fmt.Errorf("copy files into container %s: %w", svc.Name, errors.Join(err, wrong))
	}
}

// A fileStream writes the files of a container as a tar archive that is unpacked at its root.
type fileStream struct {
	tar       *tar.Writer
	dir       string // the checkout
	user      owner
	container deploy.Container
}

// An owner is whom a file belongs to.
type owner struct{ uid, gid int }

func (f fileStream) write() error {
	var checkout *os.Root
	for _, file := range f.container.Files {
		if file.Source == "" {
			if err := f.content(file); err != nil {
				return err
			}
			continue
		}
		if checkout == nil {
			var err error
			if checkout, err = os.OpenRoot(f.dir); err != nil {
				return fmt.Errorf("open checkout: %w", err)
			}
			defer checkout.Close()
		}
		if err := f.copied(checkout, file); err != nil {
			return fmt.Errorf("copy %s: %w", file.Source, err)
		}
	}
	return f.tar.Close()
}

// content writes a file that the stack itself has.
func (f fileStream) content(file deploy.File) error {
	mode := int64(file.Mode)
	if mode == 0 {
		mode = everybodyReads
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: inArchive(file.Target), Mode: mode, Size: int64(len(file.Content)), Uid: file.UID, Gid: file.GID}
	if err := f.tar.WriteHeader(header); err != nil {
		return err
	}
	_, err := f.tar.Write(file.Content)
	return err
}

// copied writes what lies at a place of the checkout: a file, or a folder with everything in it. Links stay what they are.
func (f fileStream) copied(checkout *os.Root, file deploy.File) error {
	info, err := checkout.Lstat(file.Source)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return f.entry(checkout, file, file.Source, path.Clean(file.Target), info)
	}
	return fs.WalkDir(checkout.FS(), file.Source, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := path.Join(file.Target, strings.TrimPrefix(strings.TrimPrefix(name, file.Source), "/"))
		if file.Source == "." {
			target = path.Join(file.Target, name)
		}
		if f.hidden(target, file) {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return f.entry(checkout, deploy.File{}, name, target, info)
	})
}

// hidden reports whether something else is mounted at the folder, and the file is not meant for it.
func (f fileStream) hidden(target string, file deploy.File) bool {
	if target == path.Clean(file.Target) {
		return false
	}
	for _, m := range f.container.Mounts {
		if path.Clean(m.Target) == target {
			return true
		}
	}
	for _, t := range f.container.Tmpfs {
		if path.Clean(t.Target) == target {
			return true
		}
	}
	return false
}

// entry writes one file, folder or link. What is set in file, which a single one has, goes before what the checkout says.
func (f fileStream) entry(checkout *os.Root, file deploy.File, name, target string, info fs.FileInfo) error {
	header := &tar.Header{Name: inArchive(target), ModTime: info.ModTime(), Uid: f.user.uid, Gid: f.user.gid}
	if file.UID != 0 || file.GID != 0 {
		header.Uid, header.Gid = file.UID, file.GID
	}
	switch {
	case info.IsDir():
		header.Typeflag, header.Name, header.Mode = tar.TypeDir, header.Name+"/", folderMode
		return f.tar.WriteHeader(header)
	case info.Mode()&fs.ModeSymlink != 0:
		to, err := checkout.Readlink(name)
		if err != nil {
			return err
		}
		header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, to, folderMode
		return f.tar.WriteHeader(header)
	case !info.Mode().IsRegular(): // git has no such thing
		return nil
	}
	header.Typeflag, header.Size = tar.TypeReg, info.Size()
	header.Mode = int64(info.Mode().Perm()) | everybodyReads
	if info.Mode()&0o100 != 0 {
		header.Mode |= 0o111
	}
	if file.Mode != 0 {
		header.Mode = int64(file.Mode)
	}
	if err := f.tar.WriteHeader(header); err != nil {
		return err
	}
	content, err := checkout.Open(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f.tar, content)
	return errors.Join(err, content.Close())
}

// inArchive returns the name in the archive of an absolute path.
func inArchive(target string) string { return strings.TrimPrefix(path.Clean(target), "/") }

// userOf returns whom the container runs as. One that it does not have is root here; the start then says what is wrong.
func (s *start) userOf(ctx context.Context, svc *service) (owner, error) {
	found, err := s.client.ContainerInspect(ctx, svc.id)
	if err != nil {
		return owner{}, fmt.Errorf("look up container %s: %w", svc.Name, err)
	}
	name, group, _ := strings.Cut(found.Config.User, ":")
	if name == "" || name == "root" {
		return owner{}, nil
	}
	gid, _ := strconv.Atoi(group) // a group's name stays root's: its owner can do more anyway
	if uid, err := strconv.Atoi(name); err == nil {
		return owner{uid: uid, gid: gid}, nil
	}
	passwd, err := s.passwd(ctx, svc)
	if err != nil {
		return owner{}, err
	}
	return ownerIn(passwd, name), nil
}

// ownerIn returns the user of a name by the lines of passwd(5), root where there is none.
func ownerIn(passwd []byte, name string) owner {
	for lines := bufio.NewScanner(bytes.NewReader(passwd)); lines.Scan(); {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) < 4 || fields[0] != name {
			continue
		}
		uid, err1 := strconv.Atoi(fields[2])
		gid, err2 := strconv.Atoi(fields[3])
		if err1 == nil && err2 == nil {
			return owner{uid: uid, gid: gid}
		}
	}
	return owner{}
}

// passwd returns the container's /etc/passwd, nothing where it has none.
func (s *start) passwd(ctx context.Context, svc *service) (_ []byte, err error) {
	stream, _, err := s.client.CopyFromContainer(ctx, svc.id, "/etc/passwd")
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read users of container %s: %w", svc.Name, err)
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	archive := tar.NewReader(stream)
	if _, err := archive.Next(); err != nil {
		return nil, fmt.Errorf("read users of container %s: %w", svc.Name, err)
	}
	return io.ReadAll(io.LimitReader(archive, passwdLimit))
}
