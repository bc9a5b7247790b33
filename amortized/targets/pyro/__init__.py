"""From a Pyro model to a density on R^D: batched over particles, recorded, and checked against the plain model.

::

    arguments, data      the model's arguments become tensors, and are bound to their names
    trace, missing       one pass through the model, its latents fixed; the halves of a site known in part
    discovery, structure runs that find the sites: names, shapes, dtype, observations, places in x
    bijections           coordinates: R^n onto the support of each latent, with log |det dz/dx|
    coordinates, frames  a site with a location and a scale, moved towards its standardized value; which sites these are
    choosing, fitting    how far each is moved: c of each element, from the data, at draws of a fitted Gaussian
    enumeration          finite discrete latents summed out, log Σ_z p(x, z, data)
    program              the density of one particle, x: (D,) -> log R(x)
    batching             of B particles, (B, D) -> (B,): by vmap (with ``substitutes``), an outer plate or a loop
    captured             vmap's computation recorded once: Pyro is not run again
    target, predictive   the ``Target`` that samplers meet; data that the model would predict

Checks, in the order of time (``checks``; ``failures`` puts what the model raises into words):

1. Before anything is built: parameters, shapes and supports of the data, NaN in arguments (``validation``).
2. With the structure: masks that latents decide, states of discrete latents all at once (``structure``, ``states``).
3. When the target is built: the batching and the recording give the plain loop's densities and scores (``agreement``,
   ``loop_values``); without vmap, the model's own exceptions at draws of its prior (``prior``).
4. After the fit: agreement at the draws (``PyroTarget.recheck``), rounding against float64 (``precision``), and whether
   the model is still the one recorded (``PyroTarget.check_unchanged``).
"""
