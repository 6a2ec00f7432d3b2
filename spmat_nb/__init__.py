"""Teach, inspect and extend supervised pretraining for crystals (SPMat, arXiv 2504.20112).

Modules, in the order in which they may import each other:
errors, files, settings, progress, vocabulary, labels, structure_files, tables, textbook, crystals, neighbours, draws,
graphs, augment, elements, fused, layers, transformer, encoders, losses, diagnostics, judgements, checkpoints, models,
sampling, distributed, training, pretrain, embed, property_models, finetune, ensembles, regressor, plots, plots_graphs,
plots_models, plots_errors, plots_maps, feedback, checks, arguments, cli.
Importing the package itself loads none of them.
"""

__version__ = "0.1.0"
