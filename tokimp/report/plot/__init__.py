"""Figures fit to print: functions that take and return matplotlib's axes, one for each analysis, a chain and the cost.

Every figure is 85 mm wide, the width of a printed column, unless axes to draw on are given; the agreement of many
estimators needs more. Nothing here loads matplotlib before a figure is drawn.

Examples
--------
>>> import tokimp as ti
>>> from tokimp.testing.toy_result import toy_result
>>> result = ti.analyze(toy_result({"mine": [[0.5, 2.0, 0.1, 1, 3]], "other": [[1, 2.0, 0.5, 0.2, 3]]}), "agreement")
>>> axes = ti.plot.agreement(result)
>>> axes.figure.savefig("agreement.pdf")  # doctest: +SKIP
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
