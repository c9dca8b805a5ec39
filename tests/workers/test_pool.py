"""Several models under one roof."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from stillhouse.errors import EngineStopped, ModelNotFound, NotEnoughSpace
from stillhouse.workers.messages import ModelSettings
from stillhouse.workers.pool import ModelPool
from tests.workers.conftest import run, texts


@pytest.fixture
def two(settings: ModelSettings, tmp_path: Path) -> list[ModelSettings]:
    """The same model under two names."""
    other = tmp_path / "other.gguf"
    other.symlink_to(settings.reference)
    return [settings, replace(settings, reference=str(other))]


def test_what_is_idle_makes_room_and_what_is_busy_does_not(two: list[ModelSettings]) -> None:
    first, second = (settings.reference for settings in two)

    async def work() -> None:
        pool = ModelPool(two, max_memory_bytes=800_000_000)
        await pool.start()
        assert [model.state for model in pool.known()] == ["loaded", "idle"]
        old_pid = pool.known()[0].pid
        async with pool.use(first):
            with pytest.raises(NotEnoughSpace, match="models in use"):
                async with pool.use(second):
                    pass
        async with pool.use(second) as worker:
            assert len(await texts(await worker.ask("Hello", {"max_tokens": 3}))) == 1
        assert [model.state for model in pool.known()] == ["idle", "loaded"]
        assert old_pid is not None
        assert not psutil.pid_exists(old_pid)
        await pool.close(1)

    run(work())


def test_a_model_is_unloaded_after_its_time_and_comes_back(settings: ModelSettings) -> None:
    async def work() -> None:
        pool = ModelPool([settings])
        await pool.start()
        async with pool.use(None, keep_alive_s=0.0) as worker:
            assert pool.known()[0].state == "loaded"
            await worker.ask("Hello", {"max_tokens": 3})
        while pool.known()[0].state != "idle":
            await asyncio.sleep(0.1)
        facts = pool.known()[0].facts
        assert facts is not None  # what it is stays known
        async with pool.use(None) as worker:
            await worker.ready()
            assert pool.is_ready
        await pool.close(1)
        with pytest.raises(EngineStopped, match="shutting down"):
            async with pool.use(None):
                pass

    run(work())


def test_names_may_carry_ollamas_tag(settings: ModelSettings, two: list[ModelSettings]) -> None:
    async def work() -> None:
        pool = ModelPool([replace(settings, reference="smollm2:135m"), two[1]])
        assert pool.resolve("smollm2:135m") == "smollm2:135m"
        assert pool.resolve(two[1].reference + ":latest") == two[1].reference
        for name in ("gpt-4", "", None):
            with pytest.raises(ModelNotFound):
                pool.resolve(name)

    run(work())


def test_the_end_waits_for_what_is_open(settings: ModelSettings) -> None:
    async def work() -> None:
        pool = ModelPool([settings])
        await pool.start()
        async with pool.use(None) as worker:
            asked = await worker.ask("Hello", {"max_tokens": 20, "ignore_eos": True})
        reading = asyncio.create_task(texts(asked))
        await pool.close(20)
        assert len((await reading)[0]) > 5

    run(work())
