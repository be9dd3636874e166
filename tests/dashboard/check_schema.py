"""Checks values against parts of an OpenAPI document: reads lines of JSON `[document, schema, value]`, prints errors."""

import json
import sys

from jsonschema import Draft202012Validator

for line in sys.stdin:
    document, schema, value = json.loads(line)
    validator = Draft202012Validator({**schema, "components": document["components"]})
    for error in validator.iter_errors(value):
        print(f"{json.dumps(schema)}: {error.json_path}: {error.message}")
