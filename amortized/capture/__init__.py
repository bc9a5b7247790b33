"""Records a tensor computation once and replays it for every batch size. It knows neither Pyro nor targets.

A function ``x: (B, D) -> tensors`` runs much Python, and torch many small operations, for little arithmetic. Three
steps turn it into one short graph:

1. **Record** (``tape``). The function runs at two batch sizes, here 5 and 9. A ``Tape`` notes every operation of torch
   below vmap and autograd, with its value. Writes in place become operations that return their result.
2. **Unify** (``template``). Both recordings must have the same operations in the same order. An integer that differs
   between them is ``a B + c`` in the batch size B. A tensor that does not depend on ``x`` is stored. Anything else that
   differs raises ``CannotUnify``, and the caller keeps the function as it was.
3. **Rewrite** (``peephole`` and ``broadcasting``). Cheaper operations take the place of equal ones: ``x + 0`` is ``x``,
   and ``log(expand(s))`` is ``expand(log(s))``. Two values for each node (``known``) decide what is equal.

Symbolic tracing (``make_fx``) records with one run, but failed on 20 of 63 test programs; 16 of these recordings held
the first batch size as a number. On the other 43 it took 6 times as long to record, with twice as many operations
(medians; torch 2.13.0).
"""
