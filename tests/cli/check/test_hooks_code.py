"""SEC025 to SEC028 and SEC031: what hooks do with cookies, headers, users and failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.check.projects import marked

if TYPE_CHECKING:
    from pathlib import Path

COOKIES = {
    "every way": """
        COOKIE = "sid"
        OFF = False

        async def authenticate(request, cookies):
            cookies.set("sid", "x")  #! SEC025
            jar = cookies
            jar.set("session", "x", http_only=True)  #! SEC025
            put = cookies.set
            put("auth", "x")  #! SEC025
            cookies.set(COOKIE, "x")  #! SEC025
            cookies.set(name="my_session", value="x")  #! SEC025
            cookies.set("sid", "x", http_only=OFF, secure=True, same_site="lax")  #! SEC025
            if request:
                try:
                    login(cookies)
                finally:
                    request.response.set_cookie("sid", "x", httponly=True)  #! SEC025
            return True

        def login(jar):
            jar.set("refresh_token", "x")  #! SEC025
        """,
    "as it should be": """
        SAFE = {"http_only": True}

        async def authenticate(request, cookies):
            cookies.set("sid", "x", http_only=True, secure=True, same_site="lax")
            cookies.set("theme", "dark")
            cookies.set("sid", "x", **SAFE)
            request.cache.set("session", "x")
            request.redis.set("sid", "x")
            response = request.response
            response.set_cookie("sid", "x", httponly=True, secure=True, samesite="lax")
            "cookies.set('sid', 'x')"  # cookies.set("sid", "x")
            return True
        """,
}


@pytest.mark.parametrize("case", COOKIES)
def test_session_cookies(case: str, tmp_path: Path) -> None:
    marked(tmp_path, {"hooks.py": COOKIES[case]})


def test_session_cookies_in_another_file(tmp_path: Path) -> None:
    marked(
        tmp_path,
        {
            "app/auth.py": """
                from runtime import Cookies
                from app.names import SESSION

                def login(store: Cookies):
                    store.set(SESSION, "x")  #! SEC025
                """,
            "app/names.py": 'SESSION = "sid"\n',
            "tests/test_x.py": "def test(cookies):\n    cookies.set('sid', 'x')\n",
        },
    )


HEADERS = """
    from starlette.responses import RedirectResponse
    from runtime import UpgradeResponse
    from app.answer import answer
    from app.store import users

    async def authenticate(request, cookies, url, headers):
        area = url.query
        cookies.set("theme", "dark", path=f"/{area}")  #! SEC026
        cookies.set("theme", "dark", domain=headers["host"])  #! SEC026
        cookies.set("theme", headers["x"], path="/")
        cookies.set("theme", "dark", path=f"/{int(area)}")
        if area:
            for one in request.items:
                response = RedirectResponse("/", headers={"x-area": one})  #! SEC026
                response.headers["x-area"] = one  #! SEC026
        user = await users.by_session(cookies["sid"])
        response = RedirectResponse("/", headers={"x-user": user.id})
        body = await request.body()
        response.headers["x-body"] = body.decode()  #! SEC026
        response.headers["x-kind"] = "a" if area else "b"
        extra = {"x-fixed": "1"}
        extra["x-area"] = area  #! SEC026
        await answer(area)
        request.client.get("http://own", headers={"x-area": area})
        return RedirectResponse("/", headers=extra)

    async def upgrade(cookies, headers):
        more = {"x-lang": headers["accept-language"]}  #! SEC026
        return UpgradeResponse({"id": "1"}, more)
    """


def test_input_in_headers(tmp_path: Path) -> None:
    helper = """
        from starlette.responses import Response

        async def answer(area):
            return Response("", headers={"x-area": area})  #! SEC026

        async def unused(area):
            return Response("", headers={"x-area": area})
        """
    marked(tmp_path, {"hooks.py": HEADERS, "app/answer.py": helper})


USERS = {
    "every way": """
        from runtime import UpgradeResponse

        async def upgrade(cookies, headers):
            if headers:
                return {"id": 1, "token": 2}  #! SEC027
            user = {"id": 1}
            if cookies:
                user["password"] = 1  #! SEC027
                return user
            try:
                return dict(id=1, email=2)  #! SEC027
            finally:
                pass
            if headers:
                return UpgradeResponse({"access_token": 1}, {})  #! SEC027
            return {**user, "api_key": 1} if user else False  #! SEC027
        """,
    "in a helper": """
        async def upgrade(cookies):
            return await user_of(cookies)

        async def user_of(cookies):
            return {"id": 1, "secret": 2}  #! SEC027
        """,
    "harmless": """
        TEXT = "{'token': 1}"

        async def upgrade(cookies):
            found = {"token": cookies["token"]}
            if verify(found):
                return {"id": 1, "role": "admin", "name": "x"}
            return False

        def verify(found):
            return {"token": found}
        """,
}


@pytest.mark.parametrize("case", USERS)
def test_secrets_in_the_user(case: str, tmp_path: Path) -> None:
    marked(tmp_path, {"hooks.py": USERS[case]})


def test_hooks_of_another_file(tmp_path: Path) -> None:
    marked(
        tmp_path,
        {
            "hooks.py": """
                # whole
                from app.hooks import enter as upgrade
                from app.more import *

                authenticate = authenticate_
                """,
            "app/hooks.py": """
                async def enter(cookies):
                    try:
                        return {"id": 1, "token": 2}  #! SEC027
                    except ValueError:
                        return {"id": "anonymous"}  #! SEC028
                """,
            "app/more.py": """
                async def subscribe(ws, topic):
                    return None

                async def authenticate_(cookies):
                    try:
                        return True
                    except Exception:
                        return True  #! SEC028
                """,
        },
    )


FAILURES = {
    "every way": """
        NOBODY = {"id": None}

        async def upgrade(cookies):
            if cookies:
                try:
                    with cookies as x:
                        return x
                except (KeyError, ValueError) as error:
                    if error:
                        return {}  #! SEC028
                    return NOBODY  #! SEC028
                except:
                    user = {"id": 1}
                    return user  #! SEC028
            try:
                return {"id": 1}
            except OSError:
                return await guest()

        async def guest():
            return {"id": "guest"}
        """,
    "refused": """
        REFUSE = False

        async def upgrade(cookies):
            try:
                return {"id": cookies["x"]}
            except KeyError:
                return False
            except ValueError:
                return None
            except OSError:
                return
            except TypeError:
                return REFUSE
            except ImportError:
                return refuse()
            except IndexError:
                raise
            except LookupError:
                def later():
                    return {}
                return False
            return {}

        def refuse():
            return False

        async def open(ws):
            try:
                return {}
            except KeyError:
                return {}
        """,
}


@pytest.mark.parametrize("case", FAILURES)
def test_failures_that_let_in(case: str, tmp_path: Path) -> None:
    text = FAILURES[case].replace("return await guest()", "return await guest()  #! SEC028")
    marked(tmp_path, {"hooks.py": text})


def test_cookies_on_a_handshake(tmp_path: Path) -> None:
    marked(
        tmp_path,
        {
            "hooks.py": """
                import runtime
                from runtime import UpgradeResponse as Answer
                from starlette.responses import Response

                FIXED = {"Set-Cookie": "a=b"}  #! SEC031

                async def upgrade(cookies):
                    if cookies:
                        return runtime.UpgradeResponse({"id": 1}, headers={"SET-COOKIE": "a=b"})  #! SEC031
                    headers = {}
                    headers["set-cookie"] = "a=b"  #! SEC031
                    return Answer({"id": 1}, headers)

                async def fixed():
                    return Answer({}, FIXED)

                async def authenticate(request):
                    return Response("", headers={"set-cookie": "a=b"})
                """
        },
    )
