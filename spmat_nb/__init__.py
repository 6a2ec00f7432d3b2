"""Teach, inspect and extend supervised pretraining for crystals (SPMat, arXiv 2504.20112).

Modules, in the order in which they may import each other:
errors, files, settings, progress, vocabulary, structure_files, tables, crystals, neighbours, graphs, augment, elements,
encoders, losses, diagnostics, checkpoints, pretrain, embed, finetune, plots, cli.
Importing the package itself loads none of them.
"""

__version__ = "0.1.0"
