"""Packed reading: sequences of unequal length laid end to end, passed through a model as one.

A rectangular batch needs rows of one length, or padding. A pack needs neither: the ids of all rows form one sequence
``[1, position]``, each with its own position number, and attention alone knows where a row begins and ends:

    row 0          a b c d e
    row 1          a b c   x y         shares "a b c" with row 0: only "x y" is computed
    row 2          a b     z

    ids            a b c d e | x y | z
    positions      0 1 2 3 4 | 3 4 | 2
    keys read      a b c d e | a b c x y | a b z

The keys and values of every row come from one pool of slots, where those of the row's own ids are written first. So a
row may continue another row of the same pack.
"""
