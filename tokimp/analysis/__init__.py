"""Analyses: what can be computed from a result, whoever wrote its estimators; `tokimp.analyze` runs one.

Each analysis is a package with its class, and with the tables and figures of what it computes in a ``report`` module.
``statistics`` holds measures and intervals, ``deletion_orders`` and ``token_labels`` what several analyses read off a
result, ``run`` the frame around every analysis, and ``recorded_run`` the model and the chains of a run loaded again.
"""
