"""The hot path: score many deletions of one chain without computing anything twice.

Greedy pruning asks at every step: what are the log-probabilities of the chain without this unit, for each unit that is
still kept? Computing every shortened chain from its first token repeats nearly all of the work, because a causal
model's numbers at a token depend only on the tokens before it. So recompute each shortened chain only from the first
token whose prefix changed, and continue from the stored keys and values of everything before that token.

*Within a step.* A shortened chain begins like the chain that is kept, up to the deletion. Kept is ``a b c d e``::

    base       | prompt  a  b  c  d  e  answer
    without c  | prompt  a  b     d  e  answer
                 ------------     ------------
                 stored           recomputed

*Between steps.* There is now a second sequence to continue from. Say the first step deletes ``d``, and the second step
asks for the chain without ``b``. Stored are the chain that is kept now, and what "without ``b``" left one step ago::

    base       | prompt  a  b  c     e  answer    agrees with the new row in: prompt a
    old row    | prompt  a     c  d  e  answer    agrees with the new row in: prompt a c
    new row    | prompt  a     c     e  answer
                 ---------------     ---------
                 stored              recomputed

The base agrees with the new row up to the row's own deletion (``b``); the old row agrees up to what was deleted since
(``d``). The new row continues from whichever agrees for longer, so it is recomputed from the rightmost of the two
deletions. The new base costs nothing: it is itself a row of the step before ("without ``d``").

*The first recomputed token.* In the drawing, ``e`` is predicted from ``c``, and ``c`` is not recomputed. Its prediction
must have been stored in time. So each row stores two log-probabilities at every boundary between tokens: that of the
token that follows, and that of the token that comes next if the unit that follows is deleted. After ``c``, the old row
stored both ``d`` and ``e``. Where a prediction is missing all the same, the row is recomputed from one token earlier.

Words
-----
read
    Pass a token through the model. Every token that is read is counted in ``tokens_forwarded``.
row
    One shortened chain. Rows of equal length form a batch.
base
    The chain that is kept at this step.
source
    The stored sequence that a row continues from: the base, or what the same deletion left in an earlier step.
boundary
    The place before a token of the reasoning, or after the last one: boundary ``i`` lies before token ``i``.
slot
    A place in memory for the keys and values of one token position, in every layer.

Files
-----
`reading` does what is described here. `step` says which rows a step asks for and collects their scores. `plan` groups
rows into batches. `rows` stores rows from one step to the next, and `key_value_pool` their keys and values.
`from_scratch` is for models whose state cannot be cut back to a prefix, such as recurrent ones.
"""
