#!/usr/bin/env python3
"""Fails if there is an import cycle between folders, or one of more than two files within a folder.

    python3 scripts/imports.py [--graph] [ROOT ...]

Each ROOT (default: every crate and every folder of Python in this repository) holds either a Rust crate's `lib.rs` or
Python files. An import counts as one of the file that *defines* the name: `use crate::model::Labels` depends on
`model/spec/labels.rs`, even through a `pub use` in a `mod.rs`. So a `mod.rs` that only lists and re-exports its modules
depends on nothing. A file directly under the root is a folder of its own. `#[cfg(test)]` modules, which end a file, do
not count.

A folder's cycle is printed with the imports that close it; `--graph` prints all edges between folders.
"""

import argparse
import ast
import re
import sys
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
CRATES = ["src", "udfs/src", "pixels/src", "cluster/src"]
PYTHON = ["benches", "scripts"]

Graph = dict[Path, dict[Path, set[str]]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("roots", nargs="*", type=Path)
    parser.add_argument("--graph", action="store_true", help="print the edges between folders")
    arguments = parser.parse_args()
    failed = False
    for root in arguments.roots or [PROJECT / folder for folder in CRATES + PYTHON]:
        graph = rust_imports(root) if (root / "lib.rs").exists() else python_imports(root)
        folders = between_folders(graph, root)
        if arguments.graph:
            for folder in sorted(folders):
                print(folder, "->", ", ".join(str(other) for other in sorted(folders[folder])))
        failed |= report(cycles(folders, 1), folders, root, "folders")
        failed |= report(cycles(within_folders(graph, root), 2), graph, root, "files of one folder")
    return int(failed)


def report(found: list[list[Path]], graph: Graph, root: Path, what: str) -> bool:
    for members in found:
        names = ", ".join(shown(member, root) for member in members)
        print(f"imports: a cycle of {len(members)} {what} in {root}: {names}", file=sys.stderr)
        for member in members:
            for other, reasons in sorted(graph[member].items()):
                if other in members and other != member:
                    print(f"    {shown(member, root)} -> {shown(other, root)}: {', '.join(sorted(reasons))}", file=sys.stderr)
    return bool(found)


def shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_absolute() else str(path)


def folder_of(file: Path, root: Path) -> Path:
    """The folder of a file, relative to `root`; the file itself if it lies directly under the root."""
    relative = file.relative_to(root)
    return relative if len(relative.parts) == 1 else relative.parent


def between_folders(graph: Graph, root: Path) -> Graph:
    folders: Graph = defaultdict(lambda: defaultdict(set))
    for file, imports in graph.items():
        for other, names in imports.items():
            here, there = folder_of(file, root), folder_of(other, root)
            if here != there:
                folders[here][there] |= {f"{file.name} uses {name} of {other.name}" for name in names}
    return folders


def within_folders(graph: Graph, root: Path) -> Graph:
    return {
        file: {other: names for other, names in imports.items() if folder_of(file, root) == folder_of(other, root)}
        for file, imports in graph.items()
    }


def cycles(graph: Graph, allowed: int) -> list[list[Path]]:
    """The strongly connected components of more than `allowed` nodes, by Tarjan's algorithm."""
    index: dict[Path, int] = {}
    low: dict[Path, int] = {}
    stack: list[Path] = []
    found: list[list[Path]] = []

    def visit(node: Path) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph.get(node, {}):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            component, stack[at:] = stack[at:], []
            if len(component) > allowed:
                found.append(sorted(component))

    for node in list(graph):
        if node not in index:
            visit(node)
    return found


# Rust ----------------------------------------------------------------------------------------------------------------

ITEM = re.compile(
    r"^\s*(?:pub(?:\([a-z: ]+\))?\s+)?(?:async\s+|const\s+|unsafe\s+)*"
    r"(?:fn|struct|enum|trait|type|const|static|union|macro_rules!)\s+([A-Za-z_]\w*)",
    re.M,
)
PATH = re.compile(r"\b((?:crate|super|self)(?:::\w+)+)")
USE = re.compile(r"\b(pub(?:\([a-z: ]+\))?\s+)?use\s+([^;]+);")


def rust_imports(root: Path) -> Graph:
    """For each file of a crate, the files whose items it uses, and the names of those items."""
    modules = {module_of(file, root): file for file in sorted(root.rglob("*.rs")) if file.name not in ("main.rs", "tests.rs")}
    modules = {module: file for module, file in modules.items() if "tests" not in module}
    texts = {module: code(file.read_text()) for module, file in modules.items()}
    items = {module: set(ITEM.findall(text)) for module, text in texts.items()}
    exports = {module: dict(reexports(text, module)) for module, text in texts.items()}

    def definer(path: tuple[str, ...], seen: frozenset = frozenset()) -> tuple[str, ...] | None:
        """The module that defines the item at `path`."""
        if path in modules:
            return path
        if not path or path in seen:
            return None
        module, name = path[:-1], path[-1]
        if module in modules:
            if name in items[module]:
                return module
            if name in exports[module]:
                return definer(exports[module][name], seen | {path})
            return module if name not in exports[module] else None
        return definer(module, seen | {path})

    graph: Graph = {file: defaultdict(set) for file in modules.values()}
    for module, text in texts.items():
        body = USE.sub(lambda use: "" if use[1] and modules[module].name in ("mod.rs", "lib.rs") else use[0], text)
        for path in named(body, module, modules):
            target = definer(path)
            if target is not None and target != module and path != target[: len(path)]:
                graph[modules[module]][modules[target]].add(path[-1])
    return graph


def module_of(file: Path, root: Path) -> tuple[str, ...]:
    parts = file.relative_to(root).with_suffix("").parts
    return tuple(part for part in parts if part not in ("mod", "lib"))


def code(text: str) -> str:
    """The text without comments, strings and `#[cfg(test)]` modules."""
    text = re.sub(r"#\[cfg\(test\)\]\s*(?:pub(?:\(\w+\))?\s+)?mod \w+;", "", bare(text))
    return re.split(r"#\[cfg\(test\)\]\s*(?:pub(?:\(\w+\))?\s+)?mod \w+ \{", text)[0]


def bare(text: str) -> str:
    """The text without comments and the contents of strings."""
    literal = r"""'(?:\\.|[^'\\])'|r#"(?s:.*?)"#|"(?:\\.|[^"\\])*"|//[^\n]*"""
    return re.sub(literal, lambda found: "" if found[0].startswith("//") else '""', text)


def named(text: str, module: tuple[str, ...], modules: Collection[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """Every path into the crate that a file uses, from the crate's root."""
    used = {path for use in USE.finditer(text) for path in leaves(use[2])}
    body = USE.sub("", text)
    inline = {tuple(path.split("::")) for path in PATH.findall(body)}
    paths = {path for path in (absolute(path, module) for path in used | inline) if path}
    # `listing::list(…)`, after `use super::listing;` or beside `mod listing;`
    short = {path[-1]: path for path in paths if path in modules}
    short |= {child[-1]: child for child in modules if child[:-1] == module and child}
    items = {(*short[name], item) for name, item in re.findall(r"(?<![\w:])([a-z_]\w*)::(\w+)", body) if name in short}
    return (paths - set(short.values())) | items


def reexports(text: str, module: tuple[str, ...]):
    """The names that a file re-exports, with their paths."""
    for use in USE.finditer(text):
        if use[1]:
            for leaf in leaves(use[2]):
                name = leaf[-1]
                if path := absolute(leaf, module) or absolute(("self", *leaf), module):
                    yield name, path


def leaves(tree: str) -> list[tuple[str, ...]]:
    """`a::{b, c::d as e}` as `a::b` and `a::c::d`."""
    tree = re.sub(r"\s+as\s+\w+", "", tree).strip()
    brace = tree.find("{")
    if brace < 0:
        return [tuple(part for part in re.sub(r"\s", "", tree).split("::") if part not in ("", "self") or part == tree.split("::")[0])]
    prefix = [part for part in re.sub(r"\s", "", tree[:brace]).split("::") if part]
    parts, depth, start = [], 0, brace + 1
    for at in range(brace + 1, len(tree)):
        depth += {"{": 1, "}": -1}.get(tree[at], 0)
        if (tree[at] == "," and depth == 0) or depth < 0:
            parts.append(tree[start:at])
            start = at + 1
    return [(*prefix, *(() if leaf == ("self",) else leaf)) for part in parts if part.strip() for leaf in leaves(part)]


def absolute(path: tuple[str, ...], module: tuple[str, ...]) -> tuple[str, ...] | None:
    """A path from the crate's root; `None` if it leads into another crate."""
    if path[0] == "crate":
        return path[1:]
    base = module
    if path[0] == "self":
        return (*base, *path[1:])
    if path[0] != "super":
        return None
    while path and path[0] == "super":
        base, path = base[:-1], path[1:]
    return (*base, *path)


# Python --------------------------------------------------------------------------------------------------------------


def python_imports(root: Path) -> Graph:
    files = {file.stem: file for file in sorted(root.rglob("*.py"))}
    graph: Graph = {file: defaultdict(set) for file in files.values()}
    for file in files.values():
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                other = files.get(name.split(".")[-1])
                if other and other != file:
                    graph[file][other].add(name)
    return graph


if __name__ == "__main__":
    sys.exit(main())
