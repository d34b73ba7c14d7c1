"""A model's trees as machine code that scores one row, for the very numbers that Booster.predict gives.

XGBoost's own call spends most of its time around the trees, not in them. What stands here does in the same order what
the library does for one row: start from the base margin, add each tree's leaf in float32, transform the sum as the
objective does. LLVM (llvmlite) compiles that walk once for each model, over arrays of its nodes.

Before it is used it must agree with the library to the last bit on rows that hit every kind of threshold exactly,
just miss it, or lack values. Anything it does not know (categories, dart, several targets), a library that is missing,
or one differing bit: then `compiled` says None, and the library is asked as before.
"""

import ctypes
import json
import math
import struct
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xgboost

TRANSFORMS = {
    "binary:logistic": "sigmoid",
    "reg:logistic": "sigmoid",
    "count:poisson": "exponential",
    "reg:gamma": "exponential",
    "reg:tweedie": "exponential",
    "reg:squarederror": "none",
    "reg:squaredlogerror": "none",
    "reg:absoluteerror": "none",
    "reg:pseudohubererror": "none",
    "binary:logitraw": "none",
    "rank:pairwise": "none",
    "rank:ndcg": "none",
    "rank:map": "none",
    "multi:softprob": "none",  # of each class; what follows is done in CompiledRow
    "multi:softmax": "none",
}
# A model larger than this is read twice as text for little: its trees, not the call, are what takes time.
MODEL_BYTES = 16 * 1024 * 1024
PROOF_ROWS = 2048

_FLOAT = struct.Struct("f")
_LEAF = -1
_NODE = np.dtype([("left", "<i4"), ("right", "<i4"), ("feature", "<i4"), ("absent", "<i4"), ("value", "<f4")])

# %node: left, right (-1 in a leaf), feature, where a missing value goes, threshold (the leaf's value in a leaf).
_TYPES = "%node = type { i32, i32, i32, i32, float }"
_WALK = """
define float @score_{output}() {{
entry:
  br label %tree

tree:
  %number = phi i64 [ 0, %entry ], [ %following, %leaf ]
  %sum = phi float [ {base}, %entry ], [ %added, %leaf ]
  %root_place = getelementptr i32, ptr inttoptr (i64 {roots} to ptr), i64 %number
  %root = load i32, ptr %root_place
  br label %visit

visit:
  %index = phi i32 [ %root, %tree ], [ %next, %inner ]
  %wide = sext i32 %index to i64
  %at = getelementptr %node, ptr inttoptr (i64 {nodes} to ptr), i64 %wide
  %value_place = getelementptr %node, ptr %at, i32 0, i32 4
  %value = load float, ptr %value_place
  %left = load i32, ptr %at
  %is_leaf = icmp eq i32 %left, {leaf}
  br i1 %is_leaf, label %leaf, label %inner

inner:
  %right_place = getelementptr %node, ptr %at, i32 0, i32 1
  %right = load i32, ptr %right_place
  %feature_place = getelementptr %node, ptr %at, i32 0, i32 2
  %feature = load i32, ptr %feature_place
  %absent_place = getelementptr %node, ptr %at, i32 0, i32 3
  %absent = load i32, ptr %absent_place
  %feature_wide = sext i32 %feature to i64
  %given_place = getelementptr float, ptr inttoptr (i64 {row} to ptr), i64 %feature_wide
  %given = load float, ptr %given_place
  %is_less = fcmp olt float %given, %value
  %side = select i1 %is_less, i32 %left, i32 %right
  %is_missing = fcmp uno float %given, %given
  %next = select i1 %is_missing, i32 %absent, i32 %side
  br label %visit

leaf:
  %added = fadd float %sum, %value
  %following = add i64 %number, 1
  %more = icmp ult i64 %following, {trees}
  br i1 %more, label %tree, label %end

end:
{transform}
}}
"""

_END = {
    "none": "  ret float %added",
    # As the library's Sigmoid: the argument of exp is kept from overflowing, and 1e-16 is lost in the sum.
    "sigmoid": """  %negative = fneg float %added
  %is_small = fcmp olt float %negative, {limit}
  %argument = select i1 %is_small, float %negative, float {limit}
  %power = call float inttoptr (i64 {expf} to ptr)(float %argument)
  %plus = fadd float %power, 1.0
  %result = fdiv float 1.0, %plus
  ret float %result""",
    "exponential": """  %result = call float inttoptr (i64 {expf} to ptr)(float %added)
  ret float %result""",
}


