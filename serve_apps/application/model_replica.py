"""One replica of a version: prepare, forward in batches, interpret; and its golden input when something is wrong.

A study that fails first may have broken the device, so its failure is its own. Every other failed study waits for the
golden input: if that is not answered either, the study is told that the version is unavailable and is tried again
elsewhere, and this replica is to be replaced. A live study whose forward outlasts its time has failed, and the
replica is replaced for it. A live study under which a process of the version died is read alone; if one died again,
it is read no more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import Context
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from core.errors import ModelFailed, ModelUnavailable, PoisonStudy, SerinusError
from core.priority import QueueOrder
from imaging.finding import InputCheck, ModelStamp, Prediction
from imaging.volume import Volume
from models.forward import Outputs
from models.interpret import interpret
from models.prepare import Prepared, prepare
from models.spec import ModelSpec
from observability.names import Stage
from observability.record import StageTiming
from observability.stage_clock import StageClock
from serve_apps.application.alone import AloneGate
from serve_apps.application.failed_work import with_work
from serve_apps.application.flights import NO_FLIGHTS, Flights
from serve_apps.application.input_rule import UNGUARDED, InputGuard
from serve_apps.application.messages import Inference
from serve_apps.application.priority_batcher import BatchLimit, PriorityBatcher
from serve_apps.application.priority_gate import PriorityGate
from serve_apps.application.replica_health import ReplicaHealth
from serve_apps.application.work_time import timed, work_ms

T = TypeVar("T")

logger = logging.getLogger("serinus.replica")
CPU_THREADS: Final = 3
PREPARING_AT_ONCE: Final = 2  # so that a thread is always left to interpret what is computed
SHADOW_ORDER: Final = QueueOrder(1, datetime.max.replace(tzinfo=UTC))  # equal: they are taken as they come


class ReplicaThreads:
    """The threads of one replica, by what they do. Serve's default pool, of five threads, has no part in it."""

    def __init__(self, use_idle_scheduling: Callable[[], None]) -> None:
        self.cpu = ThreadPoolExecutor(CPU_THREADS, "cpu")
        self.check = ThreadPoolExecutor(PREPARING_AT_ONCE, "check")
        self.forward = ThreadPoolExecutor(1, "forward")
        self.golden = ThreadPoolExecutor(1, "golden")
        self.idle = ThreadPoolExecutor(1, "idle", initializer=use_idle_scheduling)

    def leave_forward(self) -> None:
        """Let the next forwards have a thread of their own beside the one that is held up."""
        self.forward.shutdown(wait=False)
        self.forward = ThreadPoolExecutor(1, "forward")

    def close(self) -> None:
        for pool in (self.cpu, self.check, self.forward, self.golden, self.idle):
            pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A version that is loaded here. `forward` gives one result per study and raises nothing; `golden_fault` says
    what is wrong with the network now, None when it gives its golden answer. `sharing` says how many studies may
    share a forward, and how many items the network takes in one.
    """

    spec: ModelSpec
    stamp: ModelStamp
    device: str
    sharing: BatchLimit
    forward: Callable[[Sequence[Prepared]], Sequence[Outputs | ModelFailed]]
    golden_fault: Callable[[], str | None]
    guard: InputGuard = UNGUARDED


@dataclass(frozen=True, slots=True)
class _Seen:
    """A study before its forward: the network's input, and how it compares with the version's reference set."""

    prepared: Prepared
    check: InputCheck
    prepare_ms: float


@dataclass(frozen=True, slots=True)
class _Forwarded:
    outputs: Outputs | ModelFailed
    is_first_failure: bool
    timing: StageTiming
    forward_ms: float
    studies: int


@dataclass(frozen=True, slots=True)
class _FailedAlone:
    """A shadow's forward that failed."""

    failure: ModelFailed
    check: InputCheck
    stages: tuple[StageTiming, ...]


