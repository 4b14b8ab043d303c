"""What Calco must reach and what it aims at, by class of rows.

A speed is QEMU TCG's time divided by Calco's; a cost is Calco's time divided by the host's own.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Goal:
    must_speed: float  # geometric mean of the class against TCG
    goal_speed: float = None
    goal_cost: float = None  # geometric mean of the class against the host
    alone: tuple = ()  # rows that must reach must_speed each for itself


EVERY_ROW_MUST = 1.0
COMPUTE_COST_GOAL = 2.0
SMP_MUST, SMP_GOAL = 1.7, 1.95  # two threads against one, both under Calco

GOALS = {
    "integer": Goal(2.0, goal_speed=4),
    "indirect": Goal(2.0, goal_cost=1.3),
    "scalar_fp": Goal(5.0, goal_speed=20, alone=("libm", "x87")),
    "packed": Goal(15.0, goal_speed=60),
    "block": Goal(10.0, goal_cost=1.5),
    "system": Goal(1.5, goal_speed=4),
    "selfmod": Goal(5.0, goal_speed=50),
    "smp": Goal(1.0),
    "boot": Goal(1.0),
}

COMPUTE_CLASSES = ("integer", "indirect", "scalar_fp", "packed", "block")


def row_must(class_name, row):
    return GOALS[class_name].must_speed if row in GOALS[class_name].alone else EVERY_ROW_MUST
