"""`[server]`: the process, its folders and the HTTP side. Spec: platform 4."""

from __future__ import annotations

import os
from typing import Annotated

import msgspec

from runtime.core import addresskinds, filekinds
from runtime.core import settingkinds as kinds
from runtime.core.settingkeys import flag_key, header_key, limit_key, size_key
from runtime.core.settingsection import Key, Section

__all__ = ["ServerSettings"]


def _default_threads() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    cpus = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(32, cpus + 4)


class ServerSettings(Section, frozen=True, kw_only=True):
    """`[server]`: the process, its folders and the HTTP side. Durations in seconds, sizes in bytes."""

    env: Annotated[
        str,
        Key(
            kinds.name_word(),
            "Name of the environment: decides error detail and which `[env.<name>]` tables apply.",
            default_text='`"production"` in `serve`, `"dev"` in `dev`, `"test"` under pytest',
        ),
    ] = "production"
    host: Annotated[str, Key(kinds.text_line(), "Address to listen on.")] = "0.0.0.0"  # noqa: S104 - platform 4 fixes this default
    port: Annotated[int, Key(kinds.integer(0, 65535), "TCP port to listen on; 0 takes any free one.")] = 3000
    workers: Annotated[
        int | None,
        Key(
            kinds.alternative(kinds.integer(1, 1024), "auto"),
            "Processes that serve; `auto` is one for each CPU of this process.",
            default_text="`1`",
        ),
    ] = 1
    cluster_mode: Annotated[
        str,
        Key(kinds.choice("auto", "reuseport", "acceptor"), "How several workers share the address."),
    ] = "auto"
    uds: Annotated[
        str | None, Key(filekinds.file_path(), "Unix socket to listen on, instead of `host` and `port`.")
    ] = None
    uds_mode: Annotated[
        int, Key(filekinds.file_mode(), "Permissions of the Unix socket: who may connect.")
    ] = 0o660
    tls_cert: Annotated[
        str | None,
        Key(
            filekinds.file_path(),
            "Certificate chain in PEM form; with it `realtime serve` speaks https and wss.",
        ),
    ] = None
    tls_key: Annotated[
        str | None, Key(filekinds.file_path(), "Private key of `tls_cert` in PEM form, without a password.")
    ] = None
    tls_min_version: Annotated[
        str, Key(kinds.choice("1.2", "1.3"), "Oldest version of TLS that clients may speak.")
    ] = "1.2"
    origin: Annotated[
        str | None,
        Key(
            addresskinds.web_origin(),
            "The address that people type; pages of it may connect, whatever `Host` says.",
        ),
    ] = None
    allowed_hosts: Annotated[
        tuple[str, ...],
        Key(
            addresskinds.hosts(),
            "Names under which the app answers, others get 400; in dev and test also this machine's own.",
        ),
    ] = ()
    protocol_header: Annotated[
        str | None,
        header_key("Header in which the proxy says `http` or `https`, such as `x-forwarded-proto`."),
    ] = None
    host_header: Annotated[
        str | None, header_key("Header in which the proxy says the host, such as `x-forwarded-host`.")
    ] = None
    port_header: Annotated[
        str | None, header_key("Header in which the proxy says the port, such as `x-forwarded-port`.")
    ] = None
    address_header: Annotated[
        str | None,
        header_key("Header in which the proxy says the client's address, such as `x-forwarded-for`."),
    ] = None
    xff_depth: Annotated[
        int,
        Key(kinds.integer(1), "Which entry of `x-forwarded-for` is the client, counted from the right."),
    ] = 1
    trusted_proxies: Annotated[
        tuple[str, ...],
        Key(
            addresskinds.networks(),
            "Peers whose proxy headers are believed; `private` is this machine and private networks.",
        ),
    ] = ("private",)
    emit_request_id: Annotated[bool, flag_key("Send the id of each request as `x-request-id`.")] = False
    hooks: Annotated[
        str,
        Key(
            kinds.module_path(), 'File with the hooks, or its module as in `"app.hooks"`; it may be missing.'
        ),
    ] = "hooks.py"
    live: Annotated[str, Key(kinds.project_path(), "Folder with the live modules.")] = "live"
    web: Annotated[
        str, Key(kinds.project_path(), "Folder with static files and pages; it may be missing.")
    ] = "web"
    body_limit: Annotated[
        int | None,
        size_key("Largest body of a request; a larger one gets 413. 0 is no limit.", 1, 2**50, off=True),
    ] = 512 * 1024
    header_timeout: Annotated[
        float | None,
        limit_key(
            "Longest time for the head of a request to arrive, and for its first byte after connecting."
        ),
    ] = 10.0
    keepalive_timeout: Annotated[
        float | None, limit_key("A connection without a new request for so long after an answer is closed.")
    ] = 10.0
    request_timeout: Annotated[
        float | None, limit_key("Longest time until the answer to a request begins; then 503. 0 is no limit.")
    ] = None
    stream_write_timeout: Annotated[
        float | None,
        limit_key("An answer of which the client takes no byte for so long is cut off."),
    ] = 30.0
    min_body_rate: Annotated[
        int | None,
        size_key(
            "Bytes per second that a request body must come with, over 10 seconds.", 1, 1024**3, off=True
        ),
    ] = 1024
    init_timeout: Annotated[float | None, limit_key("Longest time the `init` hook may take.")] = 60.0
    shutdown_hook_timeout: Annotated[
        float | None, limit_key("Longest time the `shutdown` hook may take.")
    ] = 10.0
    shutdown_timeout: Annotated[
        float,
        Key(kinds.duration(0.0, 3600.0), "Longest wait for running requests and `close` hooks at shutdown."),
    ] = 30.0
    shutdown_delay: Annotated[
        float,
        Key(
            kinds.duration(0.0, 3600.0),
            "Time at shutdown in which `ready_path` says 503 and everything else still works.",
        ),
    ] = 0.0
    shutdown_spread: Annotated[
        float,
        Key(kinds.duration(0.0, 3600.0), "Time over which the connections are closed at shutdown."),
    ] = 0.0
    health_path: Annotated[
        str | None,
        Key(kinds.url_path(off=True), "Answers 200 as soon as the process runs; `false` switches it off."),
    ] = "/healthz"
    ready_path: Annotated[
        str | None,
        Key(kinds.url_path(off=True), "Answers 200 when the app takes connections; `false` switches it off."),
    ] = "/readyz"
    ready_backends: Annotated[
        bool, flag_key("Answer 503 at `ready_path` while a required backend is away.")
    ] = True
    ready_pressure: Annotated[bool, flag_key("Let `ready_path` say 503 while the pressure is `MEMORY`.")] = (
        False
    )
    static_immutable: Annotated[
        tuple[str, ...],
        Key(kinds.path_prefixes(), "Paths whose files never change: cached for a year, without ETag."),
    ] = ("/_app/immutable/",)
    static_memory_file: Annotated[
        int,
        size_key(
            "Static files up to this size are held in memory; larger ones stream from disk.", 0, 1024**3
        ),
    ] = 8 * 1024**2
    static_memory_total: Annotated[
        int, size_key("Memory for static files in all; beyond it they stream from disk.", 0, 64 * 1024**3)
    ] = 256 * 1024**2
    precompress: Annotated[
        bool,
        flag_key("Send `x.br`, `x.gz` or `x.zst` beside a static file `x` when it is smaller and accepted."),
    ] = True
    compress: Annotated[
        bool, flag_key("Compress pages and answers of the app's routes for clients that take it.")
    ] = True
    memory_limit: Annotated[
        int | None,
        Key(
            kinds.alternative(kinds.size(1024**2, 2**50), "auto"),
            "Memory of all workers together; `auto` is that of the container, else of the machine.",
        ),
    ] = None
    threads: Annotated[
        int,
        Key(
            kinds.integer(1, 1024),
            "Worker threads for handlers marked `@live(thread=True)`.",
            default_text="CPUs + 4, at most 32",
        ),
    ] = msgspec.field(default_factory=_default_threads)
    access_log: Annotated[
        str,
        Key(
            kinds.choice("off", "text", "json"),
            "A line per request and per WebSocket, without queries, header values and bodies.",
        ),
    ] = "off"
    log_level: Annotated[
        str,
        Key(
            kinds.choice("debug", "info", "warning", "error", "critical"),
            "Least severe log record that is shown.",
        ),
    ] = "info"
    log_format: Annotated[
        str, Key(kinds.choice("text", "json"), "Form of the log records of `realtime serve`.")
    ] = "text"
    loop: Annotated[
        str,
        Key(
            kinds.choice("auto", "asyncio", "uvloop"),
            "Event loop; `auto` takes uvloop where it is installed.",
        ),
    ] = "auto"
