"""Write a flow of Metaflow with steps that do nothing to standard output: `python metaflow_steps.py fan|chain COUNT`.

Metaflow reads a flow's steps from its source, so that a chain must be written out.
"""

import sys
from itertools import pairwise

HEAD = """from metaflow import FlowSpec, step


class Steps(FlowSpec):
"""
TAIL = """
    @step
    def end(self):
        pass


if __name__ == "__main__":
    Steps()
"""


def fan(count: int) -> str:
    return f"""
    @step
    def start(self):
        self.numbers = list(range({count}))
        self.next(self.work, foreach="numbers")

    @step
    def work(self):
        self.value = self.input + 1
        self.next(self.join)

    @step
    def join(self, inputs):
        self.total = sum(one.value for one in inputs)
        self.next(self.end)
"""


def chain(count: int) -> str:
    names = ["start", *(f"step_{number}" for number in range(1, count)), "end"]
    return "".join(
        f"""
    @step
    def {name}(self):
        self.value = getattr(self, "value", 0) + 1
        self.next(self.{following})
"""
        for name, following in pairwise(names)
    )


if __name__ == "__main__":
    print(HEAD + {"fan": fan, "chain": chain}[sys.argv[1]](int(sys.argv[2])) + TAIL)
