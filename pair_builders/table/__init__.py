"""The pair table: which questions form counterfactual pairs, and which regions of theirs correspond."""

from vqa_gs.pair_builders.table.files import read_pair_table, write_pair_table
from vqa_gs.pair_builders.table.pair_table import ALIGNMENTS, IDENTITY, MATCHED, SPARSE, PairTable, concatenate

__all__ = [
    "ALIGNMENTS",
    "IDENTITY",
    "MATCHED",
    "SPARSE",
    "PairTable",
    "concatenate",
    "read_pair_table",
    "write_pair_table",
]
