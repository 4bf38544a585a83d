package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mlecs/mlecs/node"
)

// newReferenceCommand writes docs/cli.md and the man pages from the command tree. It is for packagers, and hidden.
func newReferenceCommand() *cobra.Command {
	var man string
	var config bool
	cmd := &cobra.Command{
		Use: "reference", Short: "Print the reference of all commands as Markdown, or write man pages", Args: noArgs, Hidden: true,
		Example: "  mlecs reference > docs/cli.md\n  mlecs reference --man /usr/local/share/man/man1",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if config {
				return writeConfigKeys(cmd.OutOrStdout())
			}
			if man == "" {
				return writeMarkdown(cmd.OutOrStdout(), cmd.Root())
			}
			return writeManPages(man, cmd.Root())
		},
	}
	cmd.Flags().StringVar(&man, "man", "", "folder to write one man page a command to")
	cmd.Flags().BoolVar(&config, "config", false, "print the keys of config.yaml as Markdown")
	return cmd
}

// documented calls f for every command that people see, parents first.
func documented(cmd *cobra.Command, f func(*cobra.Command)) {
	if cmd.Hidden || cmd.Name() == "help" || cmd.HasParent() && cmd.Parent().Name() == "completion" {
		return // what cobra adds explains itself
	}
	f(cmd)
	for _, child := range cmd.Commands() {
		documented(child, f)
	}
}

// about is the description of a command: the long one if it has one.
func about(cmd *cobra.Command) string {
	if cmd.Long != "" {
		return strings.TrimSpace(cmd.Long)
	}
	return cmd.Short + "."
}

// flagText is a flag as its help shows it, and what it says with the default.
func flagText(f *pflag.Flag) (name, usage string) {
	kind, usage := pflag.UnquoteUsage(f)
	name = "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	if kind != "" {
		name += " " + kind
	}
	switch f.DefValue {
	case "", "false", "0", "[]", "0s":
	default:
		usage += " (default " + f.DefValue + ")"
	}
	return name, usage
}

func writeMarkdown(w io.Writer, root *cobra.Command) error {
	var b strings.Builder
	b.WriteString("# Commands\n\nWritten by `mlecs reference` from the commands themselves: do not edit.\n\n" +
		"Every command that shows something takes `--json`. Exit codes: " + exitCodes + ".\n")
	documented(root, func(cmd *cobra.Command) {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", cmd.CommandPath(), fenced(about(cmd)))
		if cmd.Runnable() && !cmd.HasSubCommands() {
			fmt.Fprintf(&b, "\n    %s\n", cmd.UseLine())
		}
		if cmd.Example != "" {
			fmt.Fprintf(&b, "\n```sh\n%s\n```\n", unindented(cmd.Example))
		}
		if flags := localFlags(cmd); len(flags) > 0 {
			b.WriteString("\n| flag | |\n| --- | --- |\n")
			for _, f := range flags {
				name, usage := flagText(f)
				fmt.Fprintf(&b, "| `%s` | %s |\n", name, strings.ReplaceAll(usage, "|", "\\|"))
			}
		}
	})
	_, err := io.WriteString(w, b.String())
	return err
}

func writeConfigKeys(w io.Writer) error {
	keys, err := node.ConfigKeys()
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("# config.yaml\n\nWritten by `mlecs reference --config` from the code: do not edit.\n\n" +
		"It lies in the node's home. Keys that are left out have their default; an unknown key is an error that names file and line. `mlecs config show` prints what is in force. " +
		"A running node reads it at start only.\n\n| key | default | meaning |\n| --- | --- | --- |\n")
	for _, k := range keys {
		value := ""
		if k.Default != "" {
			value = "`" + strings.Join(strings.Fields(strings.ReplaceAll(k.Default, "\n", " ")), " ") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", k.Path, value, strings.ReplaceAll(k.About, "|", "\\|"))
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// fenced keeps the lines of a help text that has indented parts, as Markdown keeps those of a code block only.
func fenced(text string) string {
	if !strings.Contains(text, "\n  ") {
		return text
	}
	return "```text\n" + text + "\n```"
}

// unindented takes the two spaces away that cobra's examples begin with.
func unindented(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}
	return strings.Join(lines, "\n")
}

// localFlags are a command's own flags but --help.
func localFlags(cmd *cobra.Command) (flags []*pflag.Flag) {
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && f.Name != "help" && f.Name != "version" {
			flags = append(flags, f)
		}
	})
	return flags
}

// writeManPages writes mlecs.1, mlecs-start.1 and so on, in the language of man(7).
func writeManPages(dir string, root *cobra.Command) (err error) {
	documented(root, func(cmd *cobra.Command) {
		if err == nil {
			name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
			err = os.WriteFile(filepath.Join(dir, name), []byte(manPage(cmd)), 0o644)
		}
	})
	if err != nil {
		return fmt.Errorf("write man pages: %w", err)
	}
	return nil
}

func manPage(cmd *cobra.Command) string {
	var b strings.Builder
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"mlecs %s\"\n.SH NAME\n%s \\- %s\n.SH SYNOPSIS\n.nf\n%s\n.fi\n.SH DESCRIPTION\n.nf\n%s\n.fi\n",
		strings.ToUpper(name), node.Version, roff(name), roff(cmd.Short), roff(cmd.UseLine()), roff(about(cmd)))
	if flags := localFlags(cmd); len(flags) > 0 {
		b.WriteString(".SH OPTIONS\n")
		for _, f := range flags {
			name, usage := flagText(f)
			fmt.Fprintf(&b, ".TP\n\\fB%s\\fR\n%s\n", roff(name), roff(usage))
		}
	}
	if cmd.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(unindented(cmd.Example)))
	}
	b.WriteString(".SH EXIT STATUS\n" + exitCodes + ".\n")
	if cmd.HasSubCommands() {
		b.WriteString(".SH SEE ALSO\n")
		for _, child := range cmd.Commands() {
			if !child.Hidden && child.Name() != "help" {
				fmt.Fprintf(&b, "\\fB%s\\-%s\\fR(1)\n", roff(name), roff(child.Name()))
			}
		}
	}
	return b.String()
}

// roff escapes what man(7) would take as its own: backslashes, hyphens, and points and quotes that begin a line.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, `-`, `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
