"""The description of the API holds for whatever schemathesis can think of asking."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.core.result import Ok

from prober.history.annotations import AnnotationStore
from prober.outcomes import Reason
from prober.web.app import create_app
from prober.web.context import WebContext
from prober.web.server import listen
from prober.web.tls import WebConfigReloader
from tests.integration.web.app_factory import OPEN, Installation
from tests.unit.metrics.factories import an_answer


@contextmanager
def in_a_thread(site: WebContext) -> Iterator[str]:
    """Serve a site beside a test that does not know asyncio; yield its address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="site")
    thread.start()
    serving = listen(create_app(site, WebConfigReloader(OPEN)), "127.0.0.1", 0)
    listening = asyncio.run_coroutine_threadsafe(serving, loop).result(10)
    try:
        yield listening.url
    finally:
        asyncio.run_coroutine_threadsafe(listening.close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.mark.no_cover  # hundreds of questions
def test_every_answer_is_as_described(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    installation.record(an_answer(Reason.SERVER_ERROR, status=500))
    store = AnnotationStore(tmp_path)
    with in_a_thread(replace(installation.site(), annotations=store)) as url:
        ask_everything(url, examples=25)


def ask_everything(url: str, *, examples: int) -> None:
    """Ask all that is described, rightly and wrongly; fail if a response is not as described."""
    schema = schemathesis.openapi.from_url(f"{url}/api/v1/openapi.json")
    operations = [each.ok() for each in schema.get_all_operations() if isinstance(each, Ok)]
    assert len(operations) == 25
    for operation in operations:
        if operation.path == "/live":  # it does not end
            continue
        for mode in schemathesis.GenerationMode:
            _ask(operation, mode, examples)


def _ask(
    operation: schemathesis.APIOperation,  # type: ignore[type-arg]
    mode: schemathesis.GenerationMode,
    examples: int,
) -> None:
    @settings(
        max_examples=examples,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(timeout=60)

    try:
        check()
    except Unsatisfiable:  # what has no parameters cannot be asked wrongly
        assert mode is schemathesis.GenerationMode.NEGATIVE
