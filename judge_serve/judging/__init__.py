"""What a judge is: data and pure functions, and the one way to put an item to an engine (`judge_pair`).

Imports no Ray, no optimizer and no registry.
"""

from judge_serve.judging.calibration import Affine, Calibration, FittedOn, Isotonic
from judge_serve.judging.engine import Engine, EngineReply, EngineRequest
from judge_serve.judging.errors import EngineError, RefusedInputError
from judge_serve.judging.identity import ModelIdentity
from judge_serve.judging.judge import Judge, Sampling
from judge_serve.judging.judge_call import JudgeCall
from judge_serve.judging.judge_file import JudgeFile, load_judge_file
from judge_serve.judging.judge_pair import judge_item, judge_pair
from judge_serve.judging.judgment import AnswerMode, InvalidReason, Judgment
from judge_serve.judging.program import Demonstration, Program
from judge_serve.judging.release import Release
from judge_serve.judging.retrying import RetryPolicy
from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example, Item, Task
from judge_serve.judging.votes import Combine, Votes

__all__ = [
    "Affine",
    "AnswerMode",
    "Calibration",
    "Combine",
    "Demonstration",
    "Engine",
    "EngineError",
    "EngineReply",
    "EngineRequest",
    "Example",
    "FittedOn",
    "InvalidReason",
    "Isotonic",
    "Item",
    "Judge",
    "JudgeCall",
    "JudgeFile",
    "Judgment",
    "ModelIdentity",
    "Program",
    "RefusedInputError",
    "Release",
    "RetryPolicy",
    "Sampling",
    "Scale",
    "Task",
    "Votes",
    "judge_item",
    "judge_pair",
    "load_judge_file",
]
