// Gen writes the assembly of package kernel. It is a module of its own so that users of mlecs do not depend on avo;
// run it by go generate in the folder above.
package main

import (
	"fmt"
	"log"
	"os"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
)

func main() {
	for name, write := range map[string]func(*build.Context){
		"accumulate": writeAccumulate,
		"bytes":      writeBytes,
		"tile":       writeTiles,
		"transpose":  writeTranspose,
		"vector":     writeVectors,
		"widen":      writeWiden,
	} {
		if err := generate(name, write); err != nil {
			log.Fatalf("generating the %s functions: %v", name, err)
		}
	}
	for name, write := range map[string]func(*arm64){
		"accumulate": writeNEONAccumulate,
		"tile":       writeNEONTile,
		"vector":     writeNEONVectors,
	} {
		a := newARM64(name)
		write(a)
		if err := a.save(); err != nil {
			log.Fatalf("generating the %s functions of NEON: %v", name, err)
		}
	}
}

// generate writes NAME_amd64.s and its Go declarations NAME_stubs_amd64.go.
func generate(name string, write func(*build.Context)) error {
	ctx := build.NewContext()
	ctx.ConstraintExpr("amd64")
	write(ctx)
	file, err := ctx.Result()
	if err != nil {
		return err
	}
	if err := pass.Compile.Execute(file); err != nil {
		return err
	}
	cfg := printer.Config{Name: "learn/kernel/gen", Pkg: "kernel"}
	for path, p := range map[string]printer.Printer{
		name + "_amd64.s":        printer.NewGoAsm(cfg),
		name + "_stubs_amd64.go": printer.NewStubs(cfg),
	} {
		text, err := p.Print(file)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := os.WriteFile("../"+path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
