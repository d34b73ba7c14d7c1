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
}
# A model larger than this is read twice as text for little: its trees, not the call, are what takes time.
MODEL_BYTES = 16 * 1024 * 1024
PROOF_ROWS = 2048

_LEAF = -1
_NODE = np.dtype([("left", "<i4"), ("right", "<i4"), ("feature", "<i4"), ("absent", "<i4"), ("value", "<f4")])

# %node: left, right (-1 in a leaf), feature, where a missing value goes, threshold (the leaf's value in a leaf).
_WALK = """
%node = type {{ i32, i32, i32, i32, float }}

define float @score() {{
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

    def __init__(self, engine: Any, columns: int, kept: tuple[Any, ...], row: ctypes.Array[ctypes.c_float]) -> None:
        self._kept = (engine, *kept)  # memory that the code refers to
        self._score: Callable[[], float] = ctypes.CFUNCTYPE(ctypes.c_float)(engine.get_function_address("score"))
        self._pack = struct.Struct(f"{columns}f").pack_into
        self._row = row

    def predict(self, values: Sequence[float]) -> float:
        """The prediction. Raises OverflowError for a number that no float32 can hold."""
        self._pack(self._row, 0, *values)
        return self._score()


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
    transform = TRANSFORMS.get(learner["objective"]["name"])
    trees = _trees(learner, rounds)
    base = _base_margin(learner, transform)
    if transform is None or trees is None or base is None or not columns:
        return None
    nodes, roots = _laid_out(trees)
    row = (ctypes.c_float * columns)()
    engine = _engine(llvmlite.binding, _code(nodes, roots, row, base, transform))
    found = CompiledRow(engine, columns, (nodes, roots), row)
    return found if _agrees(found, booster, nodes, columns, rounds) else None


def _trees(learner: dict[str, Any], rounds: int) -> list[dict[str, Any]] | None:
    """The trees that count, in order; None when there are others than plain ones of a single output."""
    shape = learner["learner_model_param"]
    if learner["gradient_booster"]["name"] != "gbtree" or int(shape.get("num_class", 0)) > 1:
        return None
    model = learner["gradient_booster"]["model"]
    starts = model["iteration_indptr"]
    trees: list[dict[str, Any]] = model["trees"][: starts[rounds] if rounds else None]
    plain = all(
        not tree.get("categories_nodes") and int(tree["tree_param"].get("size_leaf_vector", 1)) <= 1 for tree in trees
    )
    return trees if trees and plain and int(shape.get("num_target", 1)) == 1 and not any(model["tree_info"]) else None


def _base_margin(learner: dict[str, Any], transform: str | None) -> float | None:
    """What the sum starts from: the base score before the objective's transformation, in float32."""
    try:
        score = np.float32(str(learner["learner_model_param"]["base_score"]).strip("[]"))
    except ValueError:
        return None
    library = _math()
    if transform == "none":
        return float(score)
    if library is None or not score > 0:
        return None
    if transform == "sigmoid":
        return -float(library.logf(float(np.float32(1) / score - np.float32(1)))) if score < 1 else None
    return float(library.logf(float(score)))


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


def _laid_out(trees: list[dict[str, Any]]) -> tuple[Any, Any]:
    """All nodes in one array, and where each tree begins in it."""
    roots = np.cumsum([0, *(len(tree["left_children"]) for tree in trees)])
    nodes = np.zeros(int(roots[-1]), dtype=_NODE)
    for tree, start, end in zip(trees, roots, roots[1:], strict=False):
        part = nodes[start:end]
        left, right = np.array(tree["left_children"], "i4"), np.array(tree["right_children"], "i4")
        leaf = left == _LEAF
        part["left"] = np.where(leaf, _LEAF, left + start)
        part["right"] = np.where(leaf, _LEAF, right + start)
        part["absent"] = np.where(np.array(tree["default_left"], bool), part["left"], part["right"])
        part["feature"] = tree["split_indices"]
        part["value"] = np.array(tree["split_conditions"], "f4")
    return nodes, roots[:-1].astype("i4")


def _code(nodes: Any, roots: Any, row: Any, base: float, transform: str) -> str:
    library = _math()
    expf = ctypes.cast(library.expf, ctypes.c_void_p).value if library is not None else 0
    return _WALK.format(
        base=_constant(base),
        roots=roots.ctypes.data,
        nodes=nodes.ctypes.data,
        leaf=_LEAF,
        row=ctypes.addressof(row),
        trees=len(roots),
        transform=_END[transform].format(expf=expf, limit=_constant(88.7)),
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
    given = np.array([found.predict(row) for row in rows.tolist()], dtype=np.float32)
    return bool(expected.shape == given.shape and np.array_equal(expected.view("u4"), given.view("u4")))
