"""UPJ15: the scripts of leases."""

from __future__ import annotations

import pytest

from tests.upgrade.scriptprojects import becomes, stays_everywhere, told

_OLD = "'svelte-adapter-uws-extensions/redis/lock'"
_NEW = "'svelte-adapter-uws-extensions/shared/lease-scripts.js'"


@pytest.mark.spec("UPGC-81")
@pytest.mark.parametrize(
    "source",
    [
        "import { RELEASE_SCRIPT } from 'another'\n",
        f"import {{ createDistributedLock }} from {_OLD}\nconst RELEASE_SCRIPT = 1\n",
        f"import * as lock from {_OLD}\nlock.RELEASE_SCRIPT\n",
        f"import {{ LEASE_RELEASE_SCRIPT as RELEASE_SCRIPT }} from {_NEW}\n",
        f'const text = "import {{ RELEASE_SCRIPT }} from {_OLD}"\n',
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays_everywhere("UPJ15", source)


@pytest.mark.spec("UPGC-81", "UPGC-57")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (
            f"import {{ HEARTBEAT_SCRIPT }} from {_OLD};\n",
            f"import {{ LEASE_RENEW_SCRIPT as HEARTBEAT_SCRIPT }} from {_NEW};\n",
        ),
        (
            f"import {{ RELEASE_SCRIPT as done, HEARTBEAT_SCRIPT as on }} from {_OLD}\n",
            f"import {{ LEASE_RELEASE_SCRIPT as done, LEASE_RENEW_SCRIPT as on }} from {_NEW}\n",
        ),
        (
            f"import {{ createDistributedLock, RELEASE_SCRIPT as done }} from {_OLD} // both\nlet x\n",
            f"import {{ createDistributedLock }} from {_OLD} // both\n"
            f"import {{ LEASE_RELEASE_SCRIPT as done }} from {_NEW}\nlet x\n",
        ),
        (
            f"import {{\n\tHEARTBEAT_SCRIPT as on,\n\tcreateDistributedLock,\n}} from {_OLD};\n",
            f"import {{\n\tcreateDistributedLock,\n}} from {_OLD};\n"
            f"import {{ LEASE_RENEW_SCRIPT as on }} from {_NEW};\n",
        ),
        (
            f"export {{ RELEASE_SCRIPT }} from {_OLD}\n",
            f"export {{ LEASE_RELEASE_SCRIPT as RELEASE_SCRIPT }} from {_NEW}\n",
        ),
    ],
)
def test_the_import_moves_and_the_names_stay(before: str, expected: str) -> None:
    assert becomes("UPJ15", before, expected)


@pytest.mark.spec("UPGC-81", "UPGC-57")
def test_beside_a_default_import_it_is_told() -> None:
    assert told("UPJ15", f"import lock, {{ RELEASE_SCRIPT }} from {_OLD}\n") == [("S-29", 1)]
