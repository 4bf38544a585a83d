package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/mlecs/mlecs/node/api"
)

// usageError is a command line that cannot be meant.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// flagError says what a flag takes in place of which function failed to read it.
func flagError(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	flag, takes := invalid.GetFlag(), ""
	switch kind := flag.Value.Type(); {
	case kind == "duration":
		takes = "a duration, such as 90s, 12h or 720h"
	case kind == "bool":
		takes = "true or false"
	case strings.HasPrefix(kind, "float"):
		takes = "a number"
	case strings.HasPrefix(kind, "uint"):
		takes = "a whole number from 0 on"
	case strings.HasPrefix(kind, "int"):
		takes = "a whole number"
	default:
		return err
	}
	return fmt.Errorf("--%s %q: it takes %s", flag.Name, invalid.GetValue(), takes)
}

// printError shows an error in one line, and under it the advice that comes with it or that its cause suggests.
func printError(w io.Writer, err error) {
	text := indented(err.Error())
	advice := ""
	var advised *api.Error
	if errors.As(err, &advised) && advised.Advice != "" {
		advice = advised.Advice
		text = strings.Replace(text, " ("+advice+")", "", 1)
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		said, todo := ofPath(path)
		text = strings.Replace(text, path.Error(), said, 1)
		if advice == "" {
			advice = todo
		}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		text = strings.Replace(text, io.ErrUnexpectedEOF.Error(), "it ends too early", 1)
	}
	fmt.Fprintf(w, "mlecs: %s\n", text)
	if advice != "" {
		fmt.Fprintf(w, "       %s\n", advice)
	}
}

// ofPath says in words why a file could not be used, and what to do.
func ofPath(e *fs.PathError) (said, advice string) {
	switch {
	case errors.Is(e, fs.ErrNotExist):
		return "there is no " + e.Path, "check the path, and that what it is in exists"
	case errors.Is(e, fs.ErrPermission):
		return "this user may not use " + e.Path, "see whose it is: ls -l " + e.Path
	case errors.Is(e, fs.ErrExist):
		return e.Path + " exists already", "choose another name, or remove it"
	case errors.Is(e, syscall.ENOTDIR):
		return "a part of " + e.Path + " is a file, not a folder", "check the path"
	case errors.Is(e, syscall.EISDIR):
		return e.Path + " is a folder, not a file", "check the path"
	case errors.Is(e, syscall.ENOSPC):
		return "the disk of " + e.Path + " is full", "free space, or run mlecs gc"
	}
	return e.Error(), ""
}

// indented puts every line of an error that has several (one for each bad row, or each peer asked) under the first.
func indented(s string) string {
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' })
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n       ")
}
