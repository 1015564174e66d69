"""What a score is made of, one breakdown a file, found by name through `BREAKDOWNS`."""

from vqa_gs.eval.breakdowns._base import BREAKDOWNS, Breakdown, Evidence, Scored

__all__ = ["BREAKDOWNS", "Breakdown", "Evidence", "Scored"]
