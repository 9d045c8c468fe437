package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"vitrine/cmd/bench/report"
)

// probePause is the pause between two looks of a probe.
const probePause = 20 * time.Millisecond

// A probe looks at what the machine does to anybody while something else is measured, in milliseconds: how late a timer fires, which tells of the
// processor, and how long a small write takes to be safe, which tells of the disk.
type probe struct {
	late  report.Distribution
	write report.Distribution
}

// watch looks until ctx is done, and keeps its file in the folder dir, which is to be on the disk that matters.
func (p *probe) watch(ctx context.Context, dir string) error {
	file, err := os.Create(filepath.Join(dir, "probe"))
	if err != nil {
		return fmt.Errorf("make the probe's file: %w", err)
	}
	defer file.Close()
	page := make([]byte, 4<<10) // as SQLite's are
	for ctx.Err() == nil {
		due := time.Now().Add(probePause)
		select {
		case <-time.After(probePause):
		case <-ctx.Done():
			return nil
		}
		began := time.Now()
		p.late = append(p.late, milliseconds(began.Sub(due)))
		if _, err := file.WriteAt(page, 0); err != nil {
			return fmt.Errorf("write the probe's file: %w", err)
		}
		if err := file.Sync(); err != nil {
			return fmt.Errorf("write the probe's file: %w", err)
		}
		p.write = append(p.write, milliseconds(time.Since(began)))
	}
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
