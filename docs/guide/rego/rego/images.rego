package images

import rego.v1

# A container whose image comes from none of the pack's registries.
deny contains msg if {
	some container in input.object.spec.containers
	not from_a_registry(container.image)
	msg := sprintf("container %v has image %v, which is from none of %v", [
		container.name,
		container.image,
		concat(", ", input.params.registries),
	])
}

from_a_registry(image) if {
	some registry in input.params.registries
	startswith(image, sprintf("%v/", [registry]))
}

# A tag that moves.
warn contains sprintf("container %v has no fixed version", [container.name]) if {
	some container in input.object.spec.containers
	endswith(container.image, ":latest")
}
