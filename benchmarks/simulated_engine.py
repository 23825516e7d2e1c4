"""A simulated engine for load tests and benchmarks: slots, latency, malformed replies, noise and outages.

What it answers a request, and how long that takes, is a pure function of (seed, request), so that results do not
depend on order, concurrency or process. It is never the default of anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import struct
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from benchmarks.outages import Outage, OutageSwitch
from benchmarks.simulated_replies import (
    MALFORMED,
    MALFORMED_KINDS,
    RATINGS,
    Text,
    cut,
    first_token_logprobs,
    num_tokens,
    write_well_formed,
)
from benchmarks.slot_meter import BusySecond, SlotMeter
from judge_serve.engines.failures import status_failure
from judge_serve.judging.engine import EngineReply, EngineRequest

GOLD_MARKER = "gold:"  # followed by the true rating, in the document
ONE = 1 << 64  # probability 1 in lane units
MAX_PREFIXES = 1_024  # system turns remembered; about 4 kB each
STEPS = (1, 1, 1, 1, 1, 1, 2, 2, 2, 3)  # how far a noisy rating is off, equally likely each
_NORMAL = NormalDist()
_EIGHT_LANES = struct.Struct("<8Q")  # fills a whole blake2b digest


class Effect(BaseModel):
    """What a text in the system turn does to the model; the effects of all that occur add up.

    Attributes:
        pattern: a text looked for as it stands.
        malformed_rate: added to the engine's; the sum is clipped to [0, 1].
        rating_noise: the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pattern: str = Field(min_length=1)
    malformed_rate: float = Field(0.0, ge=-1.0, le=1.0)
    rating_noise: float = Field(0.0, ge=-1.0, le=1.0)


