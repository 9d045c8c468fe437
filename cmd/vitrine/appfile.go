package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"vitrine/bot"
)

// appFile is where the GitHub App lies in the data folder that was registered in the browser.
const appFile = "app.json"

// appVersion is the version of that file.
const appVersion = 1

// A keptApp is the file's content.
type keptApp struct {
	Version int `json:"version"`
	bot.App
}

// readApp returns the App that is kept in the data folder, and whether there is one.
func readApp(data string) (app bot.App, there bool, err error) {
	path := filepath.Join(data, appFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return app, false, nil
	}
	var kept keptApp
	if err == nil {
		err = json.Unmarshal(text, &kept)
	}
	if err == nil && kept.Version != appVersion {
		err = fmt.Errorf("it has version %d, and this Vitrine reads version %d", kept.Version, appVersion)
	}
	if err == nil {
		err = kept.Complete()
	}
	if err != nil {
		return app, false, fmt.Errorf("read the GitHub App in %s: %w; put it back from a backup, or remove it and set the server up anew", path, err)
	}
	return kept.App, true, nil
}

// keepApp writes the App to the data folder, as a whole and for its owner's eyes alone.
func keepApp(data string, app bot.App) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("keep the GitHub App in %s: %w", data, err)
		}
	}()
	text, err := json.MarshalIndent(keptApp{appVersion, app}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(data, appFile+"-") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), filepath.Join(data, appFile))
}
