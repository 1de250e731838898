//! `--schema`: rules over custom resources, checked against their definitions.

use crate::stage::{Stage, printed};

const DEFINITION: &str = "\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget, listKind: WidgetList}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              size: {type: integer}
              owner: {type: string}
              options: {type: object, x-kubernetes-preserve-unknown-fields: true}
";

/// A pack with one rule over a resource of the group.
fn pack(stage: &Stage, resource: &str, expression: &str) {
    stage.write(
        "widgets/pack.yaml",
        &format!(
            "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {{name: widgets-1.0.0}}\nspec:\n  pack: widgets\n  \
             version: 1.0.0\n  description: Widgets.\n  subjects: {{namespaces: {{selector: {{matchLabels: {{team: a}}}}}}}}\n  admission:\n    rules:\n    \
             - name: rule\n      match: {{resources: [{{apiGroups: [example.org], apiVersions: [v1], resources: [{resource}], operations: \
             [CREATE]}}]}}\n      validations: [{{expression: \"{expression}\"}}]\n"
        ),
    );
}

#[test]
fn expressions_over_a_custom_resource_are_checked_by_its_schema() {
    let stage = Stage::empty();
    stage.write("crd.yaml", DEFINITION);
    let checked = |expression: &str| {
        pack(&stage, "widgets", expression);
        let without = stage.run(&["check", "widgets"]);
        assert_eq!(without.status.code(), Some(0), "{expression}: {}", printed(&without));
        let with = stage.run(&["check", "--schema", "crd.yaml", "widgets"]);
        (with.status.code(), printed(&with))
    };
    for right in [
        "object.spec.size > 3",
        "object.metadata.name != object.spec.owner",
        "object.spec.options.anything == 3",
        "oldObject == null || oldObject.spec.size <= object.spec.size",
    ] {
        let (code, said) = checked(right);
        assert_eq!(code, Some(0), "{right}: {said}");
    }
    for (wrong, why) in [
        ("object.spec.siez > 3", "size"),
        ("object.spec.size == 'large'", "int"),
        ("size(object.spec.size) > 3", "size(int)"),
        ("object.metadata.nmae == 'x'", "name"),
    ] {
        let (code, said) = checked(wrong);
        assert_eq!(code, Some(3), "{wrong}: {said}");
        assert!(said.contains("BW030") && said.contains(why), "{wrong}: {said}");
    }
}

#[test]
fn a_kind_written_for_a_defined_resource_is_found() {
    let stage = Stage::empty();
    stage.write("crd.yaml", DEFINITION);
    pack(&stage, "Widget", "object.spec.size > 3");
    let output = stage.run(&["check", "--schema", "crd.yaml", "widgets"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(printed(&output).contains("did you mean `widgets`?"), "{}", printed(&output));
}

#[test]
fn what_is_compiled_is_the_same_with_schemas() {
    let stage = Stage::empty();
    stage.write("crd.yaml", DEFINITION);
    pack(&stage, "widgets", "object.spec.size > 3 && object.spec.owner in ['a', 'b']");
    let bundle = |args: &[&str], out: &str| {
        let output = stage.run(&[&["compile", "widgets", "--out", out], args].concat());
        assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
        let cell = std::fs::read_dir(stage.path(out)).unwrap().next().unwrap().unwrap().path();
        std::fs::read(cell.join("bundle.json")).unwrap()
    };
    assert_eq!(bundle(&[], "without"), bundle(&["--schema", "crd.yaml"], "with"));
}

#[test]
fn files_that_define_nothing_are_refused_with_a_remedy() {
    let stage = Stage::empty();
    pack(&stage, "widgets", "object.spec.size > 3");
    stage.write("other.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n");
    stage.write("old.yaml", &DEFINITION.replace("k8s.io/v1", "k8s.io/v1beta1"));
    stage.write("broken.yaml", "kind: [\n");
    for (file, why) in [
        ("other.yaml", "holds no CustomResourceDefinition; `kubectl get crd NAME -o yaml` prints one"),
        ("old.yaml", "is of `apiextensions.k8s.io/v1beta1`; convert it to `apiextensions.k8s.io/v1`"),
        ("broken.yaml", "cannot read broken.yaml at line"),
        ("absent.yaml", "absent.yaml"),
    ] {
        let output = stage.run(&["check", "--schema", file, "widgets"]);
        assert_eq!(output.status.code(), Some(1), "{file}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(why) && said.contains(file), "{file}: {said}");
    }
}