class ModelReplica:
    """Predicts for live studies in their order, and for shadows on idle cores. Belongs to one event loop."""

    def __init__(
        self,
        model: LoadedModel,
        health: ReplicaHealth,
        threads: ReplicaThreads,
        flights: Flights = NO_FLIGHTS,
    ) -> None:
        self._flights = flights
        self._place = AloneGate()
        self._model = model
        self._health = health
        self._threads = threads
        self._preparing = PriorityGate(PREPARING_AT_ONCE)
        self._batcher: PriorityBatcher[Prepared, _Forwarded] = PriorityBatcher(
            self._forward, limit=model.sharing, shape_of=_shape, size_of=_items
        )
        self._shadows: PriorityBatcher[Volume, Inference] = PriorityBatcher(
            self._shadow, limit=BatchLimit(1, 1), shape_of=lambda _: None
        )
        self._golden: asyncio.Task[None] | None = None
        self._computing: dict[int, asyncio.Future[Any]] = {}
        self._ended: str | None = None  # why nobody is answered here any more

    @property
    def waiting(self) -> int:
        """How many live studies are prepared and in no forward yet."""
        return self._batcher.waiting

    async def predict(self, volume: Volume, order: QueueOrder) -> Inference:
        """Predict for a live study.

        Raises StudyError, InputOutOfDistribution, ModelFailed where it was at fault, ModelUnavailable where the
        replica is, and PoisonStudy for what a process died from alone.
        """
        self._require_well()
        key = volume.input_digest
        deaths = self._flights.deaths(key)
        if deaths > 1:
            raise PoisonStudy(
                "two processes of the version died while they read this study, the last one alone"
            )
        async with self._place.enter(alone=deaths > 0):
            with self._flights.flight(key):
                inference = await self._predict(volume, order)
        if deaths:
            self._flights.answered(key)
        return inference

    async def _predict(self, volume: Volume, order: QueueOrder) -> Inference:
        clock = StageClock()
        try:
            return await self._predict_in_stages(volume, order, clock)
        except SerinusError as error:
            raise with_work(error, clock.timings) from None

    async def _predict_in_stages(self, volume: Volume, order: QueueOrder, clock: StageClock) -> Inference:
        with clock.stage(Stage.PREPARE):
            async with self._preparing.slot(order):
                seen = await self._prepare_and_check(volume)
        forwarded = await self._forwarded(seen, order, clock)
        outputs = forwarded.outputs
        if isinstance(outputs, ModelFailed):
            failed = await self._blame(outputs, is_first=forwarded.is_first_failure)
            raise self._model.guard.failure(failed, seen.check)
        with clock.stage(Stage.INTERPRET):
            prediction, interpret_ms = await _in(
                self._threads.cpu, lambda: timed(lambda: self._interpret(outputs, volume, seen))
            )
        took_ms = work_ms(seen.prepare_ms, forwarded.forward_ms, interpret_ms, studies=forwarded.studies)
        return Inference(prediction, clock.timings, self._model.device, took_ms, batch_size=forwarded.studies)

    async def _forwarded(self, seen: _Seen, order: QueueOrder, clock: StageClock) -> _Forwarded:
        """The study's forward. One that outlasts its time is told as long as it was waited for; a study that is sent
        away for the sake of another has only waited.
        """
        queued_ns = clock.now_ns()
        try:
            forwarded = await self._batcher.submit(seen.prepared, order)
        except ModelFailed as error:
            clock.add(Stage.FORWARD, queued_ns, clock.now_ns(), error.code)
            raise
        timing, failed = forwarded.timing, forwarded.outputs
        clock.add(Stage.WAIT, queued_ns, timing.start_ns)
        code = failed.code if isinstance(failed, ModelFailed) else None
        clock.add(Stage.FORWARD, timing.start_ns, timing.end_ns, code)
        return forwarded

    async def predict_when_idle(self, volume: Volume) -> Inference:
        """Predict for a shadow: alone, one at a time, and on cores that no live study wants."""
        self._require_well()
        return await self._shadows.submit(volume, SHADOW_ORDER)

    async def check_health(self) -> None:
        """Raise RuntimeError with the reason why Serve is to replace this replica; wait for no thread."""
        self._look()
        if self._health.reason is not None:
            raise RuntimeError(self._health.reason)

    def close(self) -> None:
        """Tell whoever waits that the version is unavailable here, and let the threads go."""
        self._end("the replica is shut down")
        self._threads.close()

    # ---- forwards, noted in the replica's health as they begin and end

    async def _forward(self, studies: Sequence[Prepared]) -> list[_Forwarded]:
        clock = StageClock()
        with clock.stage(Stage.FORWARD):
            results, took_ms = await self._compute(
                self._threads.forward, lambda: timed(lambda: self._model.forward(studies)), is_live=True
            )
        (timing,) = clock.timings
        return [_Forwarded(result, self._note(result), timing, took_ms, len(studies)) for result in results]

    async def _shadow(self, volumes: Sequence[Volume]) -> list[Inference]:
        (volume,) = volumes
        computed = await self._compute(self._threads.idle, lambda: self._predict_alone(volume), is_live=False)
        if isinstance(computed, _FailedAlone):
            is_first = self._note(computed.failure)
            failed = await self._blame(computed.failure, is_first=is_first)
            raise with_work(self._model.guard.failure(failed, computed.check), computed.stages)
        self._note(computed)
        return [computed]

    async def _compute(self, pool: Executor, work: Callable[[], T], *, is_live: bool) -> T:
        """Have a thread do a forward. When the replica ends meanwhile, raises ModelFailed if it ends for the sake of
        this forward, else ModelUnavailable.
        """
        forward_id = self._health.forward_begun(is_live=is_live)
        computing = _in(pool, work)
        self._computing[forward_id] = computing
        try:
            return await computing
        except asyncio.CancelledError:
            if self._ended is None:
                raise
            if self._health.outlasts_the_replica(forward_id):
                raise ModelFailed("the network took longer for the study than its version may") from None
            raise ModelUnavailable(self._ended) from None
        finally:
            del self._computing[forward_id]
            self._health.forward_ended(forward_id)

    def _predict_alone(self, volume: Volume) -> Inference | _FailedAlone:
        clock = StageClock()
        try:
            return self._predict_here(volume, clock)
        except SerinusError as error:
            raise with_work(error, clock.timings) from None

    def _predict_here(self, volume: Volume, clock: StageClock) -> Inference | _FailedAlone:
        with clock.stage(Stage.PREPARE):
            seen = self._look_at(volume)
        with clock.stage(Stage.FORWARD):
            (outputs,), forward_ms = timed(lambda: self._model.forward([seen.prepared]))
        if isinstance(outputs, ModelFailed):
            return _FailedAlone(outputs, seen.check, clock.timings)
        with clock.stage(Stage.INTERPRET):
            prediction, interpret_ms = timed(lambda: self._interpret(outputs, volume, seen))
        took_ms = work_ms(seen.prepare_ms, forward_ms, interpret_ms, studies=1)
        return Inference(prediction, clock.timings, self._model.device, took_ms)

    async def _prepare_and_check(self, volume: Volume) -> _Seen:
        """Both at once, in a thread each; a study that cannot be prepared is told as that, whatever it is like."""
        prepared, check = await asyncio.gather(
            _in(self._threads.cpu, lambda: timed(lambda: prepare(volume, self._model.spec.input))),
            _in(self._threads.check, lambda: self._model.guard.look(volume)),
            return_exceptions=True,
        )
        if isinstance(prepared, BaseException):
            raise prepared
        if isinstance(check, BaseException):
            raise check
        return _Seen(prepared[0], check, prepared[1])

    def _look_at(self, volume: Volume) -> _Seen:
        """Prepare the study, and compare it with the version's reference set, before anything is computed of it."""
        prepared, took_ms = timed(lambda: prepare(volume, self._model.spec.input))
        return _Seen(prepared, self._model.guard.look(volume), took_ms)

    def _interpret(self, outputs: Outputs, volume: Volume, seen: _Seen) -> Prediction:
        prediction = interpret(outputs, volume, seen.prepared, self._model.spec, self._model.stamp)
        return self._model.guard.answer(prediction, seen.check)

    # ---- who is at fault

    def _note(self, result: object) -> bool:
        """Note the end of a study's forward; True when it is the first that failed since an answer."""
        if not isinstance(result, ModelFailed):
            self._health.study_answered()
            return False
        is_first = self._health.study_failed()
        self._look()
        return is_first

    async def _blame(self, failed: ModelFailed, *, is_first: bool) -> SerinusError:
        """The study's own failure, or that the replica is unwell."""
        if self._golden is not None and not is_first:
            await asyncio.shield(self._golden)
        return failed if is_first or self._health.reason is None else self._unavailable()

    def _look(self) -> None:
        """Run the golden input if there is a suspicion; give up if there is a reason to."""
        if self._health.reason is not None:
            self._give_up()
        elif self._health.suspicion is not None and (self._golden is None or self._golden.done()):
            self._golden = asyncio.get_running_loop().create_task(self._ask_golden(), context=Context())

    async def _ask_golden(self) -> None:
        while (suspicion := self._health.suspicion) is not None:
            logger.warning("replica.suspected", extra=self._names | {"reason": suspicion})
            self._health.golden_begun()
            fault = await self._golden_fault()
            if fault is not None:
                self._health.golden_failed(fault)
            elif self._health.golden_answered():
                self._threads.leave_forward()
                self._batcher.overtake()
            at_fault = self._health.studies_at_fault
            logger.info(
                "replica.golden_run", extra=self._names | {"fault": fault, "studies_at_fault": at_fault}
            )
        self._look()

    async def _golden_fault(self) -> str | None:
        try:
            async with asyncio.timeout(self._health.limits.golden_s):
                return await _in(self._threads.golden, self._model.golden_fault)
        except TimeoutError:
            return f"the golden input is not answered within {self._health.limits.golden_s:.0f} s"

    def _give_up(self) -> None:
        if self._ended is None:
            logger.error("replica.unwell", extra=self._names | {"reason": self._health.reason})
            self._end(f"the replica is replaced: {self._health.reason}")

    def _end(self, why: str) -> None:
        """Answer nobody any more. A thread that is in a forward goes on, and nobody waits for it."""
        self._ended = why
        self._flights.land()
        for queue in (self._batcher, self._shadows):
            queue.close(ModelUnavailable(why))
        for computing in self._computing.values():
            computing.cancel()

    def _require_well(self) -> None:
        if self._health.reason is not None:
            raise self._unavailable()

    def _unavailable(self) -> ModelUnavailable:
        return ModelUnavailable(f"the replica is replaced: {self._health.reason}")

    @property
    def _names(self) -> dict[str, str | None]:
        return {"model": self._model.stamp.name, "version": self._model.stamp.version}


def _in(pool: Executor, work: Callable[[], T]) -> asyncio.Future[T]:
    return asyncio.get_running_loop().run_in_executor(pool, work)


def _shape(prepared: Prepared) -> tuple[int, ...]:
    return tuple(prepared.tensor.shape[1:])


def _items(prepared: Prepared) -> int:
    return len(prepared.tensor)
