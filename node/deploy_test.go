package node

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// documents are the YAML documents of a file in deploy/; a key that stands twice is an error.
func documents(t *testing.T, name string) (list []map[string]any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	for dec := yaml.NewDecoder(bytes.NewReader(b)); ; {
		var doc map[string]any
		switch err := dec.Decode(&doc); {
		case errors.Is(err, io.EOF):
			return list
		case err != nil:
			t.Fatalf("%s: %v", name, err)
		}
		list = append(list, doc)
	}
}

// in walks to a value of nested mappings and lists.
func in(t *testing.T, v any, path ...any) any {
	t.Helper()
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, ok := v.(map[string]any)
			if !ok || m[p] == nil {
				t.Fatalf("there is no %v of %v", p, path)
			}
			v = m[p]
		case int:
			l, ok := v.([]any)
			if !ok || len(l) <= p {
				t.Fatalf("there is no entry %d of %v", p, path)
			}
			v = l[p]
		}
	}
	return v
}

// TestKubernetesManifest: its config is one that nodes read, and its probes, ports and mounts fit it.
func TestKubernetesManifest(t *testing.T) {
	docs := documents(t, "kubernetes/super-peer.yaml")
	var kinds []string
	for _, d := range docs {
		kinds = append(kinds, in(t, d, "apiVersion").(string)+" "+in(t, d, "kind").(string))
		in(t, d, "metadata", "name")
	}
	if want := []string{"v1 ConfigMap", "apps/v1 StatefulSet", "v1 Service"}; !slices.Equal(kinds, want) {
		t.Fatalf("it has %v, want %v", kinds, want)
	}
	cfg, err := ParseConfig("config.yaml", []byte(in(t, docs[0], "data", configFile).(string)))
	if err != nil {
		t.Fatal(err)
	}
	pod := in(t, docs[1], "spec", "template", "spec")
	container := in(t, pod, "containers", 0)
	ports := map[string]int{}
	for _, p := range in(t, container, "ports").([]any) {
		ports[in(t, p, "name").(string)] = in(t, p, "containerPort").(int)
	}
	if !strings.HasSuffix(cfg.API.Listen, ":4080") || ports["api"] != 4080 || ports["p2p-tcp"] != 4001 || !strings.Contains(cfg.P2P.Listen[0], "/tcp/4001") {
		t.Errorf("ports %v, and the config listens on %s and %v", ports, cfg.API.Listen, cfg.P2P.Listen)
	}
	for probe, path := range map[string]string{"livenessProbe": "/healthz", "readinessProbe": "/readyz"} {
		if got := in(t, container, probe, "httpGet", "path"); got != path {
			t.Errorf("%s asks for %v", probe, got)
		}
	}
	mounts := map[string]string{}
	for _, m := range in(t, container, "volumeMounts").([]any) {
		mounts[in(t, m, "name").(string)] = in(t, m, "mountPath").(string)
	}
	if mounts["api-token"] != filepath.ToSlash(filepath.Dir(cfg.API.TokenFile)) {
		t.Errorf("the token is in %s, and mounted at %s", cfg.API.TokenFile, mounts["api-token"])
	}
	args := in(t, container, "args").([]any)
	if args[0] != "start" || args[len(args)-1] != mounts["home"] {
		t.Errorf("it runs mlecs %v on the home %s", args, mounts["home"])
	}
	for _, p := range in(t, docs[2], "spec", "ports").([]any) {
		if ports[in(t, p, "targetPort").(string)] == 0 {
			t.Errorf("the service leads to port %v, which the pod has not", in(t, p, "targetPort"))
		}
	}
}

// TestComposeFile: every node has a volume of its own at the image's home, and the image is built from a file that exists.
func TestComposeFile(t *testing.T) {
	doc := documents(t, "compose.yaml")[0]
	services := in(t, doc, "services").(map[string]any)
	if len(services) != 4 {
		t.Errorf("%d services, want a super-peer and three edges", len(services))
	}
	dockerfile, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(in(t, doc, "services", "super", "build", "dockerfile").(string))))
	if err != nil {
		t.Fatal(err)
	}
	for name := range services {
		volume := in(t, services, name, "volumes", 0).(string)
		source, at, _ := strings.Cut(volume, ":")
		if source != name || !strings.Contains(string(dockerfile), "MLECS_HOME="+at+"\n") {
			t.Errorf("%s has the volume %s", name, volume)
		}
		if _, ok := in(t, doc, "volumes").(map[string]any)[source]; !ok {
			t.Errorf("the volume %s is not listed", source)
		}
	}
	for _, want := range []string{"distroless", ":nonroot", "CGO_ENABLED=0", `ENTRYPOINT ["/usr/bin/mlecs"]`} {
		if !strings.Contains(string(dockerfile), want) {
			t.Errorf("the Dockerfile lacks %s", want)
		}
	}
}
