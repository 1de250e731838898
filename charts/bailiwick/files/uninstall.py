"""Takes away, before the chart goes, what the operator wrote: the webhook configurations first, so that no request waits for a webhook that is gone.

Everything that an operator wrote has the label `bailiwick.dev/operator` with the operator's namespace as value. Whatever is gone already is no error, so
that it can be run again.
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
NAMESPACE = os.environ["BAILIWICK_NAMESPACE"]
OWNED = f"?labelSelector=bailiwick.dev%2Foperator%3D{NAMESPACE}"
# The operator ends within seconds; one whose node is away is not waited for longer.
OPERATOR_S = 120

ADMISSION = "/apis/admissionregistration.k8s.io/v1"
HOOKS = [f"{ADMISSION}/mutatingwebhookconfigurations", f"{ADMISSION}/validatingwebhookconfigurations"]
REST = [
    f"{ADMISSION}/validatingadmissionpolicybindings",
    f"{ADMISSION}/validatingadmissionpolicies",
    "/apis/networking.k8s.io/v1/networkpolicies",
    "/apis/apps/v1/deployments",
    "/api/v1/configmaps",
    "/apis/node.k8s.io/v1/runtimeclasses",
    f"/api/v1/namespaces/{NAMESPACE}/secrets",
]


def server():
    """Where the API server is; an address of IPv6 stands in brackets."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def call(method, path, body=None, kind="application/json"):
    """The answer as JSON; None if there is no such thing."""
    with open(f"{ACCOUNT}/token", encoding="ascii") as file:
        token = file.read().strip()
    url = server() + path
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json", "Content-Type": kind}
    request = urllib.request.Request(url, method=method, headers=headers, data=None if body is None else json.dumps(body).encode())
    context = ssl.create_default_context(cafile=f"{ACCOUNT}/ca.crt")
    try:
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise RuntimeError(f"{method} {path}: {error.code} {error.read(2048).decode(errors='replace')}") from None


def clear(collection):
    """Deletes what is labelled as the operator's, object by object: namespaced kinds cannot be deleted over all namespaces at once."""
    listed = call("GET", collection + OWNED) or {"items": []}
    for item in listed["items"]:
        metadata = item["metadata"]
        path = collection
        if metadata.get("namespace") and "/namespaces/" not in collection:
            head, plural = collection.rsplit("/", 1)
            path = f"{head}/namespaces/{metadata['namespace']}/{plural}"
        call("DELETE", f"{path}/{metadata['name']}", {"propagationPolicy": "Background", "preconditions": {"uid": metadata["uid"]}})
        print(f"deleted {path}/{metadata['name']}", flush=True)


def stop_operator():
    call("DELETE", f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/bailiwick-operator", {"propagationPolicy": "Foreground"})
    end = time.monotonic() + OPERATOR_S
    pods = f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app.kubernetes.io%2Fcomponent%3Dbailiwick-operator"
    while call("GET", pods)["items"]:
        if time.monotonic() > end:
            print(f"an operator's pod is still there after {OPERATOR_S} s; what it writes now stays", file=sys.stderr)
            return
        time.sleep(0.5)


def release_namespaces():
    """Gives back the labels of namespaces that the operator applied: an apply that names none of them."""
    for item in call("GET", "/api/v1/namespaces")["items"]:
        managers = [entry["manager"] for entry in item["metadata"].get("managedFields", [])]
        if "bailiwick-operator" in managers:
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": item["metadata"]["name"]}}
            path = f"/api/v1/namespaces/{item['metadata']['name']}?fieldManager=bailiwick-operator&force=true"
            call("PATCH", path, body, "application/apply-patch+yaml")


def main():
    for collection in HOOKS:
        clear(collection)
    stop_operator()
    # Once more: the operator may have been in the middle of a write.
    for collection in HOOKS + REST:
        clear(collection)
    release_namespaces()
    call("DELETE", f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/bailiwick-operator")


if __name__ == "__main__":
    main()
