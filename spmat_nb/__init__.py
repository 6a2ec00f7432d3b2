"""Teach, inspect and extend supervised pretraining for crystals (SPMat, arXiv 2504.20112).

Modules, in the order in which they may import each other:
errors, files, settings, progress, vocabulary, labels, reading, structure_files, tables, sources, table_checks,
textbook, mp_documents, materials_project, crystals, leaks, neighbours, draws, packing, store, graphs, augment,
elements, fused, layers, transformer, encoders, losses, diagnostics, judgements, checkpoints, models, sampling,
distributed, training, pretrain, embed, property_models, finetune, ensembles, regressor, study, plots, plots_crystals,
plots_graphs, plots_models, plots_errors, plots_maps, plots_transfer, plots_study, feedback, checks, grading,
plots_live, explorer_colours, explorer_points, explorer, explorer_figure, explorer_scope, explorer_page, widgets_base,
widgets_run, widgets_noise, widgets_study, widgets_map, widgets_explorer, widgets, arguments, cli.
Importing the package itself loads none of them.
"""

__version__ = "0.1.0"
