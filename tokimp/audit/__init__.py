"""The audit of estimators: whether a method can be trusted, on this model, for this question.

Analyses read one result. An audit runs the estimators again under changed conditions (other weights, answers, seeds,
precision, words), as ordinary comparisons in a folder of its own, and reads the results side by side.
"""
