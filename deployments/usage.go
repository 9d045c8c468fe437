package deployments

import "time"

// A Usage is what an environment takes of the engine's machine.
type Usage struct {
	Environment string    `json:"environment"` // its name
	Containers  int       `json:"containers"`  // that run
	Memory      int64     `json:"memory"`      // bytes, without files that are cached only
	CPUs        float64   `json:"cpus"`        // processors in use, on average since the question before, or over a second where that is long ago
	At          time.Time `json:"at"`
	Disk        Disk      `json:"disk"`
}

// Disk is what an environment takes of the disk, in bytes.
type Disk struct {
	Layers  int64     `json:"layers"` // what containers wrote outside of volumes
	Volumes int64     `json:"volumes"`
	Logs    int64     `json:"logs"` // what containers printed, as far as it can be looked at, and what is kept of it
	At      time.Time `json:"at"`   // when it was measured, at most a minute or so ago
}
