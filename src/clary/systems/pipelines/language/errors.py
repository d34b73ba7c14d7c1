"""What the language refuses: a definition when it is given, a value when it is needed.

DefinitionError    a definition is wrong; its text names the step and the JSON path
Unresolvable       a value that is well written has no value in this execution; its text names the expression
"""


class DefinitionError(Exception):
    """A definition that no pipeline can have. `step` and `path` say where: `Steps[2].Arguments.RoleArn`."""

    def __init__(self, problem: str, *, step: str | None = None, path: str = "") -> None:
        super().__init__(problem, step, path)
        self.problem = problem
        self.step = step
        self.path = path

    def __str__(self) -> str:
        """As AWS begins what it says of a definition, followed by the place, which AWS leaves out."""
        where = f"step '{self.step}', at {self.path}" if self.step else f"at {self.path}" if self.path else ""
        said = self.problem[:1].upper() + self.problem[1:]
        return f"Unable to parse pipeline definition. {said}" + (f" ({where})" if where else "")


class Unresolvable(Exception):
    """A value that cannot be had. `path` is the expression, as the definition spells it."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, why)
        self.path = path
        self.why = why

    def __str__(self) -> str:
        return f"{self.path} cannot be resolved: {self.why}"
