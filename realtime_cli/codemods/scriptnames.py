"""What the names and expressions of a script mean, across the files of its project. Spec: upgrade 5.2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realtime_cli.codemods.scriptfile import property_of
from realtime_cli.codemods.scriptscopes import FUNCTIONS, Binding, parameters, pattern_of, string_of, text_of

if TYPE_CHECKING:
    from tree_sitter import Node

    from realtime_cli.codemods.scriptfile import ScriptFile

__all__ = ["CONTEXT_CALLS", "HOOKS", "MAX_HOPS", "ScriptNames", "arguments", "canonical_module"]

MAX_HOPS = 8
"""How many files a re-export is followed through. Spec: upgrade 3.1."""

HOOKS: dict[str, tuple[str, ...]] = {
    "init": ("@hookctx",),
    "shutdown": ("@hookctx",),
    "upgrade": ("@hookctx",),
    "authenticate": ("@hookctx",),
    "open": ("@ws", "@hookctx"),
    "message": ("@ws", "@hookctx"),
    "subscribe": ("@ws", "", "@hookctx"),
    "subscribeBatch": ("@ws", "", "@hookctx"),
    "unsubscribe": ("@ws", "", "@hookctx"),
    "resume": ("@ws", "@hookctx"),
    "drain": ("@ws", "@hookctx"),
    "close": ("@ws", "@hookctx"),
}
"""What each export of the hooks file is called with."""

CONTEXT_CALLS = frozenset(
    {
        "live",
        "guard",
        *(
            f"live.{name}"
            for name in (
                *("binary", "channel", "cron", "gate", "idempotent", "lock", "rateLimit", "room", "stream"),
                *(
                    "upload",
                    "validated",
                    "volatile",
                    "access.any",
                    "access.all",
                    "access.owner",
                    "breaker",
                    "middleware",
                ),
            )
        ),
    }
)
"""Functions of the live layer that call the functions given to them with the context first."""
_OTHER_CALLBACKS = frozenset({"identify", "key", "keyFrom", "merge", "schema", "transform", "verify"})

_TYPES = {
    **dict.fromkeys(("LiveContext", "CronContext", "UploadContext", "RoomContext"), "@ctx"),
    "Platform": "@platform",
}
_SHORTER = (
    ("@ctx.platform", "@platform"),
    ("@hookctx.platform", "@platform"),
    ("@ctx.ws", "@ws"),
    ("client#connect().status", "client#status"),
    ("client#status.get()", "client#status$"),
)
_LOOKED_THROUGH = frozenset(
    {
        "as_expression",
        "await_expression",
        "non_null_expression",
        "parenthesized_expression",
        "satisfies_expression",
    }
)


def canonical_module(module: str) -> str:
    """Return the short name of a module of ours; empty for any other.

    ``server``, ``client``, ``adapter``, ``ext`` (the extensions; ``ext/postgres``), ``plugins/lock``, ``$live/boards``.
    """
    if module in ("svelte-realtime", "svelte-realtime/server"):
        return "server"
    if module in (
        "svelte-realtime/client",
        "svelte-adapter-uws/client",
        "/live/client.js",
        "$live/client.js",
    ):
        return "client"
    if module == "svelte-adapter-uws":
        return "adapter"
    if module.startswith("svelte-adapter-uws/"):
        return module.removeprefix("svelte-adapter-uws/").removesuffix("/client")
    if module == "svelte-adapter-uws-extensions" or module.startswith("svelte-adapter-uws-extensions/"):
        return "ext/postgres" if "/postgres" in module else "ext"
    if module.startswith("svelte-realtime/"):
        return module.replace("svelte-realtime/", "realtime/", 1)
    if module.startswith(("$live/", "/live/")):
        return "$live/" + module.split("live/", 1)[1].removesuffix(".js").removesuffix(".ts")
    return module if module == "svelte/store" else ""


def arguments(call: Node) -> list[Node]:
    """Return the arguments of a call, without comments."""
    given = call.child_by_field_name("arguments")
    return [one for one in given.named_children if one.type != "comment"] if given is not None else []


def short(meaning: str) -> str:
    """Return the one spelling of a meaning that codemods compare with."""
    for long, name in _SHORTER:
        if meaning == long or meaning.startswith((f"{long}.", f"{long}$")):
            return name + meaning[len(long) :]
    return meaning


class ScriptNames:
    """Meanings are paths: ``server#live.room``, ``ext#createPubSubBus().hooks``, ``@ctx.throttle``, ``client#status$``.

    ``@ctx`` is a live context, ``@platform``, ``@ws``, ``@hookctx`` what hooks get; ``()`` the result of a call or of
    ``new``; ``$`` the value of a store. An empty meaning is unknown, or not ours.
    """

    def __init__(self, file: ScriptFile) -> None:
        self.file = file
        self._busy: set[int] = set()
        self._known: dict[int, str] = {}

    def of(self, node: Node | None, hops: int = 0) -> str:
        """Return what an expression means."""
        if node is None:
            return ""
        if node.id in self._known and hops == 0:
            return self._known[node.id]
        if node.id in self._busy:
            return ""
        self._busy.add(node.id)
        try:
            found = short(self._of(node, hops))
        finally:
            self._busy.discard(node.id)
        if hops == 0 and not self._busy:
            self._known[node.id] = found
        return found

    def _of(self, node: Node, hops: int) -> str:
        kind = node.type
        if kind in ("identifier", "shorthand_property_identifier", "type_identifier"):
            return self._name(node, hops)
        if kind == "member_expression":
            found = self.of(node.child_by_field_name("object"), hops)
            return _member(found, property_of(node))
        if kind == "call_expression":
            return self._call(node, hops)
        if kind == "new_expression":
            found = self.of(node.child_by_field_name("constructor"), hops)
            return f"{found}()" if found else ""
        if kind in _LOOKED_THROUGH:
            inner = [one for one in node.named_children if one.type != "comment"]
            return self.of(inner[0], hops) if inner else ""
        return ""

    def _call(self, node: Node, hops: int) -> str:
        function = node.child_by_field_name("function")
        given = arguments(node)
        if function is None:
            return ""
        if function.type == "import" or (
            function.type == "identifier"
            and text_of(function) == "require"
            and not self.file.scopes.is_bound("require", function)
        ):
            module = string_of(given[0]) if given else None
            return self._module(module, "*", hops) if module else ""
        if text_of(function) == "$derived" and given and self.file.path.endswith(".svelte"):
            return self.of(given[0], hops)
        found = self.of(function, hops)
        if found == "svelte/store#get" and given:
            inner = self.of(given[0], hops)
            return f"{inner}$" if inner else ""
        return f"{found}()" if found else ""

    def _name(self, node: Node, hops: int) -> str:
        name = text_of(node)
        binding = self.file.scopes.lookup(name, node)
        if binding is not None:
            return self.binding(binding, hops)
        if (
            name.startswith("$")
            and len(name) > 1
            and self.file.path.endswith(".svelte")
            and not self.file.scopes.is_bound(name, node)
        ):
            store = self.file.scopes.lookup(name[1:], node)
            if store is not None and store in [
                one for top in self.file.scopes.tops for known in top.names.values() for one in known
            ]:
                found = self.binding(store, hops)
                return f"{found}$" if found else ""
        return ""

    def binding(self, binding: Binding, hops: int = 0) -> str:
        """Return what a declared name means."""
        if binding.reassigned:
            return ""
        if binding.kind == "import":
            return self._module(binding.module, binding.imported, hops)
        if binding.kind == "variable" and binding.value is not None:
            return _walk(self.of(binding.value, hops), binding.path)
        if binding.kind == "parameter" and binding.value is not None:
            return _walk(self.parameter(binding), binding.path)
        return ""

    def _module(self, module: str, imported: str, hops: int) -> str:
        name = canonical_module(module)
        if name:
            return f"{name}#{imported}"
        path = self.file.project.scripts.resolve(module, self.file.path)
        if path is None or hops >= MAX_HOPS:
            return ""
        other = self.file.project.scripts.file(path)
        if other is None or imported == "*":
            return ""
        return other.names.export(imported, hops + 1)

    def export(self, name: str, hops: int = 0) -> str:
        """Return what an exported name of this file means."""
        for statement in self.file.nodes("export_statement"):
            declaration = statement.child_by_field_name("declaration")
            if name == "default" and any(child.type == "default" for child in statement.children):
                return self.of(statement.child_by_field_name("value"), hops)
            if declaration is not None:
                for binding in self.declared(declaration):
                    if binding.name == name:
                        return short(self.binding(binding, hops))
            source = string_of(statement.child_by_field_name("source"))
            clause = next((one for one in statement.named_children if one.type == "export_clause"), None)
            if clause is not None:
                for one in clause.named_children:
                    inner = one.child_by_field_name("name")
                    outer = one.child_by_field_name("alias") or inner
                    if inner is not None and outer is not None and text_of(outer) == name:
                        return self._module(source, text_of(inner), hops) if source else self.of(inner, hops)
            elif source is not None and declaration is None:
                found = self._module(source, name, hops)
                if found:
                    return found
        return ""

    def exports(self) -> dict[str, Node]:
        """Return what the file exports by name, and where each name stands; not what ``export *`` brings."""
        found: dict[str, Node] = {}
        for statement in self.file.nodes("export_statement"):
            declaration = statement.child_by_field_name("declaration")
            if declaration is not None:
                found |= {one.name: one.node for one in self.declared(declaration)}
            for clause in statement.named_children:
                for one in clause.named_children if clause.type == "export_clause" else ():
                    outer = one.child_by_field_name("alias") or one.child_by_field_name("name")
                    if outer is not None:
                        found[text_of(outer)] = outer
        return found

    def declared(self, declaration: Node) -> list[Binding]:
        """Return what a declaration at the top of the file declares."""
        start, end = self.file.span(declaration)
        return [
            one
            for top in self.file.scopes.tops
            for known in top.names.values()
            for one in known
            if one.node.start_byte >= start and one.node.end_byte <= end and one.kind != "other"
        ]

    # Functions and their parameters.

    def parameter(self, binding: Binding) -> str:
        """Return what the framework fills a parameter with."""
        function = binding.value
        if function is None:
            return ""
        given = parameters(function)
        typed = self._typed(given[binding.index]) if binding.index < len(given) else ""
        if typed:
            return typed
        hook = self.hook(function)
        if hook:
            slots = HOOKS[hook]
            return slots[binding.index] if binding.index < len(slots) else ""
        if binding.index:
            return ""
        if self.is_live(function):
            return "@ctx"
        return self._callback(function)

    def _typed(self, parameter: Node) -> str:
        annotation = parameter.child_by_field_name("type")
        if annotation is None:
            return ""
        for node in annotation.named_children:
            name = node.child_by_field_name("name") if node.type == "generic_type" else node
            if name is not None and name.type == "type_identifier":
                found = self.of(name)
                module, _, kind = found.partition("#")
                if module in ("server", "adapter") and kind in _TYPES:
                    return _TYPES[kind]
        return ""

    def _callback(self, function: Node) -> str:
        above = self.file.parent(function)
        call = self.file.parent(above) if above is not None else None
        if call is None or call.type != "call_expression" or not arguments(call):
            return ""
        callee = call.child_by_field_name("function")
        if arguments(call)[0].id != function.id or callee is None or property_of(callee) != "subscribe":
            return ""
        found = self.of(callee.child_by_field_name("object"))
        return f"{found}$" if found else ""

    def hook(self, function: Node) -> str:
        """Return which hook a function is, if this is the file of the hooks; else nothing."""
        if not self.file.project.scripts.is_hooks(self.file.path):
            return ""
        name = self.exported_as(function)
        return name if name in HOOKS else ""

    def exported_as(self, function: Node) -> str:
        """Return the name under which a function at the top of the file is exported; empty if it is not."""
        above = self.file.parent(function)
        if above is None:
            return ""
        name = function.child_by_field_name("name") if function.type.endswith("declaration") else None
        if above.type == "variable_declarator":
            name = above.child_by_field_name("name")
            declaration = self.file.parent(above)
            above = self.file.parent(declaration) if declaration is not None else None
        if name is None or above is None:
            return ""
        if above.type == "export_statement":
            return text_of(name)
        for clause in self.file.nodes("export_specifier"):
            inner = clause.child_by_field_name("name")
            has_source = self.file.statement(clause).child_by_field_name("source") is not None
            if inner is not None and text_of(inner) == text_of(name) and not has_source:
                return (
                    text_of(clause.child_by_field_name("alias") or inner) if above.type == "program" else ""
                )
        return ""

    def is_live(self, function: Node) -> bool:
        """Say whether the live layer calls a function with the context as first argument."""
        call = self.live_call(function)
        if call is not None:
            return True
        name = self._named(function)
        if name is None or self.exported_as(function):
            return False
        binding = self.file.scopes.lookup(text_of(name), name)
        uses = self.file.scopes.references(binding) if binding is not None else []
        uses = [one for one in uses if not self._is_export(one)]
        return bool(uses) and all(self.live_call(one) is not None for one in uses)

    def _is_export(self, node: Node) -> bool:
        above = self.file.parent(node)
        return above is not None and above.type == "export_specifier"

    def _named(self, function: Node) -> Node | None:
        if function.type in ("function_declaration", "generator_function_declaration"):
            return function.child_by_field_name("name")
        above = self.file.parent(function)
        if above is not None and above.type == "variable_declarator":
            name = above.child_by_field_name("name")
            return name if name is not None and name.type == "identifier" else None
        return None

    def live_call(self, node: Node) -> Node | None:
        """Return the call of the live layer that a function is given to, itself or inside an object; else None."""
        at = node
        if node.type == "method_definition" and property_of(node) in _OTHER_CALLBACKS:
            return None
        for above in self.file.around(node):
            if above.type in ("object", "parenthesized_expression", "array", "as_expression"):
                at = above
                continue
            if above.type == "pair":
                if property_of(above) in _OTHER_CALLBACKS:
                    return None
                at = above
                continue
            if above.type == "method_definition" and above.id == at.id:
                continue
            if above.type == "arguments":
                call = self.file.parent(above)
                if call is None or call.type != "call_expression":
                    return None
                found = self.of(call.child_by_field_name("function"))
                module, _, name = found.partition("#")
                return call if module == "server" and name in CONTEXT_CALLS else None
            return None
        return None

    def origin(self, node: Node | None, hops: int = 0) -> tuple[ScriptFile, Node] | None:
        """Return the expression or function that a name was made from, here or in another file of the project."""
        if node is None or hops > MAX_HOPS:
            return None
        if node.type in _LOOKED_THROUGH and node.named_children:
            return self.origin(node.named_children[0], hops)
        if node.type not in ("identifier", "shorthand_property_identifier"):
            return self.file, node
        binding = self.file.scopes.lookup(text_of(node), node)
        if binding is None or binding.reassigned:
            return None
        if binding.kind == "function" and binding.value is not None:
            return self.file, binding.value
        if binding.kind == "variable" and binding.path == ():
            return self.origin(binding.value, hops + 1)
        if binding.kind == "import":
            path = self.file.project.scripts.resolve(binding.module, self.file.path)
            other = self.file.project.scripts.file(path) if path is not None else None
            return other.names.exported_origin(binding.imported, hops + 1) if other is not None else None
        return None

    def function_of(self, node: Node | None) -> tuple[ScriptFile, Node] | None:
        """Return the function that an expression is, or names, in this file or another; else None."""
        found = self.origin(node)
        return found if found is not None and found[1].type in FUNCTIONS else None

    def exported_origin(self, name: str, hops: int) -> tuple[ScriptFile, Node] | None:
        """Return the expression or function that this file exports under a name."""
        for top in self.file.scopes.tops:
            for binding in top.names.get(name, []):
                if binding.kind == "function" and binding.value is not None:
                    return self.file, binding.value
                return self.origin(binding.node, hops)
        return None

    def calls(self, *meanings: str) -> list[tuple[Node, str]]:
        """Return the calls of functions with such meanings, each with its meaning, in source order."""
        found = []
        for call in self.file.nodes("call_expression"):
            meaning = self.of(call.child_by_field_name("function"))
            if meaning in meanings:
                found.append((call, meaning))
        return found


def _member(found: str, name: str) -> str:
    if not found or not name:
        return ""
    if found.endswith("#*"):
        return found[:-1] + name
    return f"{found}.{name}"


def _walk(found: str, path: tuple[str, ...] | None) -> str:
    if path is None:
        return ""
    for name in path:
        found = short(_member(found, name))
    return found


def parameter_patterns(function: Node) -> list[Node]:
    """Return the patterns of a function's parameters, without annotations."""
    return [pattern_of(one) for one in parameters(function)]
