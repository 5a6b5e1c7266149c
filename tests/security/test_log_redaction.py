"""The secrets of the settings are in no log record, and in no traceback that developers are shown. Platform 5.15."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtime.core.redactor import MIN_SECRET, LogRedaction, Redactor
from runtime.core.settings import (
    MetricsSettings,
    PostgresSettings,
    RedisSettings,
    SecuritySettings,
    Settings,
)
from tests.server.conftest import AppFactory

PASSWORD, TOKEN, DATABASE = "s3cr3t-p@ss'w", "tok-0123456789", "pg/pass wörd"
URL = "rediss://app:s3cr3t-p%40ss'w@cache.example:6379/0"
DSN = "postgresql://app:pg%2Fpass%20w%C3%B6rd@db.example/app?sslpassword=inner-key"
SECRETS = (PASSWORD, TOKEN, DATABASE, URL, DSN, "inner-key", "s3cr3t-p%40ss'w", "pg%2Fpass%20w%C3%B6rd")
logger = logging.getLogger("app.things")


def settings(**security: Any) -> Settings:
    return Settings(
        redis=RedisSettings(url=URL),
        postgres=PostgresSettings(dsn=DSN),
        metrics=MetricsSettings(token=TOKEN),
        security=SecuritySettings(**security),
    )


class Line:
    """One handler, what it wrote, and the records that it got."""

    def __init__(self, redaction: LogRedaction | None) -> None:
        self.stream = io.StringIO()
        self.records: list[logging.LogRecord] = []
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(logging.Formatter("%(message)s"))
        if redaction is not None:
            self.handler.addFilter(redaction)
        self.handler.addFilter(lambda record: self.records.append(record) or True)  # type: ignore[func-returns-value]

    @property
    def all(self) -> str:
        """What anybody could read out of the records, and the text."""
        fields = [vars(record) for record in self.records]
        return self.stream.getvalue() + json.dumps(fields, default=str, ensure_ascii=False) + repr(fields)


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line(LogRedaction(Redactor(settings())))
    logger.addHandler(made.handler)
    logger.propagate = False
    yield made
    logger.removeHandler(made.handler)
    logger.propagate = True


class Holder:
    def __init__(self, secret: str) -> None:
        self.secret = secret

    def __repr__(self) -> str:
        return f"<Holder of {self.secret!r}>"


@pytest.mark.spec("PLAT-117", "PLAT-168")
@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "write",
    [
        lambda secret: logger.error(secret),
        lambda secret: logger.error("cannot reach %s", secret),
        lambda secret: logger.error("%(where)s", {"where": secret}),
        lambda secret: logger.error(f"cannot reach {secret}; trying again"),
        lambda secret: logger.error("%r and %s", [{"deep": {"er": [secret]}}], Holder(secret)),
        lambda secret: logger.error("%s", json.dumps({"url": secret})),
        lambda secret: logger.error("no", extra={"where": secret}),
        lambda secret: logger.error("no", extra={"where": {"deep": (1, [secret])}, secret: 1}),
        lambda secret: logger.error("no", extra={"holder": Holder(secret), "error": ValueError(secret)}),
        lambda secret: logger.error("no", stack_info=True, extra={"holder": [Holder(secret)]}),
        lambda secret: logger.error("%s", ConnectionError(f"to {secret} failed")),
        lambda secret: logger.error("%s", secret.encode().decode()),
        lambda secret: logger.error("GET /x?key=%s", quote(secret, safe="")),
        lambda secret: logger.error("%s", {"url": secret, "in": json.dumps({"deep": secret})}),
    ],
)
def test_no_part_of_a_record_holds_a_secret(line: Line, secret: str, write: Any) -> None:
    write(secret)
    assert len(line.records) == 1
    fields = {key: value for key, value in vars(line.records[0]).items() if key != secret}
    shown = line.stream.getvalue() + json.dumps(fields, default=str, ensure_ascii=False) + repr(fields)
    for one in SECRETS:
        assert one not in shown
        assert quote(one, safe="") not in shown
    assert "***" in shown


@pytest.mark.spec("PLAT-117", "PLAT-168")
def test_a_driver_that_names_the_address_does_not_give_it_away(line: Line) -> None:
    try:
        try:
            raise OSError(f"cannot connect to {URL}")
        except OSError as error:
            raise RuntimeError(f"gave up on {DSN} with {TOKEN}") from error
    except RuntimeError:
        logger.exception("start failed")
    for secret in SECRETS:
        assert secret not in line.all
    shown = line.stream.getvalue()
    assert "cannot connect to rediss://app:***@cache.example:6379/0" in shown
    assert "gave up on postgresql://app:***@db.example/app?sslpassword=*** with ***" in shown
    assert "direct cause" in shown


@pytest.mark.spec("PLAT-117")
def test_addresses_of_others_lose_their_passwords_too(line: Line) -> None:
    logger.error("at %s", "amqp://guest:rabbit@mq/?token=abc&x=1#y")
    assert line.stream.getvalue() == "at amqp://guest:***@mq/?token=***&x=1#y\n"


@pytest.mark.spec("PLAT-117")
def test_what_has_no_secret_stays_what_it_is(line: Line) -> None:
    args = ({"a": [1, ("b", None)]}, Holder("open"))
    try:
        raise ValueError("no")
    except ValueError:
        logger.exception("%s and %s at https://app.example/x?y=1", *args, extra={"kept": args})
    (record,) = line.records
    assert isinstance(record.args, tuple)
    assert record.args[0] is args[0]
    assert record.args[1] is args[1]
    assert vars(record)["kept"] is args
    assert record.exc_info is not None


def test_a_record_that_cannot_be_shown_is_the_handlers_to_report(line: Line) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise ZeroDivisionError

    raising, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        logger.error("%r", Broken())
        logger.error("fine")
    finally:
        logging.raiseExceptions = raising
    assert line.stream.getvalue().endswith("fine\n")


@pytest.mark.spec("PLAT-119", "PLAT-117")
@pytest.mark.parametrize(
    ("switch", "seen", "hidden"),
    [
        ({}, [], [URL, DSN, TOKEN, "rabbit"]),
        ({"redact_logs": False}, [TOKEN], [URL, DSN, "rabbit"]),
        ({"redact_urls": False}, [URL, DSN, "rabbit"], [TOKEN]),
        ({"redact_urls": False, "redact_logs": False}, [URL, DSN, TOKEN, "rabbit"], []),
    ],
)
async def test_each_switch_shows_what_it_stands_for(
    make_app: AppFactory, switch: dict[str, Any], seen: list[str], hidden: list[str]
) -> None:
    chosen = settings(**switch)
    line = Line(None)
    logging.getLogger().addHandler(line.handler)
    try:
        app = await make_app(
            {"live/things.py": ""},
            redis=chosen.redis,
            postgres=chosen.postgres,
            metrics=chosen.metrics,
            security=chosen.security,
        )
        logger.error("%s %s %s amqp://guest:rabbit@mq", URL, DSN, TOKEN)
        await app.runtime.stop()
    finally:
        logging.getLogger().removeHandler(line.handler)
    for text in seen:
        assert text in line.stream.getvalue()
    for text in hidden:
        assert text not in line.stream.getvalue()
    for name in switch:
        assert f"security.{name} = false: a default that protects the app is off" in line.stream.getvalue()
        assert app.runtime.metrics.get("security_optouts", name) == 1


@pytest.mark.spec("PLAT-168")
async def test_an_app_hides_its_secrets_from_its_first_line_to_its_last(make_app: AppFactory) -> None:
    source = f"""
        import logging
        log = logging.getLogger("app")
        later = logging.StreamHandler()
        log.error("loading with {TOKEN}")

        def init():
            logging.getLogger("app.late").addHandler(later)
            log.error("init with {TOKEN}")

        def shutdown():
            log.error("shutdown with {TOKEN}")
    """
    line = Line(None)
    logging.getLogger().addHandler(line.handler)
    try:
        app = await make_app({"hooks.py": source, "live/things.py": ""}, metrics=settings().metrics)
        late = logging.getLogger("app.late").handlers
        assert late[0].filters == [app.runtime.log_redaction]
        await app.runtime.stop()
        shown = line.stream.getvalue()
        assert [one for one in shown.splitlines() if "with" in one] == [
            "loading with ***",
            "init with ***",
            "shutdown with ***",
        ]
        assert not late[0].filters
        assert not any(isinstance(one, LogRedaction) for one in line.handler.filters)
    finally:
        logging.getLogger("app.late").handlers.clear()
        logging.getLogger().removeHandler(line.handler)


@pytest.mark.spec("PLAT-168")
async def test_a_traceback_for_the_developer_has_no_secrets(make_app: AppFactory) -> None:
    source = f"""
        from runtime import live

        @live
        async def fail(ctx): raise ConnectionError("{URL} and {TOKEN}")
    """
    app = await make_app({"live/things.py": source}, env="dev", metrics=settings().metrics)
    peer = await app.connect({"id": "u1"})
    answer = await peer.request("things/fail")
    assert "ConnectionError" in answer["data"]["traceback"]
    assert TOKEN not in str(answer)
    assert PASSWORD not in str(answer)
    assert "s3cr3t" not in str(answer)


WORDS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=12)
VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=MIN_SECRET, max_size=24)


@pytest.mark.spec("PLAT-168", "PLAT-117")
@given(secret=VISIBLE, before=WORDS, after=WORDS)
@example(secret="'\"\\%", before="", after="")
@example(secret="****x", before="", after="")
def test_whatever_the_secret_is_it_is_in_no_text(secret: str, before: str, after: str) -> None:
    redactor = Redactor(Settings(metrics=MetricsSettings(token=secret)))
    for text in (f"{before} {secret} {after}", f"{before} {secret!r}", json.dumps([before, secret, after])):
        shown = redactor.text(text)
        assert secret not in shown.replace("***", " ") or secret in f"{before} {after}"
        assert redactor.text(secret) == "***"
        assert secret not in repr(redactor.value({"a": [secret], "b": (secret,)})).replace("***", "")


@pytest.mark.spec("PLAT-117")
def test_a_short_secret_is_hidden_where_it_stands_alone() -> None:
    redactor = Redactor(Settings(metrics=MetricsSettings(token="abc")))
    assert redactor.text("abc") == "***"
    assert redactor.text("abcdef") == "abcdef"
    assert redactor.value({"token": "abc"}) == {"token": "***"}
