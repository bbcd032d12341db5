package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// newVersion returns the command that says what is running.
func newVersion(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say which culvert this is",
		Long:  "Prints the version, the commit it was built from, and the Go that built it.",
		Args:  arguments(),
		RunE: func(*cobra.Command, []string) error {
			info, _ := debug.ReadBuildInfo()
			_, err := fmt.Fprintln(s.out, versionOf(info))
			return err
		},
	}
}

// versionOf writes a build in one line.
func versionOf(info *debug.BuildInfo) string {
	version, commit, changed := "(unknown)", "", ""
	if info != nil {
		version = info.Main.Version
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = ", commit " + s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				changed = " and changes"
			}
		}
	}
	if version == "" {
		version = "(devel)"
	}
	return fmt.Sprintf("culvert %s%s%s, %s, %s/%s", version, commit, changed, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
