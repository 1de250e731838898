// Generate writes the table of Kubernetes' object types that bailiwick-policy reads: fields, types, defaults, list keys.
//
//	go run conformance/openapi/generate.go > compiler/policy/src/admission/schema/kubernetes.txt
//
// Source: api/openapi-spec/v3 of the Go module k8s.io/kubernetes, by exact version and checksum. The format of the table is
// described where it is read, in compiler/policy/src/admission/schema/mod.rs.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
)

const (
	module  = "k8s.io/kubernetes"
	version = "v1.37.1"
	sum     = "h1:LTUzSbp9n0W7649oVKBYfC48zcoD3vCk++1PZQn28q8="
)

// roots are the kinds that rules may ask for, by the document that holds them.
var roots = []struct {
	document string
	kinds    []string
}{
	{"api__v1", []string{"Pod", "PodTemplate", "ReplicationController", "Namespace", "ConfigMap", "Secret", "Service", "ServiceAccount",
		"PersistentVolumeClaim", "PersistentVolume", "LimitRange", "ResourceQuota", "Endpoints", "Binding", "Node", "Eviction"}},
	{"apis__apps__v1", []string{"ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "Scale"}},
	{"apis__batch__v1", []string{"Job", "CronJob"}},
	{"apis__networking.k8s.io__v1", []string{"NetworkPolicy", "Ingress", "IngressClass"}},
	{"apis__rbac.authorization.k8s.io__v1", []string{"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}},
	{"apis__node.k8s.io__v1", []string{"RuntimeClass"}},
	{"apis__policy__v1", []string{"PodDisruptionBudget"}},
	{"apis__scheduling.k8s.io__v1", []string{"PriorityClass"}},
	{"apis__storage.k8s.io__v1", []string{"StorageClass"}},
	{"apis__autoscaling__v2", []string{"HorizontalPodAutoscaler"}},
}

type schema struct {
	Ref        string             `json:"$ref"`
	Type       string             `json:"type"`
	Format     string             `json:"format"`
	Default    json.RawMessage    `json:"default"`
	Items      *schema            `json:"items"`
	AllOf      []*schema          `json:"allOf"`
	OneOf      []*schema          `json:"oneOf"`
	Properties map[string]*schema `json:"properties"`
	Additional *schema            `json:"additionalProperties"`
	ListKeys   []string           `json:"x-kubernetes-list-map-keys"`
	GVK        []struct {
		Group, Version, Kind string
	} `json:"x-kubernetes-group-version-kind"`
}

type table struct {
	schemas map[string]*schema
	done    map[string]bool
	wanted  []string
}

const prefix = "#/components/schemas/"

// typeOf gives the notation of a type and remembers the object types it meets.
func (t *table) typeOf(s *schema) string {
	if len(s.AllOf) == 1 {
		return t.typeOf(s.AllOf[0])
	}
	if s.Ref != "" {
		name := strings.TrimPrefix(s.Ref, prefix)
		target := t.schemas[name]
		if target == nil {
			fail("no schema %s", name)
		}
		if len(target.Properties) == 0 {
			return t.scalar(name, target)
		}
		t.wanted = append(t.wanted, name)
		return short(name)
	}
	return t.scalar("", s)
}

func (t *table) scalar(name string, s *schema) string {
	switch {
	case strings.HasSuffix(name, "api.resource.Quantity"):
		return "q"
	case s.Format == "int-or-string":
		return "x"
	case s.Type == "string" && s.Format == "date-time":
		return "t"
	case s.Type == "string" && s.Format == "byte":
		return "y"
	case s.Type == "string":
		return "s"
	case s.Type == "integer":
		return "i"
	case s.Type == "number":
		return "d"
	case s.Type == "boolean":
		return "b"
	case s.Type == "array" && s.Items != nil:
		return "[" + t.typeOf(s.Items)
	case s.Type == "object" && s.Additional != nil:
		return "{" + t.typeOf(s.Additional)
	case s.Type == "object" || s.Type == "" && len(s.OneOf) == 0:
		return "*"
	}
	fail("schema %s: type %q, format %q is not understood", name, s.Type, s.Format)
	return ""
}

// short drops what all names share: io.k8s.api.core.v1.Pod is core.v1.Pod.
func short(name string) string {
	for _, head := range []string{"io.k8s.api.", "io.k8s.apimachinery.pkg.apis.", "io.k8s.apimachinery.pkg."} {
		if rest, ok := strings.CutPrefix(name, head); ok {
			return rest
		}
	}
	return name
}

func (t *table) write(out *bufio.Writer, name string) {
	s := t.schemas[name]
	fmt.Fprintf(out, "=%s\n", short(name))
	fields := make([]string, 0, len(s.Properties))
	for field := range s.Properties {
		fields = append(fields, field)
	}
	sort.Strings(fields)
	for _, field := range fields {
		p := s.Properties[field]
		fmt.Fprintf(out, "%s %s", field, t.typeOf(p))
		if len(p.ListKeys) > 0 {
			fmt.Fprintf(out, " %s", strings.Join(p.ListKeys, ","))
		}
		if p.Default != nil {
			var compact bytes.Buffer
			if err := json.Compact(&compact, p.Default); err != nil {
				fail("default of %s.%s: %v", name, field, err)
			}
			fmt.Fprintf(out, " =%s", compact.String())
		}
		out.WriteByte('\n')
	}
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "generate: "+format+"\n", args...)
	os.Exit(1)
}

// download brings the module into Go's module cache and refuses any but the pinned content.
func download() string {
	command := exec.Command("go", "mod", "download", "-json", module+"@"+version)
	command.Dir = os.TempDir()
	command.Stderr = os.Stderr
	text, err := command.Output()
	if err != nil {
		fail("go mod download %s@%s: %v", module, version, err)
	}
	var got struct{ Dir, Sum string }
	if err := json.Unmarshal(text, &got); err != nil {
		fail("go mod download: %v", err)
	}
	if got.Sum != sum {
		fail("%s@%s has the checksum %s, not %s", module, version, got.Sum, sum)
	}
	return got.Dir
}

func main() {
	dir := filepath.Join(download(), "api", "openapi-spec", "v3")
	t := &table{schemas: map[string]*schema{}, done: map[string]bool{}}
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprintf(out, "# Made by conformance/openapi/generate.go from %s %s, %s. Do not edit.\n", module, version, sum)
	for _, root := range roots {
		text, err := os.ReadFile(filepath.Join(dir, root.document+"_openapi.json"))
		if err != nil {
			fail("%v", err)
		}
		var document struct {
			Components struct{ Schemas map[string]*schema }
		}
		if err := json.Unmarshal(text, &document); err != nil {
			fail("%s: %v", root.document, err)
		}
		for name, s := range document.Components.Schemas {
			t.schemas[name] = s
		}
		for _, kind := range root.kinds {
			t.root(out, document.Components.Schemas, kind)
		}
	}
	for len(t.wanted) > 0 {
		sort.Strings(t.wanted)
		name := t.wanted[0]
		t.wanted = t.wanted[1:]
		if !t.done[name] {
			t.done[name] = true
			t.write(out, name)
		}
	}
	if err := out.Flush(); err != nil {
		fail("%v", err)
	}
}

// root writes the line of one kind: group (- for core), version, kind, type.
func (t *table) root(out *bufio.Writer, schemas map[string]*schema, kind string) {
	for name, s := range schemas {
		if len(s.GVK) != 1 || s.GVK[0].Kind != kind {
			continue
		}
		group := s.GVK[0].Group
		if group == "" {
			group = "-"
		}
		fmt.Fprintf(out, "@%s %s %s %s\n", group, s.GVK[0].Version, kind, short(name))
		t.wanted = append(t.wanted, name)
		return
	}
	fail("no kind %s", kind)
}
