"""The settings structs: defaults, checks in the constructor, the reference page."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from runtime.core.devkinds import PublishRateWarning, SilentTopicWarning
from runtime.core.settings import (
    SECTIONS,
    DevSettings,
    PressureSettings,
    RateLimitSettings,
    RateRule,
    SecuritySettings,
    ServerSettings,
    Settings,
    SettingsError,
    WebSocketSettings,
    capacity_key,
    keys_of,
)
from runtime.core.settingsdoc import render_reference

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "settings.md"


def test_reference_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == render_reference(), (
        "run: python -m runtime.core.settingsdoc docs/reference/settings.md"
    )


def test_reference_page_lists_every_key():
    page = render_reference()
    for section, struct in SECTIONS.items():
        assert f"## [{section}]" in page
        for name in keys_of(struct):
            assert f"| `{name}` |" in page
    assert "| `MAX_TOPICS` | integer, from 1 | `2000000` |" in page


@pytest.mark.parametrize(("section", "struct"), SECTIONS.items())
def test_every_field_of_a_section_is_a_described_key_or_a_section(section, struct):
    inner = {name.rpartition(".")[2] for name in SECTIONS if name.rpartition(".")[0] == section}
    assert {*keys_of(struct), *inner} == set(struct.__struct_fields__)
    assert all(key.doc.endswith(".") for key in keys_of(struct).values())


def test_every_section_of_the_settings_has_a_struct():
    assert {*(name for name in SECTIONS if "." not in name), "capacity", "profile"} == set(
        Settings.__struct_fields__
    )


@pytest.mark.parametrize(
    ("struct", "values", "expected"),
    [
        (ServerSettings, {"port": 0}, 0),
        (WebSocketSettings, {"max_payload_length": "2M"}, 2 * 1024**2),
        (WebSocketSettings, {"max_payload_length": "64 kb"}, 65536),
        (WebSocketSettings, {"idle_timeout": 0}, None),
        (WebSocketSettings, {"idle_timeout": None}, None),
        (WebSocketSettings, {"idle_timeout": "2m"}, 120.0),
        (WebSocketSettings, {"hook_timeout": "500ms"}, 0.5),
        (WebSocketSettings, {"max_connections": 0}, None),
        (WebSocketSettings, {"max_outbound_frame": 0}, None),
        (WebSocketSettings, {"seq_base": 0}, 0),
        (WebSocketSettings, {"allowed_origins": ["https://*.example.com"]}, ("https://*.example.com",)),
        (ServerSettings, {"health_path": False}, None),
        (ServerSettings, {"web": "dist/web/"}, "dist/web"),
        (ServerSettings, {"static_immutable": ["/a/"]}, ("/a/",)),
        (ServerSettings, {"shutdown_timeout": 0}, 0.0),
        (ServerSettings, {"memory_limit": "512M"}, 512 * 1024**2),
        (ServerSettings, {"memory_limit": "auto"}, None),
        (PressureSettings, {"memory_ratio": False}, None),
        (PressureSettings, {"memory_ratio": None}, None),
        (PressureSettings, {"memory_ratio": 0}, 0.0),
        (PressureSettings, {"memory_ratio": 1}, 1.0),
        (PressureSettings, {"publish_rate": 0.5}, 0.5),
        (PressureSettings, {"topic_publish_bytes": "1K"}, 1024),
        (PressureSettings, {"topic_publish_bytes": False}, None),
        (PressureSettings, {"release_ratio": 0.1}, 0.1),
        (RateLimitSettings, {"default": {"points": 5, "window": "1m"}}, RateRule(5, 60.0)),
        (DevSettings, {"silent_topic_warning": True}, SilentTopicWarning(30.0, ())),
        (DevSettings, {"silent_topic_warning": False}, None),
        (
            DevSettings,
            {"silent_topic_warning": {"after": "1m", "suppress": ["a"]}},
            SilentTopicWarning(60.0, ("a",)),
        ),
        (DevSettings, {"publish_rate_warning": {"interval": 1}}, PublishRateWarning(200.0, 1.0)),
        (DevSettings, {"publish_rate_warning": PublishRateWarning(5, 1)}, PublishRateWarning(5.0, 1.0)),
        (RateLimitSettings, {"overrides": {"a/b": RateRule(1, 2)}}, {"a/b": RateRule(1, 2.0)}),
    ],
)
def test_values_given_in_code_are_converted(struct, values, expected):
    section = struct(**values)
    assert getattr(section, next(iter(values))) == expected


@pytest.mark.parametrize(
    ("struct", "values"),
    [
        (ServerSettings, {"port": 65536}),
        (ServerSettings, {"port": True}),
        (ServerSettings, {"port": "80"}),
        (ServerSettings, {"port": 80.0}),
        (ServerSettings, {"host": ""}),
        (ServerSettings, {"host": "a\nb"}),
        (ServerSettings, {"env": "a b"}),
        (ServerSettings, {"web": "../web"}),
        (ServerSettings, {"web": "/web"}),
        (ServerSettings, {"web": "a//b"}),
        (ServerSettings, {"web": "C:\\web"}),
        (ServerSettings, {"web": ""}),
        (ServerSettings, {"health_path": "healthz"}),
        (ServerSettings, {"health_path": "/a/../b"}),
        (ServerSettings, {"health_path": "//host"}),
        (ServerSettings, {"health_path": True}),
        (ServerSettings, {"static_immutable": ["/a"]}),
        (ServerSettings, {"static_immutable": "/a/"}),
        (ServerSettings, {"log_level": "loud"}),
        (WebSocketSettings, {"path": False}),
        (WebSocketSettings, {"idle_timeout": 7.9}),
        (WebSocketSettings, {"idle_timeout": 961}),
        (WebSocketSettings, {"idle_timeout": float("nan")}),
        (WebSocketSettings, {"idle_timeout": float("inf")}),
        (WebSocketSettings, {"idle_timeout": "2 weeks"}),
        (WebSocketSettings, {"idle_timeout": False}),
        (WebSocketSettings, {"max_payload_length": 1023}),
        (WebSocketSettings, {"max_payload_length": "1T"}),
        (WebSocketSettings, {"max_payload_length": "-1K"}),
        (WebSocketSettings, {"max_payload_length": 0}),
        (WebSocketSettings, {"max_connections": False}),
        (WebSocketSettings, {"max_connections": -1}),
        (WebSocketSettings, {"seq_base": 1}),
        (WebSocketSettings, {"seq_base": False}),
        (WebSocketSettings, {"allowed_origins": "https://a.example"}),
        (WebSocketSettings, {"allowed_origins": ["https://a.example/path"]}),
        (WebSocketSettings, {"allowed_origins": ["https://user@a.example"]}),
        (WebSocketSettings, {"allowed_origins": ["https://a.example:port"]}),
        (WebSocketSettings, {"allowed_origins": ["https://a.*.example"]}),
        (WebSocketSettings, {"allowed_origins": ["a.example"]}),
        (ServerSettings, {"memory_limit": False}),
        (ServerSettings, {"memory_limit": "automatic"}),
        (ServerSettings, {"memory_limit": 0}),
        (PressureSettings, {"memory_ratio": True}),
        (PressureSettings, {"memory_ratio": "0.5"}),
        (PressureSettings, {"memory_ratio": 1.1}),
        (PressureSettings, {"memory_ratio": -0.1}),
        (PressureSettings, {"memory_ratio": float("nan")}),
        (PressureSettings, {"publish_rate": 0}),
        (PressureSettings, {"publish_rate": float("inf")}),
        (PressureSettings, {"sample_interval": 0.09}),
        (PressureSettings, {"release_samples": 0}),
        (PressureSettings, {"release_samples": 61}),
        (PressureSettings, {"release_ratio": 0.09}),
        (PressureSettings, {"release_ratio": False}),
        (PressureSettings, {"topic_publish_bytes": 0}),
        (SecuritySettings, {"max_envelope_depth": 7}),
        (SecuritySettings, {"allow_non_ascii_topics": 1}),
        (RateLimitSettings, {"default": {"points": 0, "window": 1}}),
        (RateLimitSettings, {"default": {"points": 1}}),
        (RateLimitSettings, {"default": RateRule(-1, 1)}),
        (RateLimitSettings, {"overrides": {"a/b": None}}),
        (RateLimitSettings, {"exempt": "a/b"}),
        (DevSettings, {"silent_topic_warning": {"after": 0}}),
        (DevSettings, {"silent_topic_warning": {"threshold": 3}}),
        (DevSettings, {"silent_topic_warning": {"suppress": "a"}}),
        (DevSettings, {"publish_rate_warning": {"threshold": -1}}),
        (DevSettings, {"publish_rate_warning": 200}),
    ],
)
def test_values_that_do_not_fit_are_refused_by_name(struct, values):
    name, value = next(iter(values.items()))
    with pytest.raises(SettingsError) as caught:
        struct(**values)
    assert str(caught.value).startswith(f"{name}: expected {keys_of(struct)[name].kind.expected}")
    assert repr(value) in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("section", "name", "text", "expected"),
    [
        (PressureSettings, "memory_ratio", "0.5", 0.5),
        (PressureSettings, "memory_ratio", "0", 0.0),
        (PressureSettings, "memory_ratio", "off", None),
        (PressureSettings, "publish_rate", "FALSE", None),
        (PressureSettings, "topic_publish_bytes", "2M", 2 * 1024**2),
        (PressureSettings, "topic_publish_bytes", "no", None),
        (DevSettings, "silent_topic_warning", "off", None),
        (DevSettings, "silent_topic_warning", "yes", SilentTopicWarning()),
        (DevSettings, "silent_topic_warning", '{"suppress": ["a"]}', SilentTopicWarning(30.0, ("a",))),
        (DevSettings, "publish_rate_warning", '{"threshold": 9.5}', PublishRateWarning(9.5, 5.0)),
        (PressureSettings, "release_ratio", "1", 1.0),
        (ServerSettings, "memory_limit", "auto", None),
        (ServerSettings, "memory_limit", "1G", 1024**3),
    ],
)
def test_numbers_and_their_alternatives_are_read_from_the_environment(section, name, text, expected):
    kind = keys_of(section)[name].kind
    assert kind.parse_text(text) == expected
    written = tomllib.loads(f"x = {kind.to_toml(expected)}")["x"]
    assert kind.parse(written) == expected


@pytest.mark.parametrize("text", ["", "half", "1e3", "-1", "nan", "true", "0x1", "auto"])
def test_what_is_no_number_in_the_environment_is_refused(text):
    with pytest.raises(ValueError, match=r"^$"):
        keys_of(PressureSettings)["memory_ratio"].kind.parse_text(text)


def test_settings_are_frozen():
    settings = Settings()
    with pytest.raises(AttributeError):
        settings.server = ServerSettings()
    with pytest.raises(AttributeError):
        settings.server.port = 1
    with pytest.raises(TypeError):
        settings.capacity["MAX_TOPICS"] = 1
    with pytest.raises(TypeError):
        settings.rate_limits.overrides["a/b"] = RateRule(1, 1)


def test_capacity_is_checked_and_named_as_the_constant():
    assert Settings(capacity={"max_topics": 5}).capacity == {"MAX_TOPICS": 5}
    with pytest.raises(SettingsError, match="unknown capacity 'MAX_TOPIX'"):
        Settings(capacity={"MAX_TOPIX": 5})
    with pytest.raises(SettingsError, match="MAX_TOPICS: expected a whole number, from 1, not 0"):
        Settings(capacity={"MAX_TOPICS": 0})
    assert capacity_key("nothing") is None


@pytest.mark.spec("PLAT-122")
def test_dev_settings_are_ignored_outside_dev():
    dev = DevSettings(skip_origin_check=True)
    assert Settings(server=ServerSettings(env="dev"), dev=dev).dev.skip_origin_check
    assert not Settings(server=ServerSettings(env="production"), dev=dev).dev.skip_origin_check
    assert not Settings(server=ServerSettings(env="test"), dev=dev).dev.skip_origin_check


@pytest.mark.parametrize("path", ["/__ws/auth", "/__realtime", "/live/ws"])
def test_reserved_paths_are_refused(path):
    with pytest.raises(SettingsError, match="reserved"):
        Settings(websocket=WebSocketSettings(path=path))


def test_paths_must_differ():
    with pytest.raises(
        SettingsError, match=r"server\.ready_path and server\.health_path are both '/healthz'"
    ):
        Settings(server=ServerSettings(ready_path="/healthz"))
    off = Settings(server=ServerSettings(ready_path=False, health_path=False))
    assert off.server.ready_path is None


@pytest.mark.spec("PLAT-10", "PLAT-98")
def test_the_body_of_the_auth_path_is_bounded_by_that_of_all():
    with pytest.raises(
        SettingsError, match=r"auth_body_limit is 8192 bytes, but server\.body_limit lets no"
    ) as met:
        Settings(server=ServerSettings(body_limit=4096), websocket=WebSocketSettings(auth_body_limit=8192))
    assert met.value.key == "websocket.auth_body_limit"
    for body_limit, auth in ((4096, 4096), (0, 8192), (4096, 64 * 1024)):  # none, and a default is no wish
        made = Settings(
            server=ServerSettings(body_limit=body_limit), websocket=WebSocketSettings(auth_body_limit=auth)
        )
        assert made.websocket.auth_body_limit == auth