class CompiledRow:
    """Scores one dense row, in one thread."""

    def __init__(self, engine: Any, outputs: int, kept: tuple[Any, ...], row: Any, *, labels: bool) -> None:
        self._kept = (engine, *kept)  # memory that the code refers to
        address = engine.get_function_address
        self._scores: list[Callable[[], float]] = [
            ctypes.CFUNCTYPE(ctypes.c_float)(address(f"score_{output}")) for output in range(outputs)
        ]
        self._score = self._scores[0]
        self._pack = struct.Struct(f"{len(row)}f").pack_into
        self._row = row
        self._predict = (self._label if labels else self._probabilities) if outputs > 1 else self._one
        self._floats = struct.Struct(f"{outputs}f")
        self._exp: Callable[[float], float] = _math().expf

    def predict(self, values: Sequence[float]) -> Sequence[float]:
        """The prediction: one number, or one for each class."""
        self._pack(self._row, 0, *values)
        return self._predict()

    def _one(self) -> Sequence[float]:
        return (self._score(),)

    def _label(self) -> Sequence[float]:
        margins = [score() for score in self._scores]
        return (float(margins.index(max(margins))),)

    def _probabilities(self) -> Sequence[float]:
        """The library's Softmax: in float32, but for the sum, which it keeps as a double."""
        margins = [score() for score in self._scores]
        top = max(margins)
        powers = [self._exp(margin - top) for margin in margins]
        total = 0.0
        for power in powers:
            total += power
        (divisor,) = _FLOAT.unpack(_FLOAT.pack(total))
        return self._floats.unpack(self._floats.pack(*[power / divisor for power in powers]))


def compiled(booster: xgboost.Booster, columns: int, rounds: int) -> CompiledRow | None:
    """The model's first `rounds` rounds (all, if 0) as machine code, or None where that cannot be proven equal."""
    try:
        import llvmlite.binding
    except ImportError:
        return None
    raw = booster.save_raw("json")
    if len(raw) > MODEL_BYTES:
        return None
    learner = json.loads(bytes(raw))["learner"]
    objective = learner["objective"]["name"]
    transform = TRANSFORMS.get(objective)
    outputs = max(1, int(learner["learner_model_param"].get("num_class", 0)))
    trees = _trees(learner, rounds, outputs)
    bases = _base_margins(learner, transform, outputs)
    if transform is None or trees is None or bases is None or not columns or _math() is None:
        return None
    nodes, roots = _laid_out(trees)
    row = (ctypes.c_float * columns)()
    code = _code(nodes, roots, row, bases, transform)
    labels = objective == "multi:softmax"
    found = CompiledRow(_engine(llvmlite.binding, code), outputs, (nodes, roots), row, labels=labels)
    return found if _agrees(found, booster, nodes, columns, rounds) else None


def _trees(learner: dict[str, Any], rounds: int, outputs: int) -> list[list[dict[str, Any]]] | None:
    """The trees that count, in order, for each output; None when there are others than plain ones."""
    if learner["gradient_booster"]["name"] != "gbtree" or int(learner["learner_model_param"].get("num_target", 1)) > 1:
        return None
    model = learner["gradient_booster"]["model"]
    end = model["iteration_indptr"][rounds] if rounds else None
    trees, groups = model["trees"][:end], model["tree_info"][:end]
    found: list[list[dict[str, Any]]] = [[] for _ in range(outputs)]
    for tree, group in zip(trees, groups, strict=True):
        if tree.get("categories_nodes") or int(tree["tree_param"].get("size_leaf_vector", 1)) > 1:
            return None
        found[group].append(tree)
    return found if all(found) else None


