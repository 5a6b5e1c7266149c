"""``types/python/realtime_live.pyi``: what type checkers know of an app in Python programs that use it.

```python
if TYPE_CHECKING:
    from realtime_live import connect       # with mypy_path (or the editor's stub path) at types/python
else:
    from runtime.client import connect

async with connect("ws://localhost:3000/ws") as rt:
    task = await rt.live.board.add("card-0001", "milk")
    async for cards in rt.stream("board/cards", "card-0001"):
        ...
```
Spec: live-api 21.1 and 26.
"""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from realtime_cli.typegen import clientstub
from realtime_cli.typegen.model import TypeModel, stream_value
from realtime_cli.typegen.nodes import (
    UNKNOWN,
    Alias,
    Array,
    Basic,
    Declaration,
    Field,
    Literals,
    Node,
    Record,
    Ref,
    Tuple,
    Union,
)
from runtime.live.registry import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from runtime.live.registry import LiveModule

__all__ = ["stub_source"]

_USED = {
    "builtins": ("bool", "dict", "float", "int", "list", "property", "str"),
    "runtime.client": ("PendingResult",),
    "typing": ("Any", "Literal", "NotRequired", "Protocol", "TypeAlias", "TypedDict"),
}
_ROOT = "Live"
_TAKEN = frozenset(
    {
        _ROOT,
        *clientstub.NAMES,
        *(name for names in _USED.values() for one in names for name in (one, f"_{one}")),
    }
)
_BASIC = {
    "string": "str",
    "number": "float",
    "integer": "int",
    "boolean": "bool",
    "unknown": "Any",
}
_BUILTIN = re.compile(r"\b(?:bool|float|int|str)\b")


@dataclass(slots=True)
class _Branch:
    """One attribute of ``Live`` and what hangs on it: functions of the module, and modules in the folder."""

    title: str
    functions: list[Endpoint] = field(default_factory=list)
    branches: dict[str, _Branch] = field(default_factory=dict)

    def inside(self) -> Iterable[_Branch]:
        """Give back every branch below this one, and at last itself."""
        for inner in self.branches.values():
            yield from inner.inside()
        yield self


def stub_source(
    modules: Iterable[LiveModule],
    codes: Mapping[str, Sequence[str]] | None = None,
    framework_codes: Sequence[str] = (),
) -> str:
    """Write the stub: the client with every path, a class per module, all types, values of streams and error codes.

    ``rt.live`` has no attributes for modules whose path is no chain of Python names, nor for the actions of rooms:
    they are called by their path.

    Args:
        modules: the modules as they are registered.
        codes: the error codes that each module raises itself, by its name.
        framework_codes: the error codes of the server and the client themselves.
    """
    modules = list(modules)
    parted = [(tuple(module.name.split("/")), module) for module in modules]
    named = [(parts, module) for parts, module in parted if all(map(_is_name, parts))]
    members = {part for parts, _ in named for part in parts}
    members |= {endpoint.name for _, module in named for endpoint in module.endpoints}
    writer = StubWriter(frozenset(members))
    root = _Branch(_ROOT)
    values: list[tuple[str, Endpoint]] = []
    for parts, module in named:
        branch = root
        for depth, part in enumerate(parts, 1):
            if part not in branch.branches:
                above = "" if branch is root else branch.title
                branch.branches[part] = _Branch(writer.claim(parts[:depth], above + title_of(part)))
            branch = branch.branches[part]
        for endpoint in module.endpoints:
            if endpoint.kind in ("binary", "upload"):
                continue  # the Python client calls them by their path
            if endpoint.kind != "rpc":
                title = f"{branch.title}{title_of(endpoint.name)}{title_of(endpoint.member or '')}"
                values.append((title, endpoint))
            elif endpoint.member is None:
                branch.functions.append(endpoint)
    titled = [(writer.claim(endpoint, title), endpoint) for title, endpoint in values]
    classes = [writer.branch(branch) for branch in root.inside()]
    aliases = [writer.value(name, endpoint) for name, endpoint in titled]
    aliases += writer.error_codes(codes or {}, framework_codes)
    endpoints = sorted((one for module in modules for one in module.endpoints), key=lambda one: one.path)
    client = clientstub.client_classes(endpoints, writer)
    header = f"# Written by `realtime types`; changes are lost.\n{clientstub.DIRECTIVES}"
    types = [*writer.declarations(), *aliases, *classes]
    text = "\n".join([header, writer.imports(), clientstub.IMPORTS, *types, clientstub.FIXED, client])
    return f"{text.rstrip()}\n"


