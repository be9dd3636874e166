"""Checks a folder's Kubernetes manifests against its schemas: `check_manifests.py FOLDER SCHEMAS`.

Prints JSON: what is wrong, and each container's name, arguments, ports by name and number, and ports that are probed.
"""

import json
import sys
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

# Read by kubectl itself; there is no schema of it.
KUSTOMIZATION = "kustomization.yaml"


def main(folder: Path, schemas: Path) -> None:
    definitions = Resource.from_contents(json.loads((schemas / "_definitions.json").read_text("utf-8")))
    registry = definitions @ Registry()
    errors, containers = [], []
    for file in sorted(folder.rglob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text("utf-8")):
            if file.name == KUSTOMIZATION:
                errors += [f"{file.name}: no {name}" for name in document["resources"] if not (folder / name).is_file()]
                continue
            validator = Draft202012Validator(schema(document, schemas), registry=registry)
            errors += [f"{file.name}: {error.json_path}: {error.message}" for error in validator.iter_errors(document)]
            pod = document["spec"].get("template", {}).get("spec", {})
            containers += [described(container) for container in pod.get("containers", [])]
    print(json.dumps({"errors": errors, "containers": containers}))


def schema(document: dict, schemas: Path) -> dict:
    group, _, version = document["apiVersion"].rpartition("/")
    name = "-".join(part for part in (document["kind"].lower(), group.split(".")[0], version) if part)
    return json.loads((schemas / f"{name}.json").read_text("utf-8"))


def described(container: dict) -> dict:
    probes = [container[probe] for probe in ("readinessProbe", "livenessProbe") if probe in container]
    return {
        "name": container["name"],
        "args": container["args"],
        "ports": {port["name"]: port["containerPort"] for port in container.get("ports", [])},
        "probed": [probe["tcpSocket"]["port"] for probe in probes if "tcpSocket" in probe],
        "asked": [probe["exec"]["command"] for probe in probes if "exec" in probe],
    }


main(Path(sys.argv[1]), Path(sys.argv[2]))
