package api

import (
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// object is a JSON object of the OpenAPI document.
type object = map[string]any

// document adds the route that serves the OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.0) of all routes, itself included.
// Schemas come from the Go types by reflection.
func (rs *routes) document() {
	var doc object
	rs.add(route{method: http.MethodGet, path: "/v1/openapi.json", summary: "This document", response: reflect.TypeFor[object]()}, func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, doc)
	})
	doc = rs.openAPI()
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

func (rs *routes) openAPI() object {
	schemas := schemaSet{}
	failure := object{
		"description": "what failed, and what to do",
		"content":     object{"application/json": object{"schema": schemas.of(reflect.TypeFor[errorBody]())}},
	}
	paths := object{}
	for _, r := range rs.list {
		item, _ := paths[r.path].(object)
		if item == nil {
			item = object{}
			paths[r.path] = item
		}
		params := []any{}
		for _, m := range pathParameter.FindAllStringSubmatch(r.path, -1) {
			params = append(params, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}})
		}
		for _, q := range r.query {
			params = append(params, object{"name": q.name, "in": "query", "description": q.about, "schema": object{"type": q.kind}})
		}
		op := object{
			"operationId": operation(r),
			"summary":     r.summary,
			"responses":   object{"200": object{"description": "OK", "content": r.good(schemas)}, "default": failure},
		}
		if len(params) > 0 {
			op["parameters"] = params
		}
		if body := r.body(schemas); body != nil {
			op["requestBody"] = body
		}
		item[strings.ToLower(r.method)] = op
	}
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "mlecs control API", "version": "1",
			"description": "One node's control API: over its unix socket without credentials, over TCP with a bearer token or a session's cookie.",
		},
		"security": []any{object{}, object{"token": []string{}}},
		"paths":    paths,
		"components": object{
			"schemas":         schemas,
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}},
		},
	}
}

// operation names a route: GET /v1/deltas/{cid} is getDeltasCid.
func operation(r route) string {
	name := strings.ToLower(r.method)
	for _, part := range strings.FieldsFunc(strings.TrimPrefix(r.path, "/v1"), func(c rune) bool { return strings.ContainsRune("/{}._-", c) }) {
		name += strings.ToUpper(part[:1]) + part[1:]
	}
	return name
}

// good is the content of a good answer.
func (r route) good(schemas schemaSet) object {
	if r.response == nil {
		return object{r.media: object{"schema": object{"type": "string"}}}
	}
	return object{"application/json": object{"schema": schemas.of(r.response)}}
}

// body is what a request carries; nil if nothing.
func (r route) body(schemas schemaSet) object {
	switch {
	case r.upload:
		file := func(about string) object {
			return object{"type": "string", "contentMediaType": "application/octet-stream", "description": about}
		}
		return object{"content": object{"multipart/form-data": object{"schema": object{
			"type": "object", "required": []string{partIndex, partFiles},
			"properties": object{partIndex: file("the rows, a metadata.jsonl"), partFiles: file("a tar of the files that the rows name")},
		}}}}
	case r.request != nil:
		return object{"required": true, "content": object{"application/json": object{"schema": schemas.of(r.request)}}}
	}
	return nil
}

// schemaSet is the JSON schemas (2020-12) of named types.
type schemaSet object

// of gives the schema of a type; that of a named struct is a reference into the set.
func (s schemaSet) of(t reflect.Type) object {
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Slice:
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		if t.Elem().Kind() == reflect.Interface {
			return object{"type": "object"}
		}
		return object{"type": []string{"object", "null"}, "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
		if _, ok := s[name]; !ok {
			s[name] = object{} // ends recursion
			properties, required := object{}, []string{}
			s.fields(t, properties, &required)
			slices.Sort(required)
			s[name] = object{"type": "object", "properties": properties, "required": required}
		}
		return object{"$ref": "#/components/schemas/" + name}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	}
	return object{"type": "integer"}
}

// fields adds the fields of a struct under their JSON names; those of embedded structs are the struct's own.
func (s schemaSet) fields(t reflect.Type, properties object, required *[]string) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			s.fields(f.Type, properties, required)
			continue
		}
		schema := s.of(f.Type)
		if f.Type.Kind() == reflect.Pointer {
			schema = object{"anyOf": []any{schema, object{"type": "null"}}}
		}
		properties[name] = schema
		if options != "omitempty" {
			*required = append(*required, name)
		}
	}
}