def _is_name(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text)


def title_of(name: str) -> str:
    """Write the name of a function or module as that of a class: ``add_card`` is ``AddCard``."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[_\W]+", name))


class StubWriter:
    """Writes types. A name that a member of a class has too stands with ``_`` before it: there it means the member.

    Args:
        members: the names of all functions and modules; none begins with ``_``.
    """

    def __init__(self, members: frozenset[str] = frozenset()) -> None:
        self._members = members
        self._model = TypeModel(reserved=_TAKEN | members)

    def claim(self, key: object, wanted: str) -> str:
        """Give back a name for what `key` stands for: `wanted`, or with a number behind it if that is taken."""
        return self._model.claim(("stub", key), wanted)[0]

    def imports(self) -> str:
        """Write the import statements."""
        lines = []
        for module, names in _USED.items():
            wanted = [name for name in names if name in self._members or module != "builtins"]
            imported = [name if name not in self._members else f"{name} as _{name}" for name in wanted]
            lines += [f"from {module} import {', '.join(imported)}\n"] if imported else []
        return "".join(lines)

    def declarations(self) -> list[str]:
        """Write the types that were met until now."""
        return [self._declaration(one) for one in self._model.declarations.values()]

    def value(self, name: str, endpoint: Endpoint) -> str:
        """Write the alias for the value of a stream."""
        text = self.type(stream_value(endpoint, self._model))
        return (
            f'{name}: {self._used("TypeAlias")} = {text}\n"""The value of the stream "{endpoint.path}"."""\n'
        )

    def error_codes(self, codes: Mapping[str, Sequence[str]], framework: Sequence[str]) -> list[str]:
        """Write the unions of error codes: one per module that raises some, and those that hold all of them."""
        lines, names = [], []
        for module, raised in sorted(codes.items()):
            if raised:
                name = self.claim(("codes", module), f"{title_of(module)}ErrorCode")
                names.append(name)
                lines.append(self._codes(name, self._literals(tuple(raised)), f"Codes that {module} raises."))
        if names:
            lines.append(self._codes("ErrorCode", " | ".join(names), "Codes that the app raises itself."))
        if framework:
            text = "Codes that the server and the client raise by themselves."
            lines.append(self._codes("FrameworkErrorCode", self._literals(tuple(framework)), text))
        return lines

    def _codes(self, name: str, union: str, doc: str) -> str:
        return f'{name}: {self._used("TypeAlias")} = {union}\n"""{doc}"""\n'

    def branch(self, branch: _Branch) -> str:
        """Write the class of a module or folder."""
        lines = [f"class {branch.title}({self._used('Protocol')}):"]
        for name, inner in branch.branches.items():
            lines += [f"    @{self._used('property')}", f"    def {name}(self) -> {inner.title}: ..."]
        for endpoint in branch.functions:
            if endpoint.name not in branch.branches:  # else the server has a problem with it
                lines += self._function(endpoint)
        if len(lines) == 1:
            lines.append("    ...")
        return "\n".join([*lines, ""])

    def type(self, node: Node) -> str:
        """Write a type."""
        match node:
            case Basic("null"):
                return "None"
            case Basic(name):
                return self._used(_BASIC[name])
            case Literals(values):
                return self._literals(values)
            case Array(item):
                return f"{self._used('list')}[{self.type(item)}]"
            case Tuple(items):
                # JSON has only lists: what arrives is one, whatever the places hold.
                return self.type(Array(Union.of(items) if items else UNKNOWN))
            case Record(value):
                return f"{self._used('dict')}[{self._used('str')}, {self.type(value)}]"
            case Ref(name):
                return name
            case Union(members):
                return " | ".join(self.type(member) for member in members)

    def result(self, endpoint: Endpoint) -> str:
        """Write the type of what a call gives, or of the value of a stream."""
        if endpoint.kind in ("rpc", "binary", "upload"):
            return self.type(self._model.convert(endpoint.signature.returns, "out"))
        return self.type(stream_value(endpoint, self._model))

    def _used(self, name: str) -> str:
        return f"_{name}" if name in self._members else name

    def _function(self, endpoint: Endpoint) -> list[str]:
        parameters = self.parameters(endpoint, ["self"], clientstub.CALL_OPTIONS)
        head = f"    def {endpoint.name}({parameters}) -> {self._used('PendingResult')}[{self.result(endpoint)}]:"
        return [head, f"        {clientstub.doc_text(endpoint.doc)}" if endpoint.doc else "        ..."]

    def parameters(self, endpoint: Endpoint, first: Sequence[str], options: Mapping[str, str]) -> str:
        """Write the parameters of a method that calls an endpoint.

        Args:
            endpoint: what it calls; the payload of a binary call is not written.
            first: the parameters in front, as they are written.
            options: type by name of those that can only be given by name; a parameter of the endpoint that is
                called so gets another name, and can only be given by place anyway.
        """
        fixed, rest = list(first), "*"
        names = {*options, *(one.partition(":")[0] for one in first)}
        own = endpoint.signature.parameters[1 if endpoint.kind == "binary" else 0 :]
        for parameter in own:
            name = parameter.name
            while name in names:
                name += "_"
            names.add(name)
            kind = self.type(self._model.convert(parameter.annotation, "in"))
            if parameter.variadic:
                rest = f"*{name}: {kind}"
            else:
                fixed.append(f"{name}: {kind}{'' if parameter.required else ' = ...'}")
        given = [
            f"{name}: {_BUILTIN.sub(lambda word: self._used(word[0]), kind)} = ..."
            for name, kind in options.items()
        ]
        return ", ".join([*fixed, "/", *([rest] if given or rest != "*" else []), *given])

    def _declaration(self, declared: Declaration) -> str:
        if isinstance(declared, Alias):
            return f"{declared.name}: {self._used('TypeAlias')} = {self.type(declared.type)}\n"
        typed_dict = self._used("TypedDict")
        kinds = [self._field_type(item) for item in declared.fields]
        words = set(re.findall(r"\w+", " ".join(kinds)))
        # In a class a field of a name that another field's type uses would hide it.
        if any(item.name in words or not _is_name(item.name) for item in declared.fields):
            items = ", ".join(
                f"{item.name!r}: {kind!r}" for item, kind in zip(declared.fields, kinds, strict=True)
            )
            return f"{declared.name} = {typed_dict}({declared.name!r}, {{{items}}})\n"
        lines = [f"class {declared.name}({typed_dict}):"]
        if declared.doc:
            lines.append(f"    {clientstub.doc_text(declared.doc)}")
        lines += [f"    {item.name}: {kind}" for item, kind in zip(declared.fields, kinds, strict=True)]
        if len(lines) == 1:
            lines.append("    ...")
        return "\n".join([*lines, ""])

    def _field_type(self, item: Field) -> str:
        kind = self.type(item.type)
        return kind if item.required else f"{self._used('NotRequired')}[{kind}]"

    def _literals(self, values: tuple[object, ...]) -> str:
        if any(isinstance(value, float) for value in values):  # not allowed in Literal
            kinds = (Basic("string" if isinstance(value, str) else "number") for value in values)
            return self.type(Union.of(kinds))
        return f"{self._used('Literal')}[{', '.join(repr(value) for value in values)}]"
