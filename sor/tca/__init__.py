"""Transaction cost analysis: what a parent cost, split so that it sums exactly, and the same per policy.

Pure values in, pure values out. `ParentRecord` is what the journal says of one parent, `report` prices it, `by_policy`
puts reports of one policy together. docs/tca.md has the definitions, formulas and sign conventions.
"""

from sor.tca.policy import MarkoutLine as MarkoutLine
from sor.tca.policy import PolicyReport as PolicyReport
from sor.tca.policy import Quantiles as Quantiles
from sor.tca.policy import by_policy as by_policy
from sor.tca.policy import summary as summary
from sor.tca.record import HORIZONS_NS as HORIZONS_NS
from sor.tca.record import Completion as Completion
from sor.tca.record import ParentRecord as ParentRecord
from sor.tca.record import completion as completion
from sor.tca.report import FeeShare as FeeShare
from sor.tca.report import FillReport as FillReport
from sor.tca.report import Markout as Markout
from sor.tca.report import ParentReport as ParentReport
from sor.tca.report import Shortfall as Shortfall
from sor.tca.report import ShortfallBps as ShortfallBps
from sor.tca.report import report as report
