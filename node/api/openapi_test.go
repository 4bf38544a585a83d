package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/node/api"
)

// spec is what the tests read of the OpenAPI document.
type spec struct {
	OpenAPI    string                          `json:"openapi"`
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		Schemas map[string]any `json:"schemas"`
	} `json:"components"`
}

type operation struct {
	ID        string `json:"operationId"`
	Summary   string `json:"summary"`
	Responses map[string]struct {
		Content map[string]struct {
			Schema map[string]any `json:"schema"`
		} `json:"content"`
	} `json:"responses"`
}

// TestOpenAPI serves every route that the document names, and checks the answers, good ones and errors, against its schemas.
func TestOpenAPI(t *testing.T) {
	srv := httptest.NewServer(api.Handler(&fake{events: happened}))
	t.Cleanup(srv.Close)
	var doc spec
	if err := json.NewDecoder(request(t, "GET", srv.URL+"/v1/openapi.json", "").Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" || len(doc.Paths) < 15 {
		t.Fatalf("an OpenAPI document %q of %d paths", doc.OpenAPI, len(doc.Paths))
	}
	bodies := map[string]string{
		"/v1/log":    `{"subsystem":"p2p","level":"warn"}`,
		"/v1/invite": `{"role":"edge","seconds":60,"bootstrap":[]}`,
	}
	ids := map[string]bool{}
	for path, operations := range doc.Paths {
		for method, op := range operations {
			t.Run(method+" "+path, func(t *testing.T) {
				if op.Summary == "" || ids[op.ID] {
					t.Errorf("operation %q, summary %q: both must be there, the first unique", op.ID, op.Summary)
				}
				ids[op.ID] = true
				url := srv.URL + regexp.MustCompile(`\{\w+\}`).ReplaceAllString(path, "bafyA")
				resp := request(t, strings.ToUpper(method), url, bodies[path])
				media, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
				status := "200"
				if resp.StatusCode != 200 {
					status = "default"
				}
				content, ok := op.Responses[status].Content[media]
				if !ok {
					t.Fatalf("status %d: an answer of %q is not in the document", resp.StatusCode, media)
				}
				if media != "application/json" {
					return
				}
				var v any
				if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
					t.Fatal(err)
				}
				if err := doc.check(content.Schema, v, "answer"); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestUnknownRoute(t *testing.T) {
	srv := httptest.NewServer(api.Handler(&fake{}))
	t.Cleanup(srv.Close)
	resp := request(t, "GET", srv.URL+"/v1/nothing", "")
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 404 || !strings.Contains(string(b), "/v1/openapi.json") {
		t.Errorf("%s: %s", resp.Status, b)
	}
}

// check tells where v is not what a schema says. It knows what the document uses of JSON schema.
func (d *spec) check(schema map[string]any, v any, at string) error {
	if ref, ok := schema["$ref"].(string); ok {
		s, ok := d.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")].(map[string]any)
		if !ok {
			return fmt.Errorf("%s: %s leads nowhere", at, ref)
		}
		return d.check(s, v, at)
	}
	if choices, ok := schema["anyOf"].([]any); ok {
		var err error
		for _, s := range choices {
			if err = d.check(s.(map[string]any), v, at); err == nil {
				return nil
			}
		}
		return err
	}
	names, ok := schema["type"].([]any)
	if !ok {
		names = []any{schema["type"]}
	}
	if !slices.Contains(names, any(typeOf(v))) && !(typeOf(v) == "integer" && slices.Contains(names, any("number"))) {
		return fmt.Errorf("%s is %v, want %v", at, v, names)
	}
	switch v := v.(type) {
	case []any:
		for i, x := range v {
			if err := d.check(schema["items"].(map[string]any), x, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case map[string]any:
		properties, fixed := schema["properties"].(map[string]any)
		if !fixed {
			return nil
		}
		required, _ := schema["required"].([]any)
		for _, name := range required {
			if _, ok := v[name.(string)]; !ok {
				return fmt.Errorf("%s lacks %s", at, name)
			}
		}
		for name, x := range v {
			p, ok := properties[name].(map[string]any)
			if !ok {
				return fmt.Errorf("%s has %s, which is not in the document", at, name)
			}
			if err := d.check(p, x, at+"."+name); err != nil {
				return err
			}
		}
	}
	return nil
}

func typeOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}
