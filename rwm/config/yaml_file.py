"""The text of a configuration file: strict YAML, in which no line is silently dropped or shortened."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from rwm.errors import ConfigError

# PyYAML quotes the value in its message on `restic_password: !secret` and the like.
_QUOTED_VALUE = re.compile(r" (alias|anchor|tag handle|tag) ['\"].*", re.DOTALL)
_COMMENT = re.compile(r"[ \t]+#")
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_LONGEST_NAME = 64  # characters; something longer is no key, and may be a secret


def parse_yaml(path: Path, data: bytes, secrets: Iterable[str]) -> dict[Any, Any]:
    """The mapping in ``data``, empty for an empty file. ``path`` is for messages.

    Raises ConfigError with file and line for invalid YAML, for a character that no path or argument can have, for a key
    that is written twice in one mapping, and for a top-level value of the keys ``secrets`` that YAML would shorten or
    fold. No message contains a value.
    """
    try:
        loader = yaml.SafeLoader(data)
        try:
            node = loader.get_single_node()
            if isinstance(node, MappingNode):
                _check_characters(path, node)
                _check_duplicates(path, node)
                _check_secrets(path, node, frozenset(secrets))
            values = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:  # PyYAML raises them all
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        problem = _QUOTED_VALUE.sub(r" \1", getattr(error, "problem", None) or "bad text")
        hint = "quote values with special characters, and values that look like dates"
        raise ConfigError(f"{path}:{place} not valid YAML ({problem})", hint=hint) from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected `key: value` lines at the top level")
    return values


def _check_characters(path: Path, root: Node) -> None:
    """Escapes of YAML can make NUL, and halves of a character (surrogates)."""
    for node in _nodes(root):
        if isinstance(node, ScalarNode) and _NO_TEXT.search(node.value):
            raise ConfigError(
                f"{path}: line {node.start_mark.line + 1}: an escape makes a character that is no text",
                hint="write no \\0 and no half of a character (\\uD800 to \\uDFFF)",
            )


def _check_duplicates(path: Path, root: Node) -> None:
    """YAML forbids two equal keys in a mapping; PyYAML silently takes the last one."""
    for mapping in _nodes(root):
        if not isinstance(mapping, MappingNode):
            continue
        first: dict[tuple[str, str], int] = {}
        for key, _ in mapping.value:
            if not isinstance(key, ScalarNode):
                continue
            line, name = key.start_mark.line + 1, (key.tag, key.value)
            if name in first:
                shown = key.value if len(key.value) <= _LONGEST_NAME else "a key"
                raise ConfigError(
                    f"{path}: line {line}: {shown} is written a second time; the first is in line {first[name]}",
                    hint="merge the two: YAML would use the last one only",
                )
            first[name] = line


def _nodes(root: Node) -> Iterator[Node]:
    """Every node of the document once; aliases may form circles."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, MappingNode):
            waiting.extend(child for pair in node.value for child in pair)
        elif not isinstance(node, ScalarNode):
            waiting.extend(node.value)


def _check_secrets(path: Path, root: MappingNode, secrets: frozenset[str]) -> None:
    for key, value in root.value:
        if isinstance(key, ScalarNode) and key.value in secrets and isinstance(value, ScalarNode):
            problem = _shortened(value)
            if problem:
                raise ConfigError(
                    f"{path}: line {value.start_mark.line + 1}: {key.value}: {problem}",
                    hint=f'put the whole value in quotes ({key.value}: "…"), and a comment on a line of its own',
                )


def _shortened(value: ScalarNode) -> str:
    """How the value differs from what is written; empty if it does not."""
    if value.style in ("|", ">"):
        return "a block of text gets line ends that restic would take for a part of it"
    if value.start_mark.line != value.end_mark.line:
        return "the value spans several lines, which YAML joins"
    mark = value.end_mark
    if value.style is None and mark.buffer is not None and _COMMENT.match(mark.buffer, mark.pointer):
        return "YAML ends the value before ` #`, and takes the rest of the line for a comment"
    return ""