class SimulatedEngineConfig(BaseModel):
    """How the simulated model behaves; in free text it knows the scale 1-5 only.

    Attributes:
        latency_median_s: median time in a slot; 0 answers at once, without slots and without awaiting.
        latency_sigma: standard deviation of the natural log of that time.
        slots: requests served at once, others wait in line as in vLLM; None serves all at once.
        malformed_rate: share of free-text replies that hold no rating.
        rating_noise: probability that a rating is off by one or more.
        effects: what texts in the system turn change.
        outage_file: while it exists every request fails, see `outages.Outage`; for engines of other processes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "simulated"
    seed: int = 0
    latency_median_s: float = Field(0.0, ge=0.0)
    latency_sigma: float = Field(0.0, ge=0.0)
    slots: int | None = Field(None, ge=1)
    malformed_rate: float = Field(0.0, ge=0.0, le=1.0)
    rating_noise: float = Field(0.0, ge=0.0, le=1.0)
    effects: tuple[Effect, ...] = ()
    outage_file: Path | None = None


class _Prefix(NamedTuple):
    """What all requests with the same turns before the last one share; rates in lane units."""

    digest: bytes
    num_chars: int
    malformed_below: int
    noisy_below: int


class _Lanes(NamedTuple):
    """Independent uniform integers below `ONE`, one per decision about a request."""

    malformed: int
    kind: int
    noisy: int
    step: int
    is_up: int
    explanation: int
    lean: int
    latency: int


class SimulatedEngine:
    """Engine that makes its replies up; used from one event loop at a time.

    Args:
        config: how it behaves.
        clock: seconds since the epoch.

    Attributes:
        served: requests answered.
        failed: requests that met an outage.
    """

    def __init__(self, config: SimulatedEngineConfig, clock: Callable[[], float] = time.time) -> None:
        self._config = config
        self._outages = OutageSwitch(clock, config.outage_file)
        self._meter = SlotMeter(clock)
        self._line: tuple[asyncio.AbstractEventLoop, asyncio.Semaphore] | None = None
        self._prefixes: dict[tuple[str, ...], _Prefix] = {}
        self._key = str(config.seed).encode()
        self.served = 0
        self.failed = 0

    @property
    def model(self) -> str:
        """Name of the model that answers."""
        return self._config.model

    @property
    def busy(self) -> int:
        """Slots busy now."""
        return self._meter.busy

    async def complete(self, request: EngineRequest) -> EngineReply:
        """See `Engine.complete`."""
        answer = await self.answer(request)
        if isinstance(answer, Outage):
            source = f"simulated engine {self.model!r}"
            raise status_failure(answer.status, answer.message, source, answer.retry_after_s or 0.0)
        return answer

    async def answer(self, request: EngineRequest) -> EngineReply | Outage:
        """The reply, or the outage that the request meets."""
        outage = self._outages.on_arrival()
        if outage is not None:
            self.failed += 1
            return outage
        prefix = self._prefix(request)
        item = request.messages[-1]["content"]
        item_digest = blake2b(item.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        lanes = _draw(prefix, item_digest, request)
        if self._config.latency_median_s:
            outage = await self._hold_slot(self._latency_s(lanes))
            if outage is not None:
                self.failed += 1
                return outage
        self.served += 1
        rating = _read_rating(_true_rating(item, item_digest), prefix, lanes)
        text = _write(request, prefix, lanes, rating)
        return EngineReply(
            text.text,
            text.finish_reason,
            prompt_tokens=num_tokens(prefix.num_chars + len(item)),
            completion_tokens=num_tokens(len(text.text)),
            first_token_logprobs=_digit_logprobs(request, lanes, rating) if request.top_logprobs else None,
            model=self.model,
        )

    async def close(self) -> None:
        """Nothing to release."""

    def fail_for(
        self, seconds: float, status: int = 503, retry_after_s: float | None = None, message: str = "simulated outage"
    ) -> None:
        """Fail, for some seconds, every request that arrives, gets its slot or would be answered."""
        self._outages.fail_for(seconds, Outage(status=status, retry_after_s=retry_after_s, message=message))

    def fail_next(
        self, num_calls: int, status: int = 503, retry_after_s: float | None = None, message: str = "simulated outage"
    ) -> None:
        """Fail the next requests that arrive."""
        self._outages.fail_next(num_calls, Outage(status=status, retry_after_s=retry_after_s, message=message))

    def recover(self) -> None:
        """End the outages commanded here; one of an outage file ends with the file."""
        self._outages.end()

    def utilization(self) -> list[BusySecond]:
        """Mean busy slots of every whole second of the epoch so far."""
        return self._meter.per_second()

    def busy_slot_s(self) -> float:
        """Slot-seconds busy so far; the difference over a stretch says which share of the slots was busy."""
        return self._meter.busy_slot_s()

    async def _hold_slot(self, seconds: float) -> Outage | None:
        async with self._slots():
            self._meter.change(+1)
            try:
                outage = self._outages.under_way()  # struck while the request waited in line
                if outage is None:
                    await asyncio.sleep(seconds)
                    outage = self._outages.under_way()
                return outage
            finally:
                self._meter.change(-1)

    def _slots(self) -> contextlib.AbstractAsyncContextManager[None]:
        if self._config.slots is None:
            return contextlib.nullcontext()
        loop = asyncio.get_running_loop()
        if self._line is None or self._line[0] is not loop:  # a semaphore serves the loop that first waited on it
            self._line = loop, asyncio.Semaphore(self._config.slots)
        return self._line[1]

    def _prefix(self, request: EngineRequest) -> _Prefix:
        key = tuple([message[part] for message in request.messages[:-1] for part in ("role", "content")])
        prefix = self._prefixes.get(key)
        if prefix is None:
            if len(self._prefixes) >= MAX_PREFIXES:
                self._prefixes.clear()
            prefix = self._prefixes[key] = self._read_prefix(key)
        return prefix

    def _read_prefix(self, key: tuple[str, ...]) -> _Prefix:
        digest = blake2b(key=self._key, digest_size=32)
        for part in key:
            text = part.encode("utf-8", "surrogatepass")
            digest.update(b"%d:%b" % (len(text), text))
        system = key[1] if key and key[0] == "system" else ""
        effects = [effect for effect in self._config.effects if effect.pattern in system]
        malformed_rate = self._config.malformed_rate + sum(effect.malformed_rate for effect in effects)
        rating_noise = self._config.rating_noise + sum(effect.rating_noise for effect in effects)
        num_chars = sum(map(len, key[1::2]))
        return _Prefix(digest.digest(), num_chars, _lane_units(malformed_rate), _lane_units(rating_noise))

    def _latency_s(self, lanes: _Lanes) -> float:
        if not self._config.latency_sigma:
            return self._config.latency_median_s
        deviation = _NORMAL.inv_cdf((lanes.latency + 0.5) / ONE)
        return self._config.latency_median_s * math.exp(self._config.latency_sigma * deviation)


def _draw(prefix: _Prefix, item_digest: bytes, request: EngineRequest) -> _Lanes:
    content = prefix.digest + item_digest
    if request.temperature:  # as in vLLM, sampling seeds say nothing about a greedy reply
        content += b"%r:%d" % (float(request.temperature), request.seed or 0)
    return _Lanes._make(_EIGHT_LANES.unpack(blake2b(content).digest()))


def _lane_units(rate: float) -> int:
    return round(min(max(rate, 0.0), 1.0) * ONE)


def _true_rating(item: str, item_digest: bytes) -> int:
    start = item.find(GOLD_MARKER, max(item.find("<document>"), 0))
    digit = item[start + len(GOLD_MARKER) : start + len(GOLD_MARKER) + 1] if start >= 0 else ""
    if digit and digit in "12345":
        return int(digit)
    return RATINGS[item_digest[0] % len(RATINGS)]


def _read_rating(true_rating: int, prefix: _Prefix, lanes: _Lanes) -> int:
    if lanes.noisy >= prefix.noisy_below:
        return true_rating
    step = STEPS[lanes.step % len(STEPS)]
    up, down = min(true_rating + step, RATINGS[-1]), max(true_rating - step, RATINGS[0])
    if down == true_rating:  # at an end of the scale there is one way to be off
        return up
    return up if up != true_rating and lanes.is_up % 2 else down


def _write(request: EngineRequest, prefix: _Prefix, lanes: _Lanes, rating: int) -> Text:
    if request.choices is not None or request.top_logprobs:
        choices = _choices(request)
        return Text(choices[_nearest(choices, rating)], "stop")
    if request.json_schema is not None:
        allowed = request.json_schema.get("properties", {}).get("rating", {}).get("enum", RATINGS)
        return write_well_formed(min(max(rating, min(allowed)), max(allowed)), lanes.explanation)
    if lanes.malformed < prefix.malformed_below:
        kind = MALFORMED_KINDS[lanes.kind % len(MALFORMED_KINDS)]
        return cut(MALFORMED[kind](rating, request.max_tokens), request.max_tokens)
    return cut(write_well_formed(rating, lanes.explanation), request.max_tokens)


def _digit_logprobs(request: EngineRequest, lanes: _Lanes, rating: int) -> tuple[tuple[str, float], ...]:
    choices = _choices(request)
    lean = 0.9 * (lanes.lean / ONE - 0.5)  # never as far as the next digit
    return first_token_logprobs(choices, _nearest(choices, rating), lean, request.top_logprobs)


def _choices(request: EngineRequest) -> tuple[str, ...]:
    return request.choices or tuple(map(str, RATINGS))


def _nearest(choices: tuple[str, ...], rating: int) -> int:
    """Index of the rating, or of what stands nearest to its place where the choices are others."""
    text = str(rating)
    return choices.index(text) if text in choices else min(rating - RATINGS[0], len(choices) - 1)