def _base_margins(learner: dict[str, Any], transform: str | None, outputs: int) -> list[float] | None:
    """What each sum starts from: the base score before the objective's transformation, in float32."""
    text = str(learner["learner_model_param"]["base_score"]).strip("[]")
    library = _math()
    if transform is None or library is None:
        return None
    found = []
    for score in map(np.float32, text.split(",")):
        if transform == "none":
            found.append(float(score))
        elif transform == "sigmoid" and 0 < score < 1:
            found.append(-float(library.logf(float(np.float32(1) / score - np.float32(1)))))
        elif transform == "exponential" and score > 0:
            found.append(float(library.logf(float(score))))
    return found * outputs if len(found) == 1 else found if len(found) == outputs else None


def _math() -> Any:
    """The C library's functions on float32, which XGBoost calls."""
    try:
        library = ctypes.CDLL("libm.so.6" if sys.platform == "linux" else None)
        for name in ("expf", "logf"):
            function = getattr(library, name)
            function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float]
    except (OSError, AttributeError):
        return None
    return library


def _laid_out(trees: list[list[dict[str, Any]]]) -> tuple[Any, list[Any]]:
    """All nodes in one array, and where each tree begins in it, for each output."""
    flat = [tree for group in trees for tree in group]
    starts = np.cumsum([0, *(len(tree["left_children"]) for tree in flat)])
    nodes = np.zeros(int(starts[-1]), dtype=_NODE)
    for tree, start, end in zip(flat, starts, starts[1:], strict=False):
        part = nodes[start:end]
        left, right = np.array(tree["left_children"], "i4"), np.array(tree["right_children"], "i4")
        leaf = left == _LEAF
        part["left"] = np.where(leaf, _LEAF, left + start)
        part["right"] = np.where(leaf, _LEAF, right + start)
        part["absent"] = np.where(np.array(tree["default_left"], bool), part["left"], part["right"])
        part["feature"] = tree["split_indices"]
        part["value"] = np.array(tree["split_conditions"], "f4")
    return nodes, np.split(starts[:-1].astype("i4"), np.cumsum([len(group) for group in trees])[:-1])


def _code(nodes: Any, roots: list[Any], row: Any, bases: list[float], transform: str) -> str:
    expf = ctypes.cast(_math().expf, ctypes.c_void_p).value
    return _TYPES + "".join(
        _WALK.format(
            output=output,
            base=_constant(base),
            roots=starts.ctypes.data,
            nodes=nodes.ctypes.data,
            leaf=_LEAF,
            row=ctypes.addressof(row),
            trees=len(starts),
            transform=_END[transform].format(expf=expf, limit=_constant(88.7)),
        )
        for output, (starts, base) in enumerate(zip(roots, bases, strict=True))
    )


def _constant(value: float) -> str:
    """A float32 as LLVM spells it exactly: the bits of the same number as a double."""
    return f"0x{struct.unpack('<Q', struct.pack('<d', float(np.float32(value))))[0]:016X}"


def _engine(binding: Any, code: str) -> Any:
    for name in ("initialize_native_target", "initialize_native_asmprinter"):
        getattr(binding, name)()
    module = binding.parse_assembly(code)
    module.verify()
    machine = binding.Target.from_default_triple().create_target_machine(opt=2)
    engine = binding.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return engine


def _agrees(found: CompiledRow, booster: xgboost.Booster, nodes: Any, columns: int, rounds: int) -> bool:
    """Whether rows made of the model's own thresholds get the same bits from both."""
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(PROOF_ROWS, columns)).astype(np.float32)
    inner = nodes[nodes["left"] != _LEAF]
    for column in range(columns):
        thresholds = inner["value"][inner["feature"] == column]
        if len(thresholds):
            chosen = generator.choice(thresholds, PROOF_ROWS)
            below = np.nextafter(chosen, np.float32(-math.inf))
            above = np.nextafter(chosen, np.float32(math.inf))
            rows[:, column] = np.choose(generator.integers(0, 4, PROOF_ROWS), [chosen, below, above, rows[:, column]])
    rows[generator.random(rows.shape) < 0.1] = np.nan
    rows[: PROOF_ROWS // 8] *= np.float32(1000)
    expected = booster.inplace_predict(rows, iteration_range=(0, rounds), validate_features=False)
    given = np.array([found.predict(row) for row in rows.tolist()], dtype=np.float32).reshape(expected.shape)
    return bool(np.array_equal(expected.view("u4"), given.view("u4")))
