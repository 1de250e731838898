module bailiwick.dev/conformance/cel/tables

go 1.24
