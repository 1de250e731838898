// Names what the API server's cost tables need, so that go.sum covers it. `conformance/tests/cel_conformance/costs.rs` runs a copy of the tables'
// package in a copy of this module.
package main

import (
	_ "google.golang.org/genproto/googleapis/api/expr/v1alpha1"
	_ "k8s.io/apiserver/pkg/cel/library"
)

func main() {}
